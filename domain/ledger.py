"""The application: one way to write, `execute(commands) -> results`, for API, workers and CLI alike.

It decides; the recorder behind `LedgerRecorder` locks, loads, appends and commits (DESIGN 4). A command's
refusal is its own result and never fails its neighbours.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, cast
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.utils import EnvType

from domain.book import Book
from domain.deciding import Command, Result, decide
from domain.policy import Policy


class UnitOfWork(Protocol):
    """One transaction around one batch."""

    def load(self, commands: Sequence[Command]) -> Book:
        """Lock what the commands touch, in sorted order, and read it."""

    def save(self, book: Book, commands: Sequence[Command], results: Sequence[Result]) -> None:
        """Append the book's new events and bring the read models along, in the same transaction."""


class LedgerRecorder(Protocol):
    """The store as `execute` needs it."""

    def attempts(self) -> Iterable[AbstractContextManager[UnitOfWork]]:
        """Transactions to try in turn: the first normally does; a lost connection or race gives another.

        Commits on leaving the block. Deciding the same commands again is safe, so a commit whose answer was
        lost is resolved by reading again.

        Raises:
            StorageUnavailableError: The bound of tries or time is reached; the outcome is unknown to the caller.
        """


class RedemptionLedger(Application[UUID]):
    """Decides batches of commands over the event store that `env` names."""

    name = "ledger"

    def __init__(self, env: EnvType, policy: Policy) -> None:
        super().__init__(env)
        self.policy = policy

    def execute(self, commands: Sequence[Command]) -> list[Result]:
        """Decide commands in order and commit their events in one transaction.

        Args:
            commands: At least one; the caller bounds how many.

        Returns:
            One result per command, in order; a refusal is a result.

        Raises:
            StorageUnavailableError: The database is away. Whether anything was committed is unknown; the same
                commands may be executed again.
        """
        results: list[Result] = []
        for attempt in cast("LedgerRecorder", self.recorder).attempts():
            with attempt as work:
                book = work.load(commands)
                results = [decide(command, book, self.policy) for command in commands]
                work.save(book, commands, results)
        return results
