"""Executing many commands in few transactions, so that a bug in one of them fails only that one.

In an event loop, commands that arrive while a batch commits are the next batch (docs/architecture.md). An idle system
adds no waiting: the first command is a batch alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial
from itertools import islice
from typing import Protocol

from domain.command_bus import Command, Result
from projections.database.errors import StorageUnavailableError
from projections.database.servers.bounded_connection import ANSWER_S_MAX
from projections.database.servers.stale_server_watch import cut_off_socket
from projections.event_store.unit_of_work import TakeWaiting
from projections.storage.pipelined_execute import FallBackToBlockingError
from projections.telemetry.metrics import BATCH_SIZE, COMMIT_SECONDS
from projections.telemetry.tracing import TRACING

Execute = Callable[[Sequence[Command]], list[Result]]

BATCH_MAX = 256
"""Commands in one transaction at most: its locks fit PostgreSQL's default lock table several times over."""
CHUNK_MAX = 128
"""Commands of one caller that are queued together: half a transaction, so that single commands fit in next to them."""
WAITING_MAX = 4096
"""Commands that may wait; the API answers OVERLOADED to further ones instead of queuing them without a bound."""
EXPIRY_CHECK_S = 0.5
"""Interval in seconds at which expired commands are ended: a timer for each command would cost more."""

PipelinedBatch = Callable[[list[Command], TakeWaiting], Generator[int, None, list[Result]]]


class Waiter(Protocol):
    """Waits for the result of a command, as a future does. It is called in the loop's thread, and never raises."""

    def done(self) -> bool:
        """Return whether it waits no more."""

    def set_result(self, result: Result, /) -> None:
        """Accept the result."""

    def set_exception(self, error: Exception, /) -> None:
        """Accept what kept the command from its result."""


ResultFuture = asyncio.Future[Result]
Batch = list[tuple[Command, Waiter]]


class OverloadedError(Exception):
    """Too many commands wait already; nothing was done, and a later request may succeed."""


