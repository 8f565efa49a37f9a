"""What the legacy system's statuses and counters become: unknown words, refunds, numbers below zero, waiting people."""

import re
from pathlib import Path
from typing import Any

from api.cli.maintenance.import_legacy import LISTED_PER_KIND_MAX, WORDS
from domain.errors import EmailMismatch
from domain.legacy.statuses import CODE_STATUSES, QUEUE_STATUSES, RECORD_STATUSES
from domain.results import CommandResult
from tests.integration.cli.maintenance.import_legacy.conftest import Import
from tests.support.clients.terminal import Terminal
from tests.support.ledger import legacy_database as old
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift, done

PERSON = "li.wei@example.com"


def history(terminal: Terminal, code: str) -> Any:  # noqa: ANN401 - whatever the document holds
    return terminal.ledger("history", code, "--json").json


def sentences(document: dict[str, Any], kind: str) -> list[tuple[str, str]]:
    return [(finding["code"], finding["sentence"]) for finding in document["findings"] if finding["kind"] == kind]


def test_import_counts_unknown_statuses_as_opening_balance(
    imports: Import, bench: LedgerBench, terminal: Terminal
) -> None:
    """A word that the importer does not know proves nothing, so what was counted is never refunded."""
    codes = [
        old.code(1, "UNKNOWN1", used_count=2),
        old.code(2, "UNKNOWN2", used_count=1, status="sleeping"),
        old.code(3, "KNOWN1", used_count=1),
    ]
    records = [
        old.record(1, "UNKNOWN1", status="accepted"),
        old.record(2, "UNKNOWN1", status="cancelled"),
        old.record(3, "UNKNOWN2", status=None),
        old.record(4, "KNOWN1", status="failed"),
    ]
    document = imports(codes, records)

    assert [history(terminal, code)["used_count"] for code in ("UNKNOWN1", "UNKNOWN2", "KNOWN1")] == [2, 1, 0]
    assert (document["unknown_status"], document["too_high"], document["agreeing"]) == (4, 1, 2)
    assert document["unknown_statuses"] == [
        {"table": "invite_records", "status": "", "number": 1},
        {"table": "invite_records", "status": "accepted", "number": 1},
        {"table": "invite_records", "status": "cancelled", "number": 1},
        {"table": "redeem_codes", "status": "sleeping", "number": 1},
    ]
    assert (
        "outcome unknown, 2 imported as an opening balance" in dict(sentences(document, "unknown_status"))["UNKNOWN1"]
    )
    opening = next(event for event in history(terminal, "UNKNOWN1")["events"] if "Opening" in event["type"])
    assert "status in the legacy system is unknown" in opening["sentence"]
    assert_no_drift(bench)


def test_report_names_each_unknown_status_with_its_number(tmp_path: Path, terminal: Terminal) -> None:
    records = [old.record(nth, "UNKNOWN1", status=word) for nth, word in enumerate(("[/x]", "[/x]", "a\x1b[31mb"), 1)]
    command_result = terminal.ledger(
        "import-legacy", "--dsn", old.sqlite(tmp_path / "old.db", [old.code(1, "UNKNOWN1", used_count=3)], records)
    )

    assert command_result.status == 0
    assert re.search(r"2  invite_records '\[/x\]'", command_result.out)
    assert re.search(r"1  invite_records 'a\\x1b\[31mb'", command_result.out)
    assert "\x1b" not in command_result.out


def test_docs_name_every_status_of_the_legacy_system() -> None:
    page = (Path(__file__).parents[5] / "docs/how-to/migrate-from-a-counter.md").read_text("utf-8")
    rows = re.findall(r"^\| `(invite_records|redeem_codes|invite_queue)` \| `(\w+)` \| (.+?) \|$", page, re.MULTILINE)
    statuses = {("invite_records", word, meaning.words) for word, meaning in RECORD_STATUSES.items()}
    statuses |= {("redeem_codes", word, words) for word, words in CODE_STATUSES.items() if word}

    assert {row for row in rows if row[0] != "invite_queue"} == statuses
    assert {row[1] for row in rows if row[0] == "invite_queue"} == set(QUEUE_STATUSES)


