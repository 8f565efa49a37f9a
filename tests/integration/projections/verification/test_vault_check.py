"""The vault's rows: digest and encrypted text are bound, so a swap of any two values among them is found."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from itertools import combinations
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from domain.ports import Rejected
from domain.values.identifiers import EmailAddress
from projections.monitoring.health_checks import sampled_vault
from projections.privacy.data_export import PersonReader
from projections.privacy.erasure import PersonEraser
from projections.privacy.key_rotation import KeyRotation
from projections.repositories.staff_accounts import StaffAccountRepository
from projections.repositories.staff_factors import FactorContent, NewFactor, StaffFactorRepository
from projections.repositories.staff_identities import StaffIdentityRepository
from projections.repositories.staff_sessions import StaffSessionRepository
from projections.storage.bootstrap import LedgerStore
from projections.vault.vault import DigestMismatchError, SealBrokenError
from projections.verification.merkle_check import ExternalEvidence
from projections.verification.run import run_verify
from projections.verification.vault_check import ROW_OF, TABLES, VAULT_ROWS, check_vault, sample_vault
from tests.integration.projections.privacy.test_key_rotation import ringed
from tests.integration.projections.repositories.test_approvals import propose
from tests.support.ledger.ledger_bench import LedgerBench, done

BUSY = Rejected(server="mx:25", reason="temporary", final=False, reply_code=451, reply="busy")
IDS = {
    "staff": "staff_id",
    "staff_identities": "identity_id",
    "staff_factors": "factor_id",
    "recipients": "recipient_id",
    "code_texts": "code_id",
    "private_texts": "text_id",
    "hand_out_recipients": "code_id",
    "approvals": "approval_id",
}
SEALED = {"text", "factor"}
"""Kinds of rows without a digest."""
COLUMNS = {
    "bytea": {table: ["sealed"] if kind in SEALED else ["digest", "sealed"] for table, kind in TABLES.items()},
    "smallint": {table: ["key_id"] if kind in SEALED else ["pepper_id", "key_id"] for table, kind in TABLES.items()},
    "text": {"code_texts": ["hint"]},
}


class Cell(NamedTuple):
    table: str
    row: UUID
    column: str


def fill(bench: LedgerBench, name: str) -> None:
    reservation_id = done(bench.redeem(bench.issue(), f"{name}@example.com")).require_reservation().reservation_id
    bench.attempt(reservation_id, BUSY)
    staff = bench.storage.vault.draft_staff(EmailAddress.parse(f"{name}@staff.example.com"), uuid4())
    now = bench.storage.recorder.clock.now()
    staff_id = StaffAccountRepository(bench.storage).insert(staff, "hash", "viewer", now)
    identity = bench.storage.vault.draft_identity("https://id.example.com", name, uuid4())
    assert staff_id is not None
    assert StaffIdentityRepository(bench.storage).connect(identity, staff_id, now)
    factor = NewFactor(uuid4(), "totp", FactorContent(staff_id, name, secret="JBSWY3DPEHPK3PXP"), counter=0)
    assert StaffFactorRepository(bench.storage).insert(factor, now)
    propose(bench.storage, name)


@pytest.fixture
def two_keys(bench: LedgerBench) -> Iterator[LedgerBench]:
    """Two rows in each table: one under an older pepper and master key, one under the current ones."""
    fill(bench, "li.wei")
    with LedgerStore.open(ringed(bench.database_url)) as storage:
        rotated = LedgerBench(storage, bench.database_url, bench.random_source)
        fill(rotated, "mallory")
        yield rotated


def cells(conn: psycopg.Connection[Any], kind: str) -> list[Cell]:
    vault_cells = []
    for table, columns in COLUMNS[kind].items():
        ids = conn.execute(sql.SQL("SELECT {} FROM {}").format(sql.Identifier(IDS[table]), sql.Identifier(table)))
        vault_cells += [Cell(table, row[0], column) for row in ids.fetchall() for column in columns]
    return vault_cells


def value(conn: psycopg.Connection[Any], cell: Cell) -> Any:  # noqa: ANN401 - of any type
    query = sql.SQL("SELECT {} FROM {} WHERE {} = %s")
    names = map(sql.Identifier, (cell.column, cell.table, IDS[cell.table]))
    return conn.execute(query.format(*names), (cell.row,)).fetchall()[0][0]


def put(conn: psycopg.Connection[Any], cell: Cell, value: Any) -> None:  # noqa: ANN401 - of any type
    """Overwrite a cell, as anyone with write access could."""
    query = sql.SQL("UPDATE {} SET {} = %s WHERE {} = %s")
    names = map(sql.Identifier, (cell.table, cell.column, IDS[cell.table]))
    conn.execute(query.format(*names), (value, cell.row))


@pytest.mark.parametrize("kind", COLUMNS)
def test_swap_of_any_two_values_of_the_vault_is_found(two_keys: LedgerBench, kind: str) -> None:
    """Digests, encrypted texts, pepper ids, key ids and the ends of codes, across rows and across tables."""
    vault, unseen, swap_count = two_keys.storage.vault, [], 0
    with psycopg.connect(two_keys.database_url) as conn:
        assert list(check_vault(conn, vault)) == []
        conn.rollback()
        for one, other in combinations(cells(conn, kind), 2):
            first, second = value(conn, one), value(conn, other)
            if first == second:
                continue
            swap_count += 1
            if kind == "bytea":
                put(conn, one, b"-" * 40)  # digests are unique within a table
            put(conn, other, first)
            put(conn, one, second)
            if not list(check_vault(conn, vault)):
                unseen.append((one, other))
            conn.rollback()

    assert unseen == []
    assert swap_count >= {"bytea": 91, "smallint": 40, "text": 1}[kind]


def swap_digests(bench: LedgerBench) -> None:
    """Each of the two persons is found by the other one's address."""
    with psycopg.connect(bench.database_url) as conn:
        one, other = (cell for cell in cells(conn, "bytea") if (cell.table, cell.column) == ("recipients", "digest"))
        first, second = value(conn, one), value(conn, other)
        put(conn, one, b"-" * 32)
        put(conn, other, first)
        put(conn, one, second)


