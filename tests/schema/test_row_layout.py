"""Rows and indexes that take few bytes: nothing is lost on the way to them, and lookups use them."""

import psycopg
import pytest

from projections.database.migrations import migrate
from projections.definitions.registry import PROJECTIONS
from projections.sql.event_store import EventStoreSql
from projections.sql.privacy import PrivacySql
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.rebuilds import read_models
from tests.support.servers.databases import execute

MIGRATION = "0048_fewer_bytes"
FORMER_LAYOUT = """
CREATE TABLE former AS
SELECT reservation_id, code_id, recipient_id, versions, status, kind, reserved_at, deadline, due_at, lease_until,
    delivery, attempts, ever_unknown, case_id, follows, sent_at, accepted_at, refunded_at, refund_cause, access_due_at,
    is_deferred
FROM reservations;
DROP TABLE reservations;
ALTER TABLE former RENAME TO reservations;
DROP INDEX recipients_digest_idx;
ALTER TABLE recipients ADD UNIQUE (digest);
"""
DISTINCT_VALUES = """
UPDATE reservations SET due_at = reserved_at + interval '1 s', lease_until = reserved_at + interval '2 s',
    sent_at = reserved_at + interval '3 s', accepted_at = reserved_at + interval '4 s',
    refunded_at = reserved_at + interval '5 s', access_due_at = reserved_at + interval '6 s',
    case_id = gen_random_uuid(), follows = gen_random_uuid(), refund_cause = 'staff', delivery = 7, attempts = 8,
    is_deferred = true
"""


def test_migration_keeps_every_value_of_a_reservation(bench: LedgerBench) -> None:
    """A table in the former order of columns, each with a different value, has the same rows afterwards."""
    bench.storage.ledger.execute([bench.reserve(bench.issue(), "one@example.com")])
    execute(bench.database_url, DISTINCT_VALUES)
    before = read_models(bench)
    with psycopg.connect(bench.database_url) as conn:
        conn.execute(FORMER_LAYOUT.encode())
        conn.execute("DELETE FROM _yoyo_migration WHERE migration_id = %s", (MIGRATION,))

    assert migrate(bench.database_url) == [MIGRATION]

    assert read_models(bench) == before
    columns = (
        "SELECT attname FROM pg_attribute WHERE attrelid = 'reservations'::regclass AND attnum > 0 ORDER BY attnum"
    )
    assert [row[0] for row in bench.rows(columns)] == list(PROJECTIONS["reservations"].table.columns)
    assert None not in before["reservations"][0]


@pytest.mark.parametrize("statement", [EventStoreSql.recipient_ids_of_digests, PrivacySql.recipients_of_digests])
def test_recipient_is_found_by_the_index_of_digests(bench: LedgerBench, statement: str) -> None:
    """The statement names the expression of the index, so no lookup reads the table."""
    bench.storage.ledger.execute([bench.reserve(bench.issue(), "one@example.com")])
    ((digest,),) = bench.rows("SELECT digest FROM recipients")
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("SET enable_seqscan = off")
        plan = conn.execute(f"EXPLAIN {statement}".encode(), ([digest],)).fetchall()
        rows = conn.execute(statement.encode(), ([digest],)).fetchall()

    assert any("recipients_digest_idx" in line for (line,) in plan)
    assert [digest in row for row in rows] == [True]


def test_recipients_with_one_digest_are_refused(bench: LedgerBench) -> None:
    """The index is unique, so two requests at the same time never give a person two recipients."""
    bench.storage.ledger.execute([bench.reserve(bench.issue(), "one@example.com")])

    with pytest.raises(psycopg.errors.UniqueViolation, match="recipients_digest_idx"):
        execute(
            bench.database_url,
            "INSERT INTO recipients SELECT gen_random_uuid(), digest, pepper_id, sealed, key_id FROM recipients",
        )