def test_removed_record_is_refunded_and_its_person_redeems_again(
    imports: Import, bench: LedgerBench, terminal: Terminal
) -> None:
    """The legacy system refunded the use when it removed the person, and its counter says so."""
    codes = [old.code(1, "REMOVED1", used_count=0, max_uses=1, bound_email=PERSON)]
    records = [old.record(1, "REMOVED1", status="removed", accepted_at="2026-01-07 00:00:00")]
    document = imports(codes, records)
    statement = history(terminal, "REMOVED1")

    assert (statement["used_count"], statement["available"], document["agreeing"], document["removed"]) == (0, 1, 1, 1)
    assert [event["type"] for event in statement["events"]] == [
        *("CodeIssued", "UseReserved", "InviteSent", "InviteAccepted", "AccessRevoked", "UseRefunded"),
    ]
    assert "refunded in the legacy system" in statement["events"][-1]["sentence"]
    assert bench.rows("SELECT status, refund_cause, access_due_at FROM reservations") == [("refunded", "legacy", None)]
    assert bench.rows("SELECT count(*) FROM outbox") == [(0,)]
    assert done(bench.redeem("REMOVED1", PERSON)).changed
    assert history(terminal, "REMOVED1")["reserved"] == 1
    assert_no_drift(bench)


def test_removed_person_who_was_invited_again_counts_once(
    imports: Import, bench: LedgerBench, terminal: Terminal
) -> None:
    """A new invitation leaves a pending record and a successful one next to the removed one; one use is counted."""
    codes = [
        old.code(1, "AGAIN1", used_count=1, max_uses=1, bound_email=PERSON),
        old.code(2, "MOVED1", used_count=0, max_uses=1, rebind_count=1),
        old.code(3, "OTHER1", used_count=1, max_uses=1),
    ]
    records = [
        old.record(1, "AGAIN1", status="removed", accepted_at="2026-01-07 00:00:00"),
        old.record(2, "AGAIN1", status="pending", consumed_at="2026-01-09 00:00:00"),
        old.record(3, "AGAIN1", created_at="2026-01-08 00:00:00"),
        old.record(4, "MOVED1"),
        old.record(5, "MOVED1", status="removed", is_rebind=True, created_at="2026-01-08 00:00:00"),
        old.record(6, "OTHER1", status="removed", accepted_at="2026-01-10 00:00:00"),
        old.record(7, "OTHER1", "wang.fang@example.com", created_at="2026-01-08 00:00:00"),
    ]
    document = imports(codes, records)
    counts = {code: history(terminal, code) for code in ("AGAIN1", "MOVED1", "OTHER1")}

    assert {code: (balance["used_count"], balance["max_uses"]) for code, balance in counts.items()} == {
        "AGAIN1": (1, 1),
        "MOVED1": (0, 1),
        "OTHER1": (1, 1),
    }
    assert (document["agreeing"], document["over_limit"], document["removed"]) == (3, 0, 3)
    assert isinstance(bench.redeem("MOVED1", PERSON), CommandResult)
    assert not done(bench.redeem("AGAIN1", PERSON)).changed
    assert isinstance(bench.redeem("AGAIN1", "wang.fang@example.com"), EmailMismatch)
    assert_no_drift(bench)


def test_negative_counter_is_weighed_by_the_records_and_noted(
    imports: Import, bench: LedgerBench, terminal: Terminal
) -> None:
    """The owner of such a code can redeem it; only a limit below zero leaves a code out."""
    codes = [
        old.code(1, "NEGATIVE1", used_count=-2, max_uses=2),
        old.code(2, "NEGATIVE2", used_count=-1, max_uses=1),
        old.code(3, "NEGATIVE3", validity_days=-5, rebind_count=-1, rebind_limit=-1),
        old.code(4, "LIMIT1", max_uses=-1),
    ]
    document = imports(codes, [old.record(1, "NEGATIVE1")])

    assert (document["out_of_range"], document["unreadable"], document["imported"]) == (3, 1, 3)
    assert history(terminal, "NEGATIVE1")["used_count"] == 1
    assert "[invitehub] used_count is -2: the records decide" in terminal.ledger("history", "NEGATIVE1").out
    assert isinstance(bench.redeem("NEGATIVE2", PERSON), CommandResult)
    issued = bench.rows("SELECT validity_days, rebinds_max FROM code_balances ORDER BY rebinds_max LIMIT 1")
    assert issued == [(1, 0)]
    assert ("LIMIT1", "redeem_codes: max_uses is -1, which is below zero; left out") in sentences(
        document, "unreadable"
    )


