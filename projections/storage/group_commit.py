"""Group commit: commands of one process are gathered while the last batch commits (docs/architecture.md).

One thread executes; whoever submits waits on a future. An idle system adds no waiting: the first command finds
the thread idle and is a batch of its own.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from domain.command_bus import Command, Result
from projections.database.errors import StorageUnavailableError
from projections.database.pool import ForkedPoolError
from projections.telemetry.metrics import BATCH_SIZE, COMMIT_SECONDS

Execute = Callable[[Sequence[Command]], list[Result]]

BATCH_MAX = 256
"""Bound of one transaction: its locks fit PostgreSQL's default lock table several times over."""
WAITING_MAX = 4096
"""Commands that may wait; beyond it callers are told to come back instead of queueing without end."""


class OverloadedError(Exception):
    """Too many commands wait already; nothing was done, come back in a moment."""


class GroupCommit:
    """Collects commands of many threads into few transactions, in order of arrival."""

    def __init__(self, execute: Execute, *, batch_max: int = BATCH_MAX, waiting_max: int = WAITING_MAX) -> None:
        self._execute = execute
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._waiting: deque[tuple[Command, Future[Result]]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._made_by = os.getpid()
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    def submit(self, command: Command) -> Future[Result]:
        """Queue one command.

        Returns:
            A future of its result (a refusal is a result); it fails with `StorageUnavailableError` if the
            batch could not be committed. Cancelling it before its batch begins takes the command back.

        Raises:
            OverloadedError: The queue is full, or this is closed.
            ForkedPoolError: This was made before a fork: its thread is the parent's.
        """
        return self.submit_all([command])[0]

    def submit_all(self, commands: Sequence[Command]) -> list[Future[Result]]:
        """Queue commands that came together, so that they share a transaction as far as its bound allows.

        Returns:
            A future for each, as `submit` gives it.

        Raises:
            OverloadedError: There is no room for all of them, or this is closed; none was queued.
        """
        if self._made_by != os.getpid():
            raise ForkedPoolError(ForkedPoolError.__doc__)
        futures: list[Future[Result]] = [Future() for _ in commands]
        with self._wake:
            if self._closing or len(self._waiting) + len(commands) > self._waiting_max:
                raise OverloadedError
            self._waiting.extend(zip(commands, futures, strict=True))
            self._wake.notify()
        return futures

    def close(self, wait_s: float = 10.0) -> None:
        """Finish what was submitted, then end the thread."""
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
            claimed = [(command, future) for command, future in batch if future.set_running_or_notify_cancel()]
            if claimed:
                self._run_batch(claimed)

    def _next_batch(self) -> list[tuple[Command, Future[Result]]]:
        """What waits, up to the bound; blocks while nothing does; empty when closed and done."""
        with self._wake:
            while not self._waiting and not self._closing:
                self._wake.wait()
            count = min(len(self._waiting), self._batch_max)
            return [self._waiting.popleft() for _ in range(count)]

    def _run_batch(self, batch: Sequence[tuple[Command, Future[Result]]]) -> None:
        """Execute a batch; if a defect breaks it, each command alone, so that it fails only its own."""
        BATCH_SIZE.observe(len(batch))
        try:
            with COMMIT_SECONDS.time():
                results = self._execute([command for command, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the answer
            if len(batch) == 1 or isinstance(error, StorageUnavailableError):
                for _, future in batch:
                    future.set_exception(error)
                return
            for entry in batch:
                self._run_batch([entry])
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)
