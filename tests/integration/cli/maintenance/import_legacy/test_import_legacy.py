"""`ledger import-legacy` against the old system's tables, from the shell."""

import csv
import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from domain.errors import CodeExhausted, EmailMismatch
from domain.results import CommandResult
from tests.support.clients.terminal import Terminal
from tests.support.ledger import legacy_database as old
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift
from tests.support.servers.databases import database_of, drop, execute

CODES = [
    old.code(1, "ABC123", used_count=1),
    old.code(2, "agree-1", used_count=1, bound_email="li.wei@example.com", group_id=3, note="for the press"),
    old.code(3, "LOW1", used_count=0),
    old.code(4, "OVER1", used_count=2, max_uses=1),
    old.code(5, "TWICE", used_count=0),
    old.code(6, "TWI CE", used_count=0),
    old.code(7, "OFF1", is_active=False, max_uses=0, group_id=4),
    old.code(8, "GONE1", used_count=1, removed_at="2026-02-10 00:00:00", status="removed"),
    old.code(9, "BADMAIL", used_count=1),
    old.code(10, "BROKEN", expires_at="next week"),
    old.code(11, "DOUBT", used_count=1),
    old.code(12, "LOST-GROUP", group_id=99, max_uses=1, expires_at="2020-01-01 00:00:00"),
]
RECORDS = [
    old.record(1, "ABC123", status="FAILED"),
    old.record(2, "AGREE-1", accepted_at="2026-01-06 10:00:00"),
    old.record(3, "LOW1"),
    old.record(4, "OVER1", "a@example.com"),
    old.record(5, "OVER1", "b@example.com"),
    old.record(6, "GONE1"),
    old.record(7, "BADMAIL", "not an address"),
    old.record(8, "DOUBT", status="pending"),
    old.record(9, "NEVER", status="success"),
    old.record(10, None),
    old.record(11, "AGREE-1", is_rebind=True),
]
GROUPS = [{"id": 3, "name": "blue"}, {"id": 4, "name": "li.wei@example.com"}]
EXPECTED = {
    "codes_read": 12,
    "agreeing": 7,
    "too_high": 1,
    "too_low": 1,
    "over_limit": 1,
    "in_doubt": 1,
    "bad_email": 1,
    "orphan": 2,
    "duplicate": 2,
    "bad_code": 0,
    "unreadable": 1,
    "no_group": 2,
    "already": 0,
    "rebinds": 1,
    "guessable": 9,
}


