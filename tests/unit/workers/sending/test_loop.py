import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from projections.database.errors import StorageUnavailableError
from projections.telemetry.metrics import ERRORS
from tests.support.inline_executor import InlineExecutor
from tests.support.waiting import WAIT_S_MAX
from workers.sending.loop import RECORD_ATTEMPTS_MAX, Ended, send_at_once, send_due

SLOTS = 3


@dataclass
class Numbers:
    """A kind of what is sent: numbers, of which each turn leases the next ones.

    Attributes:
        remaining: What is due.
        send: Sends one.
        skipped: What ends without being sent, after its lease.
        outage: Turns, from 1, in which the database is unavailable.
    """

    remaining: list[int]
    send: Callable[[int], str] = str
    skipped: frozenset[int] = frozenset()
    outage: range = range(0)
    executor: ThreadPoolExecutor | InlineExecutor = field(default_factory=InlineExecutor)
    slots: int = SLOTS
    leased: list[list[int]] = field(default_factory=list)
    recorded: dict[int, str | None] = field(default_factory=dict)
    turns: int = 0

    def turn(self, ended: Sequence[Ended[int, str]], free: int) -> Sequence[int] | None:
        self.turns += 1
        if self.turns in self.outage:
            raise StorageUnavailableError("outage")
        self.recorded |= dict(ended)
        leased, self.remaining = self.remaining[:free], self.remaining[free:]
        self.leased.append(leased)
        return [number for number in leased if number not in self.skipped] if leased else None

    def start(self, leased: Sequence[int]) -> Mapping[Future[str], int]:
        return {self.executor.submit(self.send, number): number for number in leased}


def test_everything_due_is_sent_and_recorded_with_the_next_lease() -> None:
    kind = Numbers([*range(5)])

    send_due(kind)

    assert kind.recorded == {number: str(number) for number in range(5)}
    assert kind.leased == [[0, 1, 2], [3, 4], []]


def test_message_that_ends_unsent_ends_no_run() -> None:
    kind = Numbers([*range(5)], skipped=frozenset({0, 1, 2}))

    send_due(kind)

    assert kind.recorded == {3: "3", 4: "4"}


def test_slow_message_does_not_delay_the_others() -> None:
    kind, others = Numbers([*range(9)]), threading.Event()

    def send(number: int) -> str:
        if number == 0:
            assert others.wait(WAIT_S_MAX)
        elif number == 8:
            others.set()
        return str(number)

    kind.send = send
    with ThreadPoolExecutor(SLOTS) as kind.executor:
        send_due(kind)

    assert 0 in list(kind.recorded)[-SLOTS:]  # with those that ended at about the same time
    assert len(kind.recorded) == 9
    assert all(len(leased) < SLOTS for leased in kind.leased[1:])


def test_nothing_is_leased_after_the_request_to_stop() -> None:
    kind = Numbers([*range(9)])

    send_due(kind, lambda: kind.turns >= 1)

    assert (kind.leased, sorted(kind.recorded)) == ([[0, 1, 2], []], [0, 1, 2])


def test_run_that_is_stopped_before_it_begins_does_nothing() -> None:
    kind = Numbers([1])

    send_due(kind, lambda: True)

    assert kind.turns == 0


def test_bug_leaves_its_message_without_an_outcome() -> None:
    def send(number: int) -> str:
        if number == 1:
            raise ZeroDivisionError
        return str(number)

    before = ERRORS.labels("celery_error")._value.get()

    class AtOnce(Numbers):
        def start(self, leased: Sequence[int]) -> Mapping[Future[str], int]:
            return {send_at_once(send, number): number for number in leased}

    send_due(kind := AtOnce([*range(4)]))

    assert kind.recorded == {0: "0", 1: None, 2: "2", 3: "3"}
    assert ERRORS.labels("celery_error")._value.get() == before + 1


@pytest.mark.parametrize("turns", [1, RECORD_ATTEMPTS_MAX - 1, RECORD_ATTEMPTS_MAX])
def test_outcomes_are_offered_again_after_an_outage(turns: int) -> None:
    kind = Numbers([*range(9)], outage=range(2, 2 + turns))

    send_due(kind)

    is_recorded = turns < RECORD_ATTEMPTS_MAX
    assert kind.recorded == ({0: "0", 1: "1", 2: "2"} if is_recorded else {})
    assert [leased for leased in kind.leased if leased] == [[0, 1, 2]]
    assert kind.turns == 1 + turns + is_recorded
