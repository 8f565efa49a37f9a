"""What an import does about access and bindings: no person hears of it, unless that was asked for."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.commands.access.settle_access import SettleAccess
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.errors import EmailMismatch, RecipientNotCorrectable
from domain.results import CommandResult
from domain.values.identifiers import EmailAddress, normalize_code
from projections.monitoring.event_counters import update_counters
from projections.work_queue.due_access import DueAccessRows
from tests.integration.cli.maintenance.import_legacy.conftest import Import
from tests.support.clients.terminal import Terminal
from tests.support.ledger import legacy_database as old
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift, done
from tests.support.ledger.rebuilds import rebuilt

FORMER = json.loads(Path(__file__).with_name("former_import.json").read_text("utf-8"))
"""A ledger that an earlier version imported, which knew neither refunded uses nor silent ends: codes and events."""
PERSON = "li.wei@example.com"
STRANGER = "wang.fang@example.com"


def ago(**time: float) -> str:
    return f"{datetime.now(UTC) - timedelta(**time):%Y-%m-%d %H:%M:%S}"


def legacy_accesses() -> tuple[list[old.Row], list[old.Row]]:
    """Access that ended, two on one code; that ends in 2, 6 and 20 days; without end; removed there."""
    began = {"OVER1": 40, "OVER2": 400, "SOON1": 28, "SOON2": 24, "LATER1": 10, "ENDLESS1": 400, "GONE1": 400}
    codes = [
        old.code(
            nth,
            text,
            used_count=1,
            max_uses=2,
            validity_days=None if text == "ENDLESS1" else 30,
            status="removed" if text == "GONE1" else "bound",
        )
        for nth, text in enumerate(began, 1)
    ]
    records = [old.record(nth, text, created_at=ago(days=days)) for nth, (text, days) in enumerate(began.items(), 1)]
    return codes, [*records, old.record(20, "OVER2", STRANGER, created_at=ago(days=399))]


def due(bench: LedgerBench) -> list[UUID]:
    """Reservations about whose access the workers have something to do now."""
    return [each.reservation_id for each in DueAccessRows(bench.storage).take(bench.context().now, limit=100)]


def test_access_that_ended_before_the_import_is_closed_without_email(imports: Import, bench: LedgerBench) -> None:
    document = imports(*legacy_accesses())

    assert (document["ended"], document["emails"], document["imported"]) == (3, 0, 7)
    assert due(bench) == []
    assert bench.rows("SELECT count(*) FROM outbox") == [(0,)]
    expired = bench.rows("SELECT event_fields(state) ->> 'notify' FROM ledger_events WHERE topic = 'AccessExpired:1'")
    assert expired == [("false",)] * 3
    assert_no_drift(bench)


def test_closed_access_is_not_counted_as_being_removed(imports: Import, bench: LedgerBench) -> None:
    """Else the count of removals that began would stay ahead of those that ended."""
    imports(*legacy_accesses())
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        update_counters(conn)

    assert bench.rows("SELECT label FROM tallies WHERE name = 'cleanup'") == []


def test_marks_that_passed_before_the_import_are_not_announced(imports: Import, bench: LedgerBench) -> None:
    """The legacy system had announced them; those that are ahead are announced here."""
    imports(*legacy_accesses())
    dues = bench.rows("SELECT access_due_at - sent_at FROM reservations WHERE access_due_at IS NOT NULL ORDER BY 1")

    assert [span.days for (span,) in dues] == [23, 27, 29]


@pytest.mark.parametrize("apply", [False, True])
def test_notify_ended_writes_to_people_whose_access_ended(imports: Import, bench: LedgerBench, apply: bool) -> None:
    document = imports(*legacy_accesses(), "--notify-ended", apply=apply)
    due_ids = due(bench)

    assert (document["ended"], document["emails"], len(due_ids)) == (3, 3, 3 if apply else 0)
    for key in due_ids:
        settled = done(
            bench.run(SettleAccess(context=bench.context("worker"), reservation_id=key))
        ).require_reservation()
        assert settled.access is not None
        assert settled.access.removal == "removing"


def test_dry_run_says_how_many_people_get_an_email(tmp_path: Path, terminal: Terminal) -> None:
    dsn = old.sqlite(tmp_path / "old.db", *legacy_accesses())

    quiet = terminal.ledger("import-legacy", "--dsn", dsn).out
    loud = terminal.ledger("import-legacy", "--dsn", dsn, "--notify-ended").out
    assert "no email is sent; with --notify-ended, 3 recipients whose access has ended would get one" in quiet
    assert "3 recipients would get an email that their access ended" in loud


BOUND = [
    old.code(1, "DROPPED1", used_count=1, max_uses=1, bound_email=PERSON),
    old.code(2, "DROPPED2", bound_email="not an address"),
    old.code(3, "COUNTED1", used_count=1, bound_email=PERSON),
    old.code(4, "NEVER1"),
    old.code(5, "REMOVED1", bound_email=PERSON),
]
BOUND_RECORDS = [
    old.record(1, "DROPPED1", status="failed"),
    old.record(2, "COUNTED1"),
    old.record(3, "REMOVED1", status="removed"),
]


def test_binding_without_an_invitation_is_dropped_and_reported(imports: Import, bench: LedgerBench) -> None:
    """A failed first use binds nothing."""
    document = imports(BOUND, BOUND_RECORDS)
    named = [finding["code"] for finding in document["findings"] if finding["kind"] == "binding_dropped"]

    assert (document["binding_dropped"], document["binding_kept"]) == (3, 0)
    assert named == ["DROPPED1", "DROPPED2", "REMOVED1"]
    assert isinstance(bench.redeem("DROPPED1", STRANGER), CommandResult)
    assert isinstance(bench.redeem("COUNTED1", STRANGER), EmailMismatch)


def test_keep_binding_lets_only_the_bound_person_redeem(
    imports: Import, bench: LedgerBench, terminal: Terminal
) -> None:
    """Whatever becomes of their uses, until staff release it."""
    document = imports(BOUND, BOUND_RECORDS, "--keep-binding")

    assert (document["binding_kept"], document["binding_dropped"]) == (2, 1)
    assert isinstance(bench.redeem("DROPPED1", STRANGER), EmailMismatch)
    assert isinstance(bench.redeem("REMOVED1", STRANGER), EmailMismatch)
    reservation = done(bench.redeem("DROPPED1", PERSON)).require_reservation()
    elsewhere = CorrectRecipient(
        context=bench.context("staff"),
        reservation_id=reservation.reservation_id,
        recipient=bench.storage.vault.draft_recipient(EmailAddress.parse(STRANGER), uuid4()),
        new_reservation_id=uuid4(),
    )
    refused = bench.run(elsewhere)
    assert isinstance(refused, RecipientNotCorrectable)
    assert refused.why == "kept_binding"
    assert terminal.ledger("refund", str(reservation.reservation_id), "--note", "test").status == 0
    assert isinstance(bench.redeem("DROPPED1", STRANGER), EmailMismatch)
    assert terminal.ledger("terms", "DROPPED1", "--max-uses", "2").status == 0
    assert isinstance(bench.redeem("DROPPED1", STRANGER), EmailMismatch)
    assert terminal.ledger("terms", "DROPPED1", "--unbind").status == 0
    assert isinstance(bench.redeem("DROPPED1", STRANGER), CommandResult)
    assert_no_drift(bench)
    assert rebuilt(bench).counts == {}


def test_same_person_has_one_id_whatever_the_order_of_records(imports: Import, bench: LedgerBench) -> None:
    """Records are not in the order of their times, and codes of one batch share their people."""
    codes = [old.code(nth, f"ORDER{nth}", used_count=2, bound_email=PERSON) for nth in (1, 2)]
    records = [
        old.record(1, "ORDER1", created_at="2026-02-01 00:00:00"),
        old.record(2, "ORDER1", created_at="2026-01-01 00:00:00"),
        old.record(3, "ORDER2", status="removed"),
    ]
    imports(codes, records, "--keep-binding")

    people = bench.rows("SELECT recipient_id FROM recipients")
    assert bench.rows("SELECT DISTINCT recipient_id FROM reservations") == people
    assert bench.rows("SELECT bound_to FROM code_balances WHERE bound_to IS NOT NULL") == people


def write_former(bench: LedgerBench) -> None:
    """Put the events of the earlier version into the log, their codes into the vault, and make their rows."""
    vault = bench.storage.vault
    with psycopg.connect(bench.database_url) as conn:
        for event in FORMER["events"]:
            place = (UUID(event["code_id"]), event["version"], event["topic"])
            conn.execute(
                "INSERT INTO ledger_events (originator_id, originator_version, topic, state) VALUES (%s, %s, %s, %s)",
                (*place, json.dumps(event["fields"]).encode()),
            )
        for code in FORMER["codes"]:
            draft: Any = vault.draft_code(normalize_code(code["code"]), UUID(code["id"]))
            seal = draft.seal()
            conn.execute(
                "INSERT INTO code_texts (code_id, digest, pepper_id, sealed, key_id, hint)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                (UUID(code["id"]), draft.digests[0], draft.pepper_id, seal.sealed, seal.key_id, draft.suffix),
            )
    rebuilt(bench, apply=True)


def test_ledger_imported_by_an_earlier_version_is_left_as_it_is(imports: Import, bench: LedgerBench) -> None:
    """Its codes are there already, whatever they would become today; a code that it left out is imported now."""
    write_former(bench)
    before = bench.rows("SELECT * FROM code_balances ORDER BY code_id")
    codes = [
        old.code(1, "COUNTED-1", used_count=1, bound_email=PERSON, rebind_limit=3),
        old.code(2, "REMOVED-1", max_uses=1, bound_email=PERSON),
        old.code(3, "REMOVED-2", used_count=1, max_uses=1, bound_email=PERSON),
        old.code(4, "UNKNOWN-1", used_count=2),
        old.code(5, "DROPPED-1", used_count=1, bound_email=STRANGER),
        old.code(6, "NEGATIVE-1", used_count=-1),
    ]
    records = [
        old.record(1, "COUNTED-1"),
        old.record(2, "REMOVED-1", status="removed"),
        old.record(3, "REMOVED-2", status="removed"),
        old.record(4, "REMOVED-2"),
        old.record(5, "UNKNOWN-1", status="accepted"),
    ]
    first, second = (imports(codes, records, "--keep-binding", "--notify-ended") for _ in range(2))

    assert (first["already"], first["imported"], first["emails"], first["removed"]) == (5, 1, 0, 0)
    assert (second["already"], second["imported"]) == (6, 0)
    code_ids = [UUID(code["id"]) for code in FORMER["codes"]]
    assert bench.rows("SELECT * FROM code_balances WHERE code_id = ANY(%s) ORDER BY code_id", code_ids) == before
    assert_no_drift(bench)
    assert rebuilt(bench).counts == {}