def test_verify_and_health_check_name_rows_whose_digests_were_swapped(two_keys: LedgerBench) -> None:
    """Exit code 1 with both rows; without keys the vault is not checked, which is said."""
    vault = two_keys.storage.vault
    url, outside = two_keys.database_url, ExternalEvidence(vault=vault)
    before = sampled_vault(url, vault, lambda: False)[0]
    swap_digests(two_keys)
    report, unkeyed = StringIO(), StringIO()

    code = run_verify(url, timedelta(1), 99, outside, as_json=False, out=report, err=StringIO())
    blind = run_verify(url, timedelta(1), 99, as_json=False, out=unkeyed, err=StringIO())
    sample = sampled_vault(url, vault, lambda: False)[0]

    people = {row[0] for row in two_keys.rows("SELECT recipient_id FROM recipients")}
    assert (code, blind) == (1, 0)
    assert all(f"{VAULT_ROWS}: broken by row {person} of recipients" in report.getvalue() for person in people)
    assert "the rows of the vault were not checked" in unkeyed.getvalue()
    assert before == (14, [], True)
    assert {finding.stream for finding in sample.broken} == people


def test_health_check_of_a_large_vault_ends_in_time_and_reports_its_coverage(two_keys: LedgerBench) -> None:
    """Each table is looked at, a page of it at least."""
    sample, _ = sampled_vault(two_keys.database_url, two_keys.storage.vault, lambda: True)

    assert sample == (14, [], False)


def test_sample_of_the_vault_begins_anywhere_and_covers_each_row_once(two_keys: LedgerBench) -> None:
    """The first row is at a place of the table's file, because new ids all sort behind older ones."""
    with two_keys.storage.datastore.get_connection() as conn:
        samples = [sample_vault(conn, two_keys.storage.vault, place, lambda: False) for place in (0, 0.5, 0.999)]
        conn.execute("CREATE TEMPORARY TABLE recipients (recipient_id uuid, filler text)")
        conn.execute(
            "INSERT INTO recipients SELECT lpad(n::text, 32, '0')::uuid, repeat('x', 99) FROM generate_series(1, 900) n"
        )
        first_rows = [
            conn.execute(ROW_OF["recipients"], (place,)).fetchall()[0]["recipient_id"] for place in (0, 0.3, 0.7, 0.999)
        ]
        conn.execute("DROP TABLE recipients")

    assert samples == [(14, [], True)] * 3
    assert first_rows == sorted(set(first_rows))


def test_key_rotation_stops_at_a_row_whose_digest_was_altered(two_keys: LedgerBench) -> None:
    """A new digest over it would wipe the traces away."""
    swap_digests(two_keys)

    with pytest.raises(DigestMismatchError):
        list(KeyRotation(two_keys.storage).run())


def test_person_found_by_a_swapped_digest_is_neither_exported_nor_erased(two_keys: LedgerBench) -> None:
    """Else another person's data would be given out, or another person erased."""
    address = EmailAddress.parse("li.wei@example.com")
    swap_digests(two_keys)

    with pytest.raises(SealBrokenError):
        PersonReader(two_keys.storage).find_recipient_ids(address)
    with pytest.raises(SealBrokenError):
        PersonEraser(two_keys.storage).find_recipient_ids(address)


def test_staff_account_whose_digest_was_swapped_opens_no_session(two_keys: LedgerBench) -> None:
    """The address that signs in must be the one of the account."""
    sessions, address = StaffSessionRepository(two_keys.storage), EmailAddress.parse("li.wei@staff.example.com")
    credentials = sessions.find_credentials(address)
    with psycopg.connect(two_keys.database_url) as conn:
        one, other = (cell for cell in cells(conn, "bytea") if (cell.table, cell.column) == ("staff", "digest"))
        first, second = value(conn, one), value(conn, other)
        put(conn, one, b"-" * 32)
        put(conn, other, first)
        put(conn, one, second)

    assert credentials is not None
    assert sessions.find_credentials(address) is None