class AsyncGroupCommit:
    """Collects commands of one event loop into few transactions, in order of arrival. Make it while the loop runs.

    Args:
        pipelined: Runs one batch in one transaction, in the loop's thread; names the socket it waits for. It may take
            commands that arrived in the meantime into the batch.
        execute: The same for when that is not enough; it may block and is called in a thread.
        wait_s: How long a command may wait for its commit, in seconds.
    """

    def __init__(self, pipelined: PipelinedBatch, execute: Execute, wait_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._pipelined = pipelined
        self._execute = execute
        self._wait_s = wait_s
        self._queue: deque[tuple[Command, Waiter]] = deque()
        self._chunk_turn = asyncio.Lock()
        self._deadlines: deque[tuple[float, Waiter]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._closing = False
        self._awaited: tuple[float, int] | None = None
        self._timer = self._loop.call_later(EXPIRY_CHECK_S, self._expire_waiting)

    async def run(self, command: Command) -> Result:
        """Return the result of one command. Cancelling before its batch begins withdraws the command.

        Raises:
            OverloadedError: Too many commands wait; nothing was done.
            StorageUnavailableError: The database is unavailable.
            TimeoutError: No result in time. The command may have taken effect; the same request again shows it.
        """
        future: ResultFuture = self._loop.create_future()
        self.submit(command, future)
        return await future

    def submit(self, command: Command, waiter: Waiter) -> None:
        """Enqueue one command; its result, error or timeout comes to `waiter` later, as from `run`.

        Raises:
            OverloadedError: Too many commands wait; nothing was done.
        """
        if self._closing or len(self._queue) >= WAITING_MAX:
            raise OverloadedError
        self._enqueue(command, waiter)

    async def run_chunk(self, commands: Sequence[Command]) -> list[Result | Exception]:
        """Return the result of each command of one caller, in their order; what fails a command is its result.

        Only one chunk of all callers is in the queue at a time, so a single command waits behind at most one of them.
        Cancelling before their batch begins withdraws the commands.

        Args:
            commands: At most `CHUNK_MAX`.

        Raises:
            OverloadedError: Too many commands wait; nothing was done.
        """
        async with self._chunk_turn:
            if self._closing or len(self._queue) + len(commands) > WAITING_MAX:
                raise OverloadedError
            futures: list[ResultFuture] = [self._loop.create_future() for _ in commands]
            for command, future in zip(commands, futures, strict=True):
                self._enqueue(command, future)
            try:
                return [await _result_or_error(future) for future in futures]
            finally:
                for future in futures:
                    future.cancel()

    async def aclose(self) -> None:
        """Finish what was submitted, and accept no more."""
        self._closing = True
        if self._running is not None:
            await self._running
        self._timer.cancel()

    def _enqueue(self, command: Command, waiter: Waiter) -> None:
        self._queue.append((command, waiter))
        self._deadlines.append((self._loop.time() + self._wait_s, waiter))
        if self._running is None:
            self._running = self._loop.create_task(self._drain())

    async def _drain(self) -> None:
        while self._queue:
            count = min(len(self._queue), BATCH_MAX)
            batch = [self._queue.popleft() for _ in range(count)]
            if open_items := [entry for entry in batch if not entry[1].done()]:
                await self._run_batch(open_items)
        self._running = None

    async def _run_batch(self, batch: Batch) -> None:
        """Execute a batch; if a defect breaks it, each command alone, so that it fails only its own."""
        commands = [command for command, _ in batch]
        started_at = TRACING.read_clock()
        try:
            with COMMIT_SECONDS.time():
                results = await self._results(batch, commands)
        except Exception as error:  # noqa: BLE001 - whatever it is, a caller waits for the result
            if len(batch) == 1 or isinstance(error, StorageUnavailableError):
                for _, waiter in batch:
                    if not waiter.done():
                        waiter.set_exception(error)
                return
            for entry in batch:
                await self._run_batch([entry])
            return
        BATCH_SIZE.observe(len(batch))
        for (_, waiter), result in zip(batch, results, strict=True):
            if not waiter.done():
                waiter.set_result(result)
        TRACING.record_commit(commands, results, started_at)
        self._drop_finished()

    async def _results(self, batch: Batch, commands: list[Command]) -> list[Result]:
        steps = self._pipelined(commands, partial(self._take_waiting, batch))
        try:
            while True:
                await self._wait_readable(next(steps))
        except StopIteration as error:
            results: list[Result] = error.value
            return results
        except FallBackToBlockingError:
            return await asyncio.to_thread(self._execute, commands)

    def _take_waiting(self, batch: Batch, may_join: Callable[[Command], bool]) -> list[Command]:
        """Move commands from the front of the queue into a batch that has not been decided yet."""
        commands: list[Command] = []
        while self._queue and len(batch) < BATCH_MAX:
            command, waiter = self._queue[0]
            if not waiter.done():
                if not may_join(command):
                    break
                batch.append((command, waiter))
                commands.append(command)
            self._queue.popleft()
        return commands

    async def _wait_readable(self, socket: int) -> None:
        readable = self._loop.create_future()
        self._loop.add_reader(socket, _resolve, readable)
        self._awaited = self._loop.time(), socket
        try:
            await readable
        finally:
            self._awaited = None
            self._loop.remove_reader(socket)

    def _drop_finished(self) -> None:
        """Drop finished results from the front: freeing thousands of them together is slow."""
        while self._deadlines and self._deadlines[0][1].done():
            self._deadlines.popleft()

    def _expire_waiting(self) -> None:
        """Fail the oldest commands whose time is over, and end a connection whose answer does not come."""
        now = self._loop.time()
        if self._awaited is not None and now - self._awaited[0] > ANSWER_S_MAX:
            cut_off_socket(self._awaited[1])
        self._drop_finished()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, waiter = self._deadlines.popleft()
            if not waiter.done():
                waiter.set_exception(TimeoutError())
        self._timer = self._loop.call_later(EXPIRY_CHECK_S, self._expire_waiting)


async def _result_or_error(future: ResultFuture) -> Result | Exception:
    """Return what a command led to. Batches end in order, so the futures behind the first one are mostly done."""
    try:
        return await future
    except Exception as error:  # noqa: BLE001 - whatever failed a command is its result
        return error


def _resolve(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)


def execute_isolated(execute: Execute, commands: Sequence[Command]) -> list[Result | Exception]:
    """Execute commands in as few transactions as their bound allows.

    Args:
        execute: Runs commands in one transaction. A refusal is a result; an exception rolls all of them back.
        commands: In the order of their results.

    Returns:
        A result for each command. A transaction that a bug breaks is repeated with one command at a time, so that the
        exception is the result of that command alone.

    Raises:
        StorageUnavailableError: The database is unavailable; commands of earlier transactions may be committed.
    """
    results: list[Result | Exception] = []
    remaining = iter(commands)
    while batch := list(islice(remaining, BATCH_MAX)):
        results += _execute_batch(execute, batch)
    return results


def _execute_batch(execute: Execute, batch: Sequence[Command]) -> list[Result | Exception]:
    BATCH_SIZE.observe(len(batch))
    started_at = TRACING.read_clock()
    try:
        with COMMIT_SECONDS.time():
            results = [*execute(batch)]
    except StorageUnavailableError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a bug raises is the result of its command
        if len(batch) == 1:
            return [error]
        return [result for command in batch for result in _execute_batch(execute, [command])]
    TRACING.record_commit(batch, results, started_at)
    return [*results]