@pytest.fixture(params=["sqlite", "postgresql"])
def dsn(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> Any:  # noqa: ANN401 - a fixture that gives str
    if request.param == "sqlite":
        yield old.sqlite(tmp_path / "old.db", CODES, RECORDS, GROUPS)
        return
    execute(postgres_url, "CREATE DATABASE old_system")
    broken = [row | ({"expires_at": None, "max_uses": -1} if row["code"] == "BROKEN" else {}) for row in CODES]
    yield old.postgres(database_of(postgres_url, "old_system"), broken, RECORDS, GROUPS)
    drop(postgres_url, "old_system")


def counts(document: dict[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in EXPECTED}


def test_dry_run_reports_and_changes_nothing(dsn: str, bench: LedgerBench, terminal: Terminal) -> None:
    command_result = terminal.ledger("import-legacy", "--dsn", dsn)
    document = terminal.ledger("import-legacy", "--dsn", dsn, "--json").json

    assert command_result.status == 0
    assert counts(document) == EXPECTED
    assert document["applied"] is False
    assert "ABC123 (legacy ID 1): used 1, sent 0, limit 5: 1 -> 0" in command_result.out
    assert bench.rows("SELECT count(*) FROM ledger_events") == [(0,)]


def test_second_legacy_import_adds_nothing(dsn: str, bench: LedgerBench, terminal: Terminal) -> None:
    first = terminal.ledger("import-legacy", "--dsn", dsn, "--apply", "--json").json
    second = terminal.ledger("import-legacy", "--dsn", dsn, "--apply", "--json").json

    assert (first["imported"], second["imported"], second["already"]) == (9, 0, 9)
    balances = {
        terminal_code: terminal.ledger("history", terminal_code, "--json").json
        for terminal_code in ("ABC123", "agree-1", "LOW1", "OVER1", "OFF1", "GONE1", "BADMAIL", "DOUBT", "LOST-GROUP")
    }
    assert {name: balance["used_count"] for name, balance in balances.items()} == {
        "ABC123": 0,
        "agree-1": 1,
        "LOW1": 1,
        "OVER1": 2,
        "OFF1": 0,
        "GONE1": 1,
        "BADMAIL": 1,
        "DOUBT": 1,
        "LOST-GROUP": 0,
    }
    assert {name: balance["state"] for name, balance in balances.items() if balance["state"] != "active"} == {
        "OVER1": "exhausted",
        "OFF1": "paused",
        "LOST-GROUP": "expired",
    }
    assert balances["OFF1"]["max_uses"] is None
    events = balances["agree-1"]["events"]
    assert [event["type"] for event in events] == [
        "CodeIssued",
        "UseReserved",
        "InviteSent",
        "InviteAccepted",
        "AccessExpired",
        "CodeNoted",
    ]
    assert [event["at"][:19] for event in events[:3]] == [
        "2026-01-05T10:00:00",
        "2026-01-06T09:30:00",
        "2026-01-06T09:30:00",
    ]
    assert_no_drift(bench)


def test_legacy_codes_can_be_redeemed(tmp_path: Path, bench: LedgerBench, terminal: Terminal) -> None:
    """The incident's code works again; a bound one is its owner's."""
    dsn = old.sqlite(tmp_path / "old.db", CODES, RECORDS, GROUPS)
    terminal.ledger("import-legacy", "--dsn", dsn, "--apply")

    assert isinstance(bench.redeem("ABC123", "li.wei@example.com"), CommandResult)
    assert isinstance(bench.redeem("AGREE1", "somebody@example.com"), EmailMismatch)
    assert isinstance(bench.redeem("OVER1", "c@example.com"), CodeExhausted)


def test_legacy_database_is_only_read(tmp_path: Path, terminal: Terminal) -> None:
    (tmp_path / "old").mkdir()
    dsn = old.sqlite(tmp_path / "old" / "old.db", CODES, RECORDS)
    before = hashlib.sha256((tmp_path / "old" / "old.db").read_bytes()).digest()
    terminal.ledger("import-legacy", "--dsn", dsn, "--apply")

    assert before == hashlib.sha256((tmp_path / "old" / "old.db").read_bytes()).digest()
    assert [entry.name for entry in (tmp_path / "old").iterdir()] == ["old.db"]


def test_legacy_database_with_fewer_columns_is_imported(tmp_path: Path, terminal: Terminal) -> None:
    """Columns that came later may be missing, and so may the groups."""
    path = tmp_path / "older.db"
    dsn = old.sqlite(path, [], [])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE team_groups")
        for table, columns in (
            ("redeem_codes", "id, code, max_uses, used_count"),
            ("invite_records", "id, email, status, redeem_code"),
        ):
            connection.execute(f"CREATE TABLE new AS SELECT {columns} FROM {table}")  # noqa: S608 - names are ours
            connection.execute(f"DROP TABLE {table}")
            connection.execute(f"ALTER TABLE new RENAME TO {table}")
        connection.execute("INSERT INTO redeem_codes VALUES (1, 'OLD1', 2, 1)")
        connection.execute("INSERT INTO invite_records VALUES (1, 'li.wei@example.com', 'SUCCESS', 'OLD1')")

    document = terminal.ledger("import-legacy", "--dsn", dsn, "--apply", "--json").json

    assert (document["agreeing"], document["imported"]) == (1, 1)


def test_database_without_legacy_tables_is_refused(tmp_path: Path, terminal: Terminal) -> None:
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "text.db").write_text("no database at all, only words in a row " * 100, "utf-8")

    assert "no table redeem_codes" in terminal.ledger("import-legacy", "--dsn", f"sqlite:///{tmp_path}/empty.db").err
    assert "cannot be read" in terminal.ledger("import-legacy", "--dsn", f"sqlite:///{tmp_path}/text.db").err


def test_report_is_written_to_a_file(tmp_path: Path, terminal: Terminal) -> None:
    codes = [*CODES, old.code(20, "=cmd|'x'!A1", used_count=1), old.code(21, "<script>", used_count=1)]
    dsn = old.sqlite(tmp_path / "old.db", codes, RECORDS)
    for suffix in ("csv", "html", "txt"):
        assert terminal.ledger("import-legacy", "--dsn", dsn, "--report", str(tmp_path / f"r.{suffix}")).status == 0

    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    page = (tmp_path / "r.html").read_text("utf-8")
    assert {"ABC123", "'=cmd|'x'!A1"} <= {row["code"] for row in rows}
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "codes_read" in page
    assert "too_high: ABC123 (legacy ID 1)" in (tmp_path / "r.txt").read_text("utf-8")


def test_interrupted_legacy_import_resumes(
    tmp_path: Path, bench: LedgerBench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = [old.code(number, f"CODE{number:04}", used_count=1) for number in range(1, 26)]
    dsn = old.sqlite(tmp_path / "old.db", codes, [old.record(number, f"CODE{number:04}") for number in range(1, 26)])
    monkeypatch.setattr("api.legacy_import.importer.BATCH", 10)
    ledger = type(bench.storage.ledger)
    calls: list[None] = []
    real = ledger.execute

    def dying(self: Any, commands: Any) -> Any:  # noqa: ANN401 - passes everything through
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, commands)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "execute", dying)
        assert terminal.ledger("import-legacy", "--dsn", dsn, "--apply").status == 130

    document = terminal.ledger("import-legacy", "--dsn", dsn, "--apply", "--json").json

    assert (document["already"], document["imported"]) == (10, 15)
    assert bench.rows("SELECT count(*), sum(used)::int FROM code_balances") == [(25, 25)]
    assert_no_drift(bench)


def test_history_names_the_legacy_system_that_was_imported(dsn: str, bench: LedgerBench, terminal: Terminal) -> None:
    refused = terminal.ledger("import-legacy", "--dsn", dsn, "--apply", "--source", "Li Wei <a@example.com>")
    imported = terminal.ledger("import-legacy", "--dsn", dsn, "--apply", "--source", "shop-2019")

    assert (refused.status, "is not a name" in refused.err) == (2, True)
    assert imported.status == 0
    assert "opening balance imported from shop-2019: 1" in terminal.ledger("history", "DOUBT").out
    assert bench.rows("SELECT count(*) FROM ledger_events WHERE strpos(encode(state, 'escape'), 'invitehub') > 0") == [
        (0,)
    ]
