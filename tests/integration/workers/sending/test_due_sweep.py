"""The sweep: finds what is due, never twice at once, and leaves marks that a failed publish takes back."""

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from redis import Redis

from domain.commands.context import CommandContext
from domain.ports import OutcomeUnknown, Rejected
from projections.work_queue.due_reservations import DueRows
from projections.work_queue.retention import prune
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.waiting import WAIT_S_MAX
from workers.dispatcher import IDS_PER_MESSAGE
from workers.monitoring.broker_loss import BrokerLossDetector
from workers.sending.due_sweep import SweepResult, sweep


class Publisher:
    """Takes ids, or fails."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.ids: list[UUID] = []

    def __call__(self, ids: Sequence[UUID]) -> None:
        if self.broken:
            raise OSError("broker away")
        self.ids += ids


def at(bench: LedgerBench, seconds: float) -> CommandContext:
    now = bench.storage.recorder.clock.now() + timedelta(seconds=seconds)
    return CommandContext(now=now, actor="sweep")


def run(bench: LedgerBench, publish: Publisher, seconds: float) -> SweepResult:
    return sweep(DueRows(bench.storage), bench.storage.ledger.execute, publish, at(bench, seconds), uuid4)


def reserved(bench: LedgerBench) -> UUID:
    return done(bench.redeem(bench.issue(), "li.wei@example.com")).require_reservation().reservation_id


def test_new_reservation_is_left_to_the_dispatcher(bench: LedgerBench) -> None:
    """The API hands new reservations over itself; the sweep waits for two seconds."""
    reserved(bench)
    publish = Publisher()

    assert run(bench, publish, 0) == SweepResult(settled=0, dispatched=0)


def test_lost_message_is_found(bench: LedgerBench) -> None:
    """Reservations that are not claimed are published again within seconds, and then at growing intervals."""
    reservation_id = reserved(bench)
    publish = Publisher()

    seconds = [second for second in range(3, 63) if run(bench, publish, second).dispatched]

    assert seconds == [3, 5, 9, 17, 33]
    assert set(publish.ids) == {reservation_id}


def test_retry_is_due_again(bench: LedgerBench) -> None:
    """The mark of an earlier wake-up call doesn't hold back what became due after it."""
    reservation_id = reserved(bench)
    publish = Publisher()
    run(bench, publish, 3)
    run(bench, publish, 5)
    bench.attempt(reservation_id, Rejected(server="mx:25", reason="temporary", final=False))

    assert [run(bench, publish, seconds).dispatched for seconds in (5.5, 9, 10)] == [0, 1, 0]


def test_two_beats_at_once_wake_for_each_reservation_once(bench: LedgerBench) -> None:
    """Rows are taken with SKIP LOCKED and marked: two sweeps share the work, in both of two rounds."""
    code = bench.issue(None, bound=False)
    ids = {
        done(bench.redeem(code, f"p{number}@example.com")).require_reservation().reservation_id for number in range(60)
    }
    publishers = [Publisher() for _ in range(4)]
    start = threading.Barrier(4)

    def beat(publish: Publisher) -> None:
        start.wait(WAIT_S_MAX)
        for seconds in (3, 5.5):
            while run(bench, publish, seconds).dispatched:
                pass  # one sweep takes a bounded number
            start.wait(WAIT_S_MAX)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(beat, publishers))

    published_ids = [reservation_id for publish in publishers for reservation_id in publish.ids]
    assert Counter(published_ids) == dict.fromkeys(ids, 2)


def test_failed_publish_is_repeated_by_the_next_round(bench: LedgerBench) -> None:
    """With the broker away the marks are taken back."""
    reservation_id = reserved(bench)
    with pytest.raises(OSError, match="away"):
        run(bench, Publisher(broken=True), 3)
    publish = Publisher()

    run(bench, publish, 4)

    assert publish.ids == [reservation_id]


def test_unknown_outcome_shares_no_message(bench: LedgerBench) -> None:
    """The email may be what killed its process: its neighbors are woken without it."""
    code = bench.issue(None, bound=False)
    ids = [
        done(bench.redeem(code, f"p{number}@example.com")).require_reservation().reservation_id for number in range(5)
    ]
    bench.attempt(ids[2], OutcomeUnknown(server="mx:25", cause="timeout"))
    messages: list[list[UUID]] = []

    while sweep(
        DueRows(bench.storage),
        bench.storage.ledger.execute,
        lambda ids: messages.append(list(ids)),
        at(bench, 60),
        uuid4,
    ).dispatched:
        pass  # one sweep takes a bounded number

    assert [ids[2]] in messages
    assert sorted(reservation_id for message in messages for reservation_id in message) == sorted(ids)
    assert max(map(len, messages)) == min(len(ids) - 1, IDS_PER_MESSAGE)


def test_reservations_are_published_again_after_a_broker_loss(bench: LedgerBench, redis_url: str) -> None:
    """Flushed or restarted without its memory: no wake-up call is trusted any more. Told once after each loss."""
    memory, rows, publish = BrokerLossDetector(redis_url), DueRows(bench.storage), Publisher()
    reserved(bench)
    for seconds in (3, 5, 9):
        run(bench, publish, seconds)
    first = [memory.was_wiped() for _ in range(2)]
    with Redis.from_url(redis_url) as client:
        client.flushall()
    second = [memory.was_wiped() for _ in range(2)]
    trusted = run(bench, publish, 10).dispatched
    rows.forget()

    assert (first, second) == ([True, False], [True, False])
    assert (trusted, run(bench, publish, 10).dispatched) == (0, 1)
    assert not BrokerLossDetector("redis://127.0.0.1:1/0").was_wiped()


def test_overdue_reservation_is_refunded(bench: LedgerBench) -> None:
    """With no worker at all the use comes back automatically at the deadline."""
    reserved(bench)

    swept = run(bench, Publisher(), 1803)

    assert swept.settled == 1
    assert bench.rows("SELECT used, reserved FROM code_balances") == [(0, 0)]
    assert bench.rows("SELECT refund_cause FROM reservations") == [("deadline",)]


def test_unknown_is_parked(bench: LedgerBench) -> None:
    reservation_id = reserved(bench)
    bench.attempt(reservation_id, OutcomeUnknown(server="mx:25", cause="timeout"))

    run(bench, Publisher(), 1803)

    assert bench.rows("SELECT case_id IS NOT NULL, due_at, status FROM reservations") == [(True, None, "live")]


def test_cleanup_drops_rows_past_their_retention(bench: LedgerBench) -> None:
    """Keys and refusals are kept for their time and no longer."""
    code = bench.issue(1, bound=False)
    bench.redeem(code, "a@example.com")
    bench.redeem(code, "b@example.com")
    now = bench.storage.recorder.clock.now()

    assert prune(bench.storage, now + timedelta(days=6), 7)["refusal"] == 0
    assert prune(bench.storage, now + timedelta(days=8), 7)["refusal"] == 1
    assert bench.rows("SELECT count(*) FROM refusals") == [(0,)]
