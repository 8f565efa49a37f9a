"""What may happen to transactions of the store in memory."""

from typing import Literal, Protocol

Fate = Literal["committed", "rolled_back", "answer_lost"]


class TransactionFaults(Protocol):
    def begin(self) -> None:
        """Raise StorageUnavailableError if there is no database."""

    def commit(self) -> Fate:
        """What becomes of a commit."""

    def pause(self, attempts: int) -> None:
        """Let time pass before another try."""


class NoFaults:
    """Nothing goes wrong."""

    def begin(self) -> None:
        """There is a database."""

    def commit(self) -> Fate:
        return "committed"

    def pause(self, attempts: int) -> None:
        """No task waits."""
