"""A reservation that this process has claimed is not folded again for its outcome, and news of it are not missed."""

from contextlib import closing
from uuid import uuid4

import pytest
from msgspec.structs import replace

from domain.asks import Asks
from domain.command_bus import COMMANDS
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.commands.reservation.reserve import ReserveUse
from domain.model.reservation import Reservation
from domain.results import CommandResult
from projections.event_store import batch_reads
from projections.event_store.unit_of_work import ROUNDS_MAX
from projections.storage.bootstrap import LedgerStore
from tests.support.ledger.decoded_topics import record_decoded_topics
from tests.support.ledger.ledger_bench import SENT, LedgerBench, assert_no_drift, done
from tests.support.ledger.settings import settings_for


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return record_decoded_topics(monkeypatch, batch_reads)


def test_outcome_decodes_no_event_again(bench: LedgerBench, topics: list[str]) -> None:
    """The claim reads the reservation's event; the outcome takes the state that the claim left, and ends its place."""
    reservation = done(bench.redeem(bench.issue(), "one@example.com")).require_reservation()

    result = bench.attempt(reservation.reservation_id, SENT)

    assert result.require_reservation().status == "sent"
    assert topics == ["UseReserved:1"]
    assert bench.storage.recorder.caches.newest.claimed == {}
    assert_no_drift(bench)


def test_outcome_of_another_process_is_seen(bench: LedgerBench) -> None:
    """Another process records the outcome first: the state that the claim left gets that event, and no other."""
    reservation = claim(bench, done(bench.redeem(bench.issue(), "one@example.com")).require_reservation())
    with closing(LedgerStore.open(settings_for(bench.database_url))) as storage:
        first = record(LedgerBench(storage, bench.database_url), reservation)

    second = record(bench, reservation)

    assert (first.changed, second.changed) == (True, False)
    assert second.require_reservation() == first.require_reservation()
    assert bench.rows("SELECT count(*) FROM ledger_events WHERE topic = 'InviteSent:1'") == [(1,)]
    assert_no_drift(bench)


def claim(bench: LedgerBench, reservation: Reservation) -> Reservation:
    command = ClaimAttempt(
        context=bench.context("worker", "t1"),
        reservation_id=reservation.reservation_id,
        channel="smtp",
        case_id=uuid4(),
    )
    return done(bench.run(command)).require_reservation()


def record(bench: LedgerBench, reservation: Reservation) -> CommandResult:
    command = RecordOutcome(
        context=bench.context("worker", "t1"),
        reservation_id=reservation.reservation_id,
        delivery=reservation.delivery,
        attempt=reservation.last_attempt,
        outcome=SENT,
        case_id=uuid4(),
    )
    return done(bench.run(command))


def test_batch_that_never_stops_asking_is_ended(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in what a command asks for must not keep its code locked."""

    def ask_for_another_text(_commands: object, _seen: object, asks: Asks) -> None:
        asks.texts.add(uuid4())

    code = bench.issue()
    rule = COMMANDS[ReserveUse]
    monkeypatch.setitem(COMMANDS, ReserveUse, rule._replace(reads=replace(rule.reads, ask=ask_for_another_text)))

    with pytest.raises(AssertionError, match=f"asks for more after {ROUNDS_MAX} rounds"):
        bench.redeem(code, "one@example.com")
