"""Group commit: commands of one process are gathered while the last batch commits (DESIGN 5a).

One thread executes; whoever submits waits on a ticket. An idle system adds no waiting: the first command finds
the thread idle and is a batch of its own.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from domain.deciding import Command, Result
from projections.errors import StorageUnavailableError
from projections.metrics import BATCH_SIZE, COMMIT_SECONDS

Execute = Callable[[Sequence[Command]], list[Result]]
Ticket = TypeVar("Ticket")

BATCH_MAX = 256
"""Bound of one transaction: its locks fit PostgreSQL's default lock table several times over."""
WAITING_MAX = 4096
"""Commands that may wait; beyond it callers are told to come back instead of queueing without end."""


class Fault(NamedTuple):
    """Why a command has no result; a refusal is a result and no fault."""

    error: Exception


Outcome = Result | Fault


class OverloadedError(Exception):
    """Too many commands wait already; nothing was done, come back in a moment."""


class CommitQueue(Generic[Ticket]):
    """Collects commands into few transactions, in order of arrival, and hands out a batch of outcomes at a time.

    Args:
        execute: Runs one batch in one transaction.
        begin: Asked once per ticket before its batch runs; False if its command was taken back.
        deliver: Told of the outcomes of a batch, in this queue's own thread; in their order.
        batch_max: Bound of a batch.
        waiting_max: Bound of the queue.
    """

    def __init__(
        self,
        execute: Execute,
        begin: Callable[[Ticket], bool],
        deliver: Callable[[Sequence[tuple[Ticket, Outcome]]], None],
        *,
        batch_max: int = BATCH_MAX,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._execute = execute
        self._begin = begin
        self._deliver = deliver
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._waiting: deque[tuple[Command, Ticket]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    def put(self, command: Command, ticket: Ticket) -> None:
        """Queue one command.

        Raises:
            OverloadedError: The queue is full, or this is closed.
        """
        with self._wake:
            if self._closing or len(self._waiting) >= self._waiting_max:
                raise OverloadedError
            self._waiting.append((command, ticket))
            if len(self._waiting) == 1:
                self._wake.notify()

    def close(self, wait_s: float = 10.0) -> None:
        """Finish what was put in, then end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(wait_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while batch := self._next_batch():
            if started := [item for item in batch if self._begin(item[1])]:
                BATCH_SIZE.observe(len(started))
                tickets = [ticket for _, ticket in started]
                self._deliver(list(zip(tickets, self._outcomes([command for command, _ in started]), strict=True)))

    def _next_batch(self) -> list[tuple[Command, Ticket]]:
        """What waits, up to the bound; blocks while nothing does; empty when closed and done."""
        with self._wake:
            while not self._waiting and not self._closing:
                self._wake.wait()
            count = min(len(self._waiting), self._batch_max)
            return [self._waiting.popleft() for _ in range(count)]

    def _outcomes(self, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Execute a batch; if a defect breaks it, each command alone, so that it fails only its own."""
        try:
            with COMMIT_SECONDS.time():
                return self._execute(commands)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the answer
            if len(commands) == 1 or isinstance(error, StorageUnavailableError):
                return [Fault(error)] * len(commands)
            return [outcome for command in commands for outcome in self._outcomes([command])]


class GroupCommit(CommitQueue["Future[Result]"]):
    """A commit queue for threads: each command is a future."""

    def __init__(self, execute: Execute, **bounds: Any) -> None:
        super().__init__(execute, Future.set_running_or_notify_cancel, _settle, **bounds)

    def submit(self, command: Command) -> Future[Result]:
        """Queue one command.

        Returns:
            A future of its result (a refusal is a result); it fails with `StorageUnavailableError` if the
            batch could not be committed. Cancelling it before its batch begins takes the command back.

        Raises:
            OverloadedError: The queue is full, or this is closed.
        """
        future: Future[Result] = Future()
        self.put(command, future)
        return future


def _settle(outcomes: Iterable[tuple[Future[Result], Outcome]]) -> None:
    for future, outcome in outcomes:
        if isinstance(outcome, Fault):
            future.set_exception(outcome.error)
        else:
            future.set_result(outcome)