def test_extreme_numbers_and_times_do_not_stop_an_import(
    imports: Import, bench: LedgerBench, terminal: Terminal
) -> None:
    codes = [
        old.code(1, "DAYS1", validity_days=10**9, used_count=1, bound_email=PERSON),
        old.code(2, "NEVER1", expires_at="9999-12-31 23:59:59"),
        old.code(3, "EARLY1", created_at="0001-01-01 00:00:00"),
        old.code(4, "ZONE1", expires_at="0001-01-01 00:00:00+14:00"),
        old.code(5, "MOVES1", rebind_limit=10**6, rebind_count=10**6),
    ]
    document = imports(codes, [old.record(1, "DAYS1")], "--rebinds-as-recorded")

    assert (document["imported"], document["out_of_range"], document["unreadable"]) == (3, 2, 2)
    rows = bench.rows("SELECT max(validity_days), max(rebinds_max), max(expires_at) FROM code_balances")
    assert rows == [(36_500, 1_000, None)]
    assert isinstance(bench.redeem("NEVER1", PERSON), CommandResult)
    assert terminal.ledger("export", "codes").status == 0
    assert history(terminal, "DAYS1")["used_count"] == 1


def test_moves_are_bounded_as_in_the_legacy_system_unless_taken_as_recorded(
    imports: Import, bench: LedgerBench
) -> None:
    """It permits one move whatever a record says."""
    limits = {"LIMIT3": 3, "LIMIT1": 1, "LIMIT0": 0, "USUAL1": None}

    def codes(suffix: str) -> list[old.Row]:
        return [old.code(nth, name + suffix, rebind_limit=limit) for nth, (name, limit) in enumerate(limits.items(), 1)]

    first = imports(codes("A"), [])
    capped = bench.rows("SELECT rebinds_max FROM code_balances ORDER BY rebinds_max")
    second = imports(codes("B"), [], "--rebinds-as-recorded")
    recorded = bench.rows("SELECT max(rebinds_max) FROM code_balances")

    assert (first["rebind_limit"], second["rebind_limit"]) == (1, 1)
    assert (capped, recorded) == ([(0,), (1,), (1,), (None,)], [(3,)])


def test_people_in_the_legacy_queue_are_reported_and_not_written_to(imports: Import, bench: LedgerBench) -> None:
    statuses = ["waiting"] * 3 + ["WAITING", "pending", "processing", "success", "failed", "parked"]
    queue = [old.queued(nth, "WAITS1", status) for nth, status in enumerate(statuses, 1)]
    document = imports([old.code(1, "WAITS1")], [], queue=[*queue, old.queued(99, None, created_at="soon")])

    assert (document["waiting"], document["queued"], document["unreadable"], document["emails"]) == (4, 2, 1, 0)
    assert document["unknown_statuses"] == [{"table": "invite_queue", "status": "parked", "number": 1}]
    assert sentences(document, "waiting")[0][1].startswith(
        "a recipient has been waiting since 2026-01-09 08:00 UTC for a free seat"
    )
    assert bench.rows("SELECT count(*) FROM reservations") == bench.rows("SELECT count(*) FROM outbox") == [(0,)]


def test_report_names_every_class_with_its_number(tmp_path: Path, terminal: Terminal) -> None:
    count = min(30, LISTED_PER_KIND_MAX)
    codes = [old.code(nth, f"SAME{'-' * nth}", used_count=0) for nth in range(1, count + 1)]
    dsn = old.sqlite(tmp_path / "old.db", codes, [old.record(1, "NEVER")])
    output = terminal.ledger("import-legacy", "--dsn", dsn).out
    document = terminal.ledger("import-legacy", "--dsn", dsn, "--json").json

    assert set(WORDS) == {name for name, value in document.items() if isinstance(value, int)} - {"applied"}
    for name, words in WORDS.items():
        assert re.search(rf"^ *{document[name]:,}  {re.escape(words)}$", output, re.MULTILINE), name
    assert (document["left_out"], document["waiting"]) == (count + 1, 0)
    for row in codes:
        assert f"(legacy ID {row['id']}): another code is spelled almost the same" in output
    assert "NEVER (legacy ID 1)" in output
