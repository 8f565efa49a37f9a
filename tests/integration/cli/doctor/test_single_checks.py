"""`ledger check-engine`, and checks of `ledger doctor` that need a server, a provider or altered rows."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from api.cli.doctor.served_checks import check_server
from api.cli.doctor.vault import NAMED_MAX, check_vault
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for
from tests.support.servers.databases import execute
from tests.support.servers.identity_provider import SECRET, ScriptedProvider

LIE = "CREATE FUNCTION liar.pg_advisory_xact_lock(bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$"


def test_check_engine_shows_each_check_and_its_cost(terminal: Terminal, bench: LedgerBench) -> None:
    """The suite's own server does not wait for the disk; nothing else is wrong with it."""
    ended = terminal.ledger("check-engine", bench.database_url)

    assert ended.status == 1
    assert "1 of 14 checks failed: the ledger must not run on this engine" in ended.out
    assert "a crash or a failover loses redemptions that were acknowledged" in ended.out


def test_check_engine_prints_json(terminal: Terminal, bench: LedgerBench) -> None:
    ended = terminal.ledger("check-engine", bench.database_url, "--json")

    assert (ended.status, ended.json["ok"], ended.err) == (1, False, "")
    assert {check["name"]: check["status"] for check in ended.json["checks"] if check["status"] != "ok"} == {
        "durability": "wrong"
    }
    assert all(set(check) == {"name", "status", "result", "cost"} for check in ended.json["checks"])
    assert "only-for-tests" not in ended.out


def test_doctor_names_an_engine_that_lies(terminal: Terminal, database_url: str) -> None:
    name = database_url.rsplit("/", 1)[1]
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA liar")
        conn.execute(LIE)
        conn.execute(f"ALTER DATABASE {name} SET search_path = liar, pg_catalog, public".encode())

    ended = terminal.ledger("doctor", "--json")

    engine = next(check for check in ended.json["checks"] if check["name"] == "engine")
    assert engine["status"] == "wrong"
    assert "transaction locks: a lock that one session holds by pg_advisory_xact_lock(bigint)" in engine["found"]
    assert "check-engine" in engine["remedy"]


@pytest.mark.parametrize(
    "url", ["", "db:5432", "redis://127.0.0.1:1/0", "postgresql://host with spaces/x", "postgresql://127.0.0.1"]
)
def test_check_engine_refuses_texts_that_are_not_uris(terminal: Terminal, url: str) -> None:
    ended = terminal.ledger("check-engine", url)

    assert ended.status == 2
    assert ended.err.count("\n") == 1
    assert "postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in ended.err


def test_check_engine_names_an_engine_that_cannot_be_reached(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    ended = terminal.ledger("check-engine", f"postgresql://ledger:secret@127.0.0.1:{port}/ledger")

    assert ended.status == 3
    assert ended.err.count("\n") == 1
    assert f"cannot connect to PostgreSQL at 127.0.0.1:{port}/ledger" in ended.err
    assert "start it, or correct the URL" in ended.err
    assert "secret" not in ended.err


WRITING = {"commit", "engine", "times"}


def test_checks_of_assistants_write_nothing(own_bench: LedgerBench) -> None:
    """A database that refuses every write changes no result. The checks that write are left out."""
    settings = settings_for(own_bench.database_url)
    before = {result.name: result.status for result in check_server(settings)}
    name = own_bench.database_url.rsplit("/", 1)[1]
    with psycopg.connect(own_bench.database_url, autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())

    after = {result.name: result.status for result in check_server(settings)}

    assert after == before
    assert before["vault"] == "ok"
    assert not WRITING & after.keys()


def check(terminal: Terminal, name: str) -> tuple[str, str]:
    (result,) = [each for each in terminal.ledger("doctor", "--json").json["checks"] if each["name"] == name]
    return result["status"], result["found"]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ScriptedProvider]:
    """One account may use its password."""
    secret = tmp_path / "client-secret"
    secret.write_text(SECRET)
    with ScriptedProvider(time.time) as identity_provider:
        monkeypatch.setenv("LEDGER_OIDC_ISSUER", identity_provider.url)
        monkeypatch.setenv("LEDGER_OIDC_CLIENT_ID", "ledger")
        monkeypatch.setenv("LEDGER_OIDC_CLIENT_SECRET_FILE", str(secret))
        monkeypatch.setenv("LEDGER_OIDC_ROLES", "owners=admin")
        monkeypatch.setenv("LEDGER_PASSWORD_SIGN_IN", "break-glass")
        yield identity_provider


def test_doctor_asks_the_provider(terminal: Terminal, provider: ScriptedProvider) -> None:
    """A provider that does not answer is named before someone has to sign in."""
    answering = check(terminal, "single sign-on")
    provider.answer = lambda _: (503, b"")
    silent = check(terminal, "single sign-on")

    assert (silent[0], answering) == (
        "wrong",
        ("ok", f"{provider.url} answers, and signs with keys that the ledger reads"),
    )


@pytest.mark.usefixtures("provider")
def test_doctor_reminds_of_the_account_of_last_resort(terminal: Terminal, database_url: str) -> None:
    """Without one, no one gets in while the provider does not answer, which is when it is needed."""
    terminal.ledger("staff", "add", "owner@staff.example.com", "--role", "admin", "--link")
    execute(database_url, "UPDATE staff SET password_hash = 'x'")
    before = check(terminal, "break-glass")
    chosen = terminal.ledger("staff", "break-glass", "owner@staff.example.com")
    assert chosen.status == 0, chosen

    assert before == ("reminder", "no account can sign in while the identity provider does not answer")
    assert check(terminal, "break-glass") == ("ok", "one account can sign in with its password")


def test_altered_rows_are_counted_and_a_few_are_named(own_bench: LedgerBench) -> None:
    """`ledger verify` lists all of them."""
    for number in range(NAMED_MAX + 1):
        done(own_bench.redeem(own_bench.issue(), f"person{number}@example.com"))
    before = check_vault(own_bench.database_url, settings_for(own_bench.database_url))
    with psycopg.connect(own_bench.database_url) as conn:
        conn.execute("UPDATE recipients SET digest = sha256(digest)")
    after = check_vault(own_bench.database_url, settings_for(own_bench.database_url))

    assert (before.status, after.status) == ("ok", "wrong")
    assert after.found.startswith(f"{NAMED_MAX + 1} of ")
    assert after.found.partition(" are altered: ")[2].count(", ") == NAMED_MAX - 1
