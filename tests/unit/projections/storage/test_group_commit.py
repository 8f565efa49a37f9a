"""Group commit: batches while the last one commits, and nobody pays for a neighbour."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import cast

import pytest

from domain.command_bus import Command, Result
from domain.errors import CodeExhausted
from projections.database.errors import StorageUnavailableError
from projections.storage.group_commit import GroupCommit, OverloadedError

WAIT_S = 5


def command(number: int) -> Command:
    """Any object will do: group commit does not look inside."""
    return cast("Command", number)


class Ledger:
    """Notes batches down; waits at a gate; fails where it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.poison: int | None = None
        self.away = False

    def execute(self, commands: Sequence[Command]) -> list[Result]:
        """One batch."""
        self.entered.set()
        self.gate.wait(WAIT_S)
        numbers = [cast("int", item) for item in commands]
        self.batches.append(numbers)
        if self.away:
            raise StorageUnavailableError("away")
        if self.poison in numbers:
            raise AssertionError("a defect")
        return [cast("Result", f"result {number}") for number in numbers]


def test_commands_are_gathered_while_a_batch_commits() -> None:
    """The first is alone, the rest go together, in order of arrival, within the bound."""
    ledger = Ledger()
    with GroupCommit(ledger.execute, batch_max=3) as commit:
        futures = [commit.submit(command(0))]
        ledger.entered.wait(WAIT_S)
        futures += [commit.submit(command(number)) for number in range(1, 6)]
        ledger.gate.set()
        results = [future.result(WAIT_S) for future in futures]

    assert ledger.batches == [[0], [1, 2, 3], [4, 5]]
    assert list(map(str, results)) == [f"result {number}" for number in range(6)]


def test_commands_that_came_together_share_a_transaction() -> None:
    """However quick the thread is; and either all of them are queued or none."""
    ledger = Ledger()
    ledger.gate.set()
    with GroupCommit(ledger.execute, batch_max=4, waiting_max=6) as commit:
        futures = commit.submit_all([command(number) for number in range(6)])
        results = [str(future.result(WAIT_S)) for future in futures]
        with pytest.raises(OverloadedError):
            commit.submit_all([command(number) for number in range(7)])

    assert ledger.batches == [[0, 1, 2, 3], [4, 5]]
    assert results == [f"result {number}" for number in range(6)]


def test_a_defect_fails_only_its_own_command() -> None:
    """A batch that breaks is run one by one."""
    ledger = Ledger()
    ledger.poison = 2
    with GroupCommit(ledger.execute) as commit:
        futures = [commit.submit(command(0))]
        ledger.entered.wait(WAIT_S)
        futures += [commit.submit(command(number)) for number in range(1, 4)]
        ledger.gate.set()
        assert [future.result(WAIT_S) for future in futures if future is not futures[2]]
        with pytest.raises(AssertionError, match="a defect"):
            futures[2].result(WAIT_S)


def test_an_outage_fails_the_batch_at_once() -> None:
    """With the database away nobody waits for one try per command."""
    ledger = Ledger()
    ledger.away = True
    with GroupCommit(ledger.execute) as commit:
        futures = [commit.submit(command(0))]
        ledger.entered.wait(WAIT_S)
        futures += [commit.submit(command(number)) for number in range(1, 9)]
        ledger.gate.set()
        for future in futures:
            with pytest.raises(StorageUnavailableError):
                future.result(WAIT_S)

    assert len(ledger.batches) == 2


def test_a_full_queue_refuses_instead_of_growing() -> None:
    """Back-pressure: the caller is told to come back."""
    ledger = Ledger()
    with GroupCommit(ledger.execute, waiting_max=2) as commit:
        commit.submit(command(0))
        ledger.entered.wait(WAIT_S)
        waiting: list[Future[Result]] = [commit.submit(command(number)) for number in (1, 2)]
        with pytest.raises(OverloadedError):
            commit.submit(command(3))
        ledger.gate.set()
        assert all(future.result(WAIT_S) for future in waiting)


def test_a_cancelled_command_is_taken_back() -> None:
    """Who gives up before the batch begins leaves nothing behind."""
    ledger = Ledger()
    with GroupCommit(ledger.execute) as commit:
        commit.submit(command(0))
        ledger.entered.wait(WAIT_S)
        given_up, kept = commit.submit(command(1)), commit.submit(command(2))
        assert given_up.cancel()
        ledger.gate.set()
        kept.result(WAIT_S)

    assert ledger.batches == [[0], [2]]


def test_closing_finishes_what_was_submitted() -> None:
    """A graceful stop loses no command."""
    ledger = Ledger()
    ledger.gate.set()
    commit = GroupCommit(ledger.execute)
    futures = [commit.submit(command(number)) for number in range(20)]
    commit.close()

    assert all(future.done() for future in futures)
    with pytest.raises(OverloadedError):
        commit.submit(command(99))


def test_a_refusal_is_a_result() -> None:
    """It reaches its own caller as a value."""
    refusal = CodeExhausted()
    with GroupCommit(lambda commands: [refusal for _ in commands]) as commit:
        assert commit.submit(command(1)).result(WAIT_S) is refusal
