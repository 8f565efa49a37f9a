"""`ledger refund-outage`: what it finds, that it only shows, that it refunds once."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.commands.delivery.accept_invite import AcceptInvite
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.commands.reservation.request_resend import RequestResend
from domain.commands.reservation.resolve_case import ResolveReservation
from domain.commands.reservation.settle_due import SettleDue
from domain.ports import Accepted, OutcomeUnknown
from tests.support.clients.terminal import CommandResult, Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done

LOST = OutcomeUnknown(server="mx:25", cause="connection_lost")
HOUR = timedelta(hours=1)


class OutageScenario:
    def __init__(self, bench: LedgerBench, terminal: Terminal) -> None:
        self.bench = bench
        self.terminal = terminal
        self.now = bench.storage.recorder.clock.now()

    def redeem(self, person: str) -> UUID:
        return done(self.bench.redeem(self.bench.issue(), f"{person}@example.com")).require_reservation().reservation_id

    def sent(self, person: str, server: str = "mx:25") -> UUID:
        reservation_id = self.redeem(person)
        self.bench.attempt(reservation_id, Accepted(server=server, reply_code=250))
        return reservation_id

    def parked(self, person: str) -> UUID:
        """One with an unknown outcome whose time is over."""
        reservation_id = self.redeem(person)
        self.bench.attempt(reservation_id, LOST)
        context = self.bench.context("sweep")
        late = type(context)(now=context.now + HOUR, actor="sweep")
        self.bench.run(SettleDue(context=late, reservation_id=reservation_id, case_id=UUID(int=len(person))))
        return reservation_id

    def run(self, *more: str, start: timedelta = -HOUR, end: timedelta = HOUR) -> CommandResult:
        window = ("--from", (self.now + start).isoformat(), "--to", (self.now + end).isoformat())
        return self.terminal.ledger("refund-outage", *window, *more, "--json")

    def list_affected(self, *more: str) -> list[str]:
        return sorted(entry["reservation_id"] for entry in self.run(*more).json["found"])

    def balance(self) -> tuple[int, int]:
        """(used, reserved), all codes together."""
        used, reserved = self.bench.rows("SELECT sum(used)::int, sum(reserved)::int FROM code_balances")[0]
        return used, reserved


@pytest.fixture
def outage(own_bench: LedgerBench, terminal: Terminal) -> OutageScenario:
    return OutageScenario(own_bench, terminal)


def test_refund_outage_changes_nothing_without_apply(outage: OutageScenario) -> None:
    parked = outage.parked("a")

    ended = outage.run()
    shown = outage.terminal.ledger("refund-outage", "--from", "2020-01-01", "--to", "2100-01-01")

    assert (ended.status, ended.json["applied"], ended.json["refunded"]) == (0, False, 0)
    assert [entry["reservation_id"] for entry in ended.json["found"]] == [str(parked)]
    assert str(parked) in shown.out
    assert "add --apply" in shown.out
    assert outage.balance() == (0, 1)


def test_refund_outage_includes_sent_on_request_but_never_accepted(outage: OutageScenario) -> None:
    """An opened link proves that the mail was not lost."""
    parked, sent, accepted = outage.parked("a"), outage.sent("b"), outage.sent("c")
    outage.bench.run(
        AcceptInvite(context=outage.bench.context(), reservation_id=accepted, delivery=1, case_id=UUID(int=9))
    )

    assert outage.list_affected() == [str(parked)]
    assert outage.list_affected("--include-sent") == sorted([str(parked), str(sent)])


def test_refund_outage_refunds_once_under_one_correlation_id(outage: OutageScenario) -> None:
    outage.parked("a")
    outage.sent("b")

    first = outage.run("--include-sent", "--apply").json
    second = outage.run("--include-sent", "--apply").json

    assert (first["refunded"], second["refunded"], second["found"]) == (2, 0, [])
    assert outage.balance() == (0, 0)
    states = outage.bench.rows("SELECT DISTINCT status, refund_cause, case_id FROM reservations")
    assert states == [("refunded", "outage", None)]
    correlated = "SELECT count(*) FROM ledger_events WHERE event_fields(state) ->> 'correlation_id' = %s"
    assert outage.bench.rows(correlated, first["correlation_id"]) == [(3,)]


def test_refund_outage_filters_by_window_channel_and_server(outage: OutageScenario) -> None:
    here, there = outage.sent("a", "mx1:25"), outage.sent("b", "mx2:25")

    assert outage.list_affected("--include-sent", "--server", "mx1:25") == [str(here)]
    assert outage.list_affected("--include-sent", "--channel", "smtp") == sorted([str(here), str(there)])
    assert outage.list_affected("--include-sent", "--channel", "team") == []
    assert outage.run("--include-sent", start=-2 * HOUR, end=-HOUR).json["found"] == []
    assert outage.run("--include-sent", start=HOUR, end=2 * HOUR).json["found"] == []


def test_refund_outage_ignores_recipients_who_were_sent_another_email(outage: OutageScenario) -> None:
    """The last email counts: what was sent again after the outage, or called sent by a person, is not refunded."""
    resent, decided = outage.sent("a"), outage.parked("b")
    outage.bench.run(RequestResend(context=outage.bench.context("staff"), reservation_id=resent))
    before = outage.list_affected("--include-sent", "--server", "mx:25")
    context = outage.bench.context("worker", "t2")
    outage.bench.run(ClaimAttempt(context=context, reservation_id=resent, channel="smtp", case_id=uuid4()))
    outage.bench.run(
        RecordOutcome(
            context=context,
            reservation_id=resent,
            delivery=2,
            attempt=2,
            outcome=Accepted(server="mx2:25", reply_code=250),
            case_id=uuid4(),
        )
    )
    outage.bench.run(
        ResolveReservation(
            context=outage.bench.context("staff"), reservation_id=decided, resolution="sent", case_id=uuid4()
        )
    )

    assert before == sorted([str(resent), str(decided)])
    assert outage.list_affected("--include-sent", "--server", "mx:25") == []


def test_refund_outage_ignores_reservations_that_are_still_retried(outage: OutageScenario) -> None:
    """With an unknown outcome but not parked: it is tried again automatically."""
    outage.bench.attempt(outage.redeem("a"), LOST)

    assert outage.list_affected("--include-sent") == []
