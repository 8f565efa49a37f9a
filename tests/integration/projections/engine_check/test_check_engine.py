"""An engine that lies is found, by each of its lies; a check leaves nothing in the database."""

from collections.abc import Iterator

import psycopg
import pytest

from projections.database.errors import StorageUnavailableError
from projections.engine_check.check_engine import check_engine, refuse_unsound_engine
from projections.engine_check.findings import UnsoundEngineError
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.servers.databases import execute

FOR_ALL = "LANGUAGE plpgsql AS $$ BEGIN RETURN {result}; END $$"
NOTHING = "LANGUAGE plpgsql AS $$ BEGIN END $$"
LIES = {
    "transaction locks": [f"pg_advisory_xact_lock(integer, integer) RETURNS void {NOTHING}"],
    "single keys": [f"pg_advisory_xact_lock(bigint) RETURNS void {NOTHING}"],
    "attempts": [f"pg_try_advisory_xact_lock(integer, integer) RETURNS boolean {FOR_ALL.format(result='true')}"],
    "shared locks": [f"pg_advisory_xact_lock_shared(integer, integer) RETURNS void {NOTHING}"],
    "session locks": [
        f"pg_advisory_lock(integer, integer) RETURNS void {NOTHING}",
        f"pg_try_advisory_lock(integer, integer) RETURNS boolean {FOR_ALL.format(result='true')}",
        f"pg_advisory_unlock(integer, integer) RETURNS boolean {FOR_ALL.format(result='true')}",
    ],
}
"""Functions of a liar that is searched first, by what they are about."""
FINDS = {
    "transaction locks": {"transaction locks", "shared locks", "append order"},
    "single keys": {"transaction locks"},
    "attempts": {"transaction locks", "shared locks", "session locks"},
    "shared locks": {"shared locks"},
    "session locks": {"session locks"},
}


@pytest.fixture
def database(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as conn:
        yield conn


def faults(database_url: str, *, is_quick: bool = False) -> set[str]:
    """The names of failed checks, but for the disk that the suite's own server does not wait for."""
    findings = check_engine(database_url, is_quick=is_quick)
    wrong = {finding.name for finding in findings if finding.status == "wrong"}
    assert all(finding.cost for finding in findings if finding.status == "wrong")
    return wrong - {"durability"}


def search_liar_first(database: psycopg.Connection, functions: list[str]) -> None:
    """Plant functions that hide those of PostgreSQL from every session that begins from now on."""
    database.execute("CREATE SCHEMA liar")
    for function in functions:
        database.execute(f"CREATE FUNCTION liar.{function}".encode())
    name = database.info.dbname
    database.execute(f"ALTER DATABASE {name} SET search_path = liar, pg_catalog, public".encode())


def test_sound_engine_passes_and_nothing_stays_behind(database_url: str, database: psycopg.Connection) -> None:
    """Neither a schema, nor a row, nor a lock, nor a session."""
    schemas = (
        "SELECT nspname, (SELECT count(*) FROM pg_class WHERE relnamespace = n.oid) FROM pg_namespace n ORDER BY 1"
    )
    before = [row for row in database.execute(schemas) if not row[0].startswith("pg_")]

    assert faults(database_url) == set()
    assert faults(database_url, is_quick=True) == set()

    assert [row for row in database.execute(schemas) if not row[0].startswith("pg_")] == before
    assert database.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


@pytest.mark.parametrize("is_quick", [False, True], ids=["full", "quick"])
@pytest.mark.parametrize("lie", LIES)
def test_locks_that_lie_are_found(database_url: str, database: psycopg.Connection, lie: str, is_quick: bool) -> None:
    """A schema that is searched first has lock functions that do nothing, or always say yes."""
    search_liar_first(database, LIES[lie])

    assert faults(database_url, is_quick=is_quick) >= FINDS[lie]


def test_quick_form_checks_everything_on_the_database_of_a_ledger(bench: LedgerBench) -> None:
    """Without a schema it locks rows that every ledger has."""
    findings = check_engine(bench.database_url, is_quick=True)

    assert [finding.name for finding in findings if finding.status != "ok"] == ["durability"]


def test_engine_whose_sequences_hand_out_ranges_is_found(database_url: str, database: psycopg.Connection) -> None:
    """As engines of several nodes do: the quick form sees it at the ledger's own sequence."""
    database.execute("ALTER SEQUENCE ledger_events_notification_id_seq CACHE 100")

    assert faults(database_url, is_quick=True) == {"append order"}


def test_snapshots_older_than_the_order_lock_are_found(database_url: str, database: psycopg.Connection) -> None:
    """With one snapshot for a transaction, its holder does not see what the last one wrote."""
    database.execute(
        f"ALTER DATABASE {database.info.dbname} SET default_transaction_isolation = 'repeatable read'".encode()
    )

    assert faults(database_url) == {"append order"}
    assert faults(database_url, is_quick=True) == {"append order"}


def test_disabled_triggers_are_found(database_url: str, database: psycopg.Connection) -> None:
    """The ledger's own, which an administrator switched off and forgot."""
    database.execute("ALTER TABLE audit DISABLE TRIGGER audit_refuse_change")

    findings = {finding.name: finding for finding in check_engine(database_url, is_quick=True)}

    assert findings["append-only triggers"].status == "wrong"
    assert "audit_refuse_change of audit" in findings["append-only triggers"].result


def test_read_only_server_is_named_and_nothing_else_checked(database_url: str, database: psycopg.Connection) -> None:
    """As a standby is: there is nothing that could be checked on it."""
    database.execute(f"ALTER DATABASE {database.info.dbname} SET default_transaction_read_only = on".encode())

    findings = check_engine(database_url)

    assert [(finding.name, finding.status) for finding in findings] == [("primary", "wrong")]
    assert "name a primary" in findings[0].result


def test_schema_that_a_killed_check_left_is_dropped_an_hour_later(
    database_url: str, database: psycopg.Connection
) -> None:
    """A younger one may belong to a check that runs now."""
    hour_ago, now = database.execute(
        "SELECT extract(epoch FROM clock_timestamp())::bigint - 3700, extract(epoch FROM clock_timestamp())::bigint"
    ).fetchone() or (0, 0)
    for created_at in (hour_ago, now):
        execute(database_url, f"CREATE SCHEMA ledger_engine_check_{created_at}_left")

    assert faults(database_url) == set()

    left = database.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'ledger_engine_check%'").fetchall()
    assert left == [(f"ledger_engine_check_{now}_left",)]


def test_start_on_an_unsound_engine_is_refused_in_one_sentence(database_url: str, database: psycopg.Connection) -> None:
    """It names the check that failed and the command that shows all."""
    search_liar_first(database, LIES["single keys"])

    with pytest.raises(UnsoundEngineError, match=r"transaction locks: .*ledger check-engine") as refused:
        list(refuse_unsound_engine(database_url))

    assert "\n" not in str(refused.value)
    assert "only-for-tests" not in str(refused.value)


def test_start_on_a_sound_engine_reports_risks_of_its_configuration(database_url: str) -> None:
    """The suite's own server does not wait for the disk, which is the deployment's choice."""
    sentences = list(refuse_unsound_engine(database_url))

    assert len(sentences) == 1
    assert "fsync is off" in sentences[0]


def test_engine_that_cannot_be_reached_is_an_outage() -> None:
    with pytest.raises(StorageUnavailableError, match=r"127\.0\.0\.1:1/ledger"):
        check_engine("postgresql://ledger@127.0.0.1:1/ledger")
