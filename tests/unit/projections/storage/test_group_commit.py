from collections.abc import Sequence
from typing import cast

import pytest

from domain.command_bus import Command
from domain.errors import CodeExhausted
from domain.results import Result
from projections.database.errors import StorageUnavailableError
from projections.storage import group_commit
from projections.storage.group_commit import execute_isolated


def commands(count: int) -> list[Command]:
    return [cast("Command", number) for number in range(count)]


class RecordingLedger:
    """Records transactions, breaks at one command, and becomes unavailable after some transactions."""

    def __init__(self, broken_at: int | None = None, unavailable_after: int = 1_000) -> None:
        self.transactions: list[list[int]] = []
        self._broken_at = broken_at
        self._unavailable_after = unavailable_after

    def execute(self, batch: Sequence[Command]) -> list[Result]:
        numbers = [cast("int", command) for command in batch]
        self.transactions.append(numbers)
        if len(self.transactions) > self._unavailable_after:
            raise StorageUnavailableError("unavailable")
        if self._broken_at in numbers:
            raise AssertionError("a bug")
        return [cast("Result", f"result {number}") for number in numbers]


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "BATCH_MAX", 4)


def test_commands_share_transactions_within_the_bound() -> None:
    ledger = RecordingLedger()

    results = execute_isolated(ledger.execute, commands(6))

    assert ledger.transactions == [[0, 1, 2, 3], [4, 5]]
    assert list(map(str, results)) == [f"result {number}" for number in range(6)]


def test_no_command_needs_no_transaction() -> None:
    ledger = RecordingLedger()

    assert execute_isolated(ledger.execute, []) == []
    assert ledger.transactions == []


def test_bug_fails_only_its_own_command() -> None:
    ledger = RecordingLedger(broken_at=2)

    results = execute_isolated(ledger.execute, commands(6))

    assert ledger.transactions == [[0, 1, 2, 3], [0], [1], [2], [3], [4, 5]]
    assert [str(result) for result in results] == ["result 0", "result 1", "a bug", "result 3", "result 4", "result 5"]
    assert isinstance(results[2], AssertionError)


def test_outage_ends_the_execution_at_once() -> None:
    ledger = RecordingLedger(unavailable_after=1)

    with pytest.raises(StorageUnavailableError):
        execute_isolated(ledger.execute, commands(12))

    assert ledger.transactions == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_refusal_is_a_result() -> None:
    refusal = CodeExhausted()

    assert execute_isolated(lambda batch: [refusal for _ in batch], commands(3)) == [refusal] * 3
