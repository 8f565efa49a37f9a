"""`verify`: right ledgers pass, each kind of damage is named, nothing is repaired."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.model.crossings import CROSSING_RULE
from domain.ports import OutcomeUnknown
from projections.replay.invariant_observer import NO_ADDRESS
from projections.replay.log_fold import MemoryLimits
from projections.verification.drift_sample import LastVerified, last_verified, sample_codes
from projections.verification.run import run_verify
from projections.verification.verify import NO_LOST_EVENTS, SETTLED_IN_TIME, verify
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.random_history import RandomHistory
from tests.support.ledger.rebuilds import NoProgress, read_models, rebuilt

GRACE = timedelta(minutes=3)


def verified(bench: LedgerBench, grace: timedelta = GRACE) -> tuple[int, dict[str, Any]]:
    """Run the command with --json; its exit code and document."""
    out = StringIO()
    code = run_verify(bench.database_url, grace, 100, as_json=True, out=out, err=StringIO())
    return code, json.loads(out.getvalue())


def damage(bench: LedgerBench, statement: str, *params: object) -> None:
    """Change a table without the ledger; the log too, as only a superuser could. No snapshot shows it."""
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("DELETE FROM code_snapshots")
        conn.execute("ALTER TABLE ledger_events DISABLE TRIGGER USER")
        conn.execute(statement.encode(), params)
        conn.execute("ALTER TABLE ledger_events ENABLE TRIGGER USER")


def sent(bench: LedgerBench, max_uses: int = 2) -> UUID:
    code = bench.issue(max_uses)
    reservation = done(bench.redeem(code, "li.wei@example.com")).require_reservation()
    bench.attempt(reservation.reservation_id)
    return reservation.code_id


@pytest.mark.parametrize("seed", range(4))
def test_random_histories_pass(bench: LedgerBench, seed: int) -> None:
    """Every row is what the log says and every rule holds at every version, however little is held in memory."""
    RandomHistory(bench, seed + 100).go_on(80)

    report = verify(
        bench.database_url,
        timedelta(days=1),
        NoProgress(),
        10,
        limits=MemoryLimits(page_events=5, open_reservations_max=2, catch_up_events=3),
    )

    assert (report.wrong, report.findings, report.rows.counts) == (0, [], {})
    assert report.rows.events > 20


def test_right_ledger_ends_with_0_and_leaves_its_mark(bench: LedgerBench) -> None:
    """Exit code 0; time and position are kept for the metrics."""
    sent(bench)

    code, document = verified(bench)

    assert (code, document["wrong"], document["position"], document["events"]) == (0, 0, 4, 4)
    assert [(last.kind, last.position) for last in remembered(bench)] == [("full", 4)]


def test_drifted_row_is_named_and_not_repaired(bench: LedgerBench) -> None:
    """Exit code 1 with the row, its values and the event; the row stays as it is."""
    code_id = sent(bench)
    damage(bench, "UPDATE code_balances SET used = 2")
    before = read_models(bench)

    code, document = verified(bench)

    assert code == 1
    row = document["differences"][0]
    assert ("code_balances", str(code_id), {"used": 2}, {"used": 1}) == (
        row["table"],
        row["row_id"],
        row["old"],
        row["new"],
    )
    assert row["event"]["type"] == "InviteSent"
    assert before == read_models(bench)


def replaced(topic: str, old: str, new: str) -> str:
    text = f"replace(event_fields(state)::text, '{old}', '{new}')"
    return f"UPDATE ledger_events SET state = convert_to({text}, 'UTF8') WHERE topic = '{topic}'"  # noqa: S608 - texts of this file


UNREADABLE = "event log: every event can be read and follows"
SENT_STATE = "(SELECT state FROM ledger_events WHERE topic = 'InviteSent:1')"
SENT_TWICE = f"UPDATE ledger_events SET topic = 'InviteSent:1', state = {SENT_STATE} WHERE topic = 'InviteAttempted:1'"  # noqa: S608 - texts of this file
DELETED = "DELETE FROM ledger_events WHERE topic = 'InviteAttempted:1'"
REORDERED = "UPDATE ledger_events SET notification_id = notification_id + 100 WHERE topic = 'UseReserved:1'"
DAMAGES = {
    "flipped byte": (replaced("InviteSent:1", "{", "#"), UNREADABLE, 4, "InviteSent"),
    "deleted event": (DELETED, UNREADABLE, 4, "InviteSent"),
    "reordered pair": (REORDERED, UNREADABLE, 3, "InviteAttempted"),
    "sent twice": (SENT_TWICE, "invariant 4: sent once per delivery", 4, "InviteSent"),
    "limit lowered": (
        replaced("CodeIssued:1", '"max_uses": 2', '"max_uses": 0'),
        *("invariant 1: no use is granted beyond the limit", 2, "UseReserved"),
    ),
    "crossing not reported": (
        replaced("CodeIssued:1", '"max_uses": 2', '"max_uses": 2, "notify_at": "1 left"'),
        *(CROSSING_RULE, 4, "InviteSent"),
    ),
    "clear address": (replaced("InviteSent:1", "mx:25", "li.wei@example.com"), NO_ADDRESS, 4, "InviteSent"),
}


@pytest.mark.parametrize(("statement", "rule", "version", "kind"), DAMAGES.values(), ids=DAMAGES)
def test_damage_to_the_log_is_named(bench: LedgerBench, statement: str, rule: str, version: int, kind: str) -> None:
    """Exit code 1, with rule, stream, version and type of the event at which it shows."""
    code_id = sent(bench)
    damage(bench, statement)

    code, document = verified(bench)

    assert code == 1
    places = [
        (finding["rule"], finding["stream"], finding["version"], finding["type"]) for finding in document["findings"]
    ]
    assert (rule, str(code_id), version, kind) in places


@pytest.mark.parametrize("event_count", [0, 3])
def test_stream_without_its_end_is_named(bench: LedgerBench, event_count: int) -> None:
    """Nothing in the log tells of the gap, but the balance was made with the events that are lost."""
    code_id = sent(bench)
    damage(bench, "DELETE FROM ledger_events WHERE originator_version > %s", event_count)

    code, document = verified(bench)

    assert code == 1
    places = [
        (finding["rule"], finding["stream"], finding["version"], finding["type"]) for finding in document["findings"]
    ]
    assert [(NO_LOST_EVENTS, str(code_id), event_count + 1, "lost")] == places


def test_event_that_can_t_be_read_does_not_hide_the_others(bench: LedgerBench) -> None:
    """The rows of its stream are left out, those of others are still compared."""
    broken, other = sent(bench), sent(bench)
    damage(bench, "UPDATE ledger_events SET topic = 'X:1' WHERE originator_id = %s AND originator_version = 2", broken)
    damage(bench, "UPDATE code_balances SET used = 2 WHERE code_id = %s", other)

    _, document = verified(bench)

    assert document["counts"] == {"code_balances": {"change": 1}}
    assert [(str(broken), "X")] == [(finding["stream"], finding["type"]) for finding in document["findings"]]


def test_verify_names_reservations_that_are_not_settled_in_time(bench: LedgerBench) -> None:
    """Invariant 2: past deadline, lease and grace, neither settled nor a case."""
    reservation_id = done(bench.redeem(bench.issue(), "li.wei@example.com")).require_reservation().reservation_id

    in_time = verified(bench)[0]
    late = verified(bench, timedelta(days=-1))[1]

    assert in_time == 0
    assert [(SETTLED_IN_TIME, str(reservation_id))] == [
        (finding["rule"], finding["reservation_id"]) for finding in late["findings"]
    ]


def test_parked_unknown_is_not_a_finding(bench: LedgerBench) -> None:
    """A case waits for a person as long as it takes."""
    reservation = done(bench.redeem(bench.issue(), "li.wei@example.com")).require_reservation()
    bench.attempt(reservation.reservation_id, OutcomeUnknown(server="mx:25", cause="timeout"))
    damage(bench, "UPDATE reservations SET case_id = %s", case := uuid4())
    state = (
        b'{"at":"2999-01-01T00:00:00Z","actor":"sweep","reservation_id":"%b","case_id":"%b","cause":"unknown_outcome"}'
    )
    damage(
        bench,
        "INSERT INTO ledger_events (originator_id, originator_version, topic, state) VALUES (%s, 5, %s, %s)",
        *(reservation.code_id, "CaseOpened:1", state % (str(reservation.reservation_id).encode(), str(case).encode())),
    )

    _, document = verified(bench, timedelta(days=-1))

    assert document["findings"] == []


def test_sample_keeps_wrong_codes_until_they_are_right(bench: LedgerBench) -> None:
    """What one round found the next ones look at again, so the exported number stays up as long as its cause."""
    code_id = sent(bench)
    now = bench.storage.recorder.clock.now()
    damage(bench, "UPDATE code_balances SET used = 2")
    verified(bench)

    wrong = sample_codes(bench.storage, 0, now)
    rebuilt(bench, apply=True)
    right = sample_codes(bench.storage, 0, now)

    assert ([code_id], 1) == ([drift.row_id for drift in wrong.drifts], wrong.drifting)
    assert (right.drifts, right.drifting) == ([], 0)
    assert [(last.kind, last.position) for last in remembered(bench)] == [("full", 4), ("sample", 4)]


def test_sample_finds_a_campaign_whose_row_differs_from_its_stream(bench: LedgerBench) -> None:
    """Campaigns are sampled as codes are."""
    campaign = bench.create_campaign(max_uses=2)
    sample = sample_codes(bench.storage, 5, bench.storage.recorder.clock.now())
    damage(bench, "UPDATE campaigns SET occupied = 1")
    wrong = sample_codes(bench.storage, 5, bench.storage.recorder.clock.now())

    assert (sample.drifts, sample.events) == ([], 1)
    assert [(drift.table, drift.row_id) for drift in wrong.drifts] == [("campaigns", campaign)]
    assert wrong.drifting == 1


def remembered(bench: LedgerBench) -> list[LastVerified]:
    with psycopg.connect(bench.database_url) as conn:
        return last_verified(conn)
