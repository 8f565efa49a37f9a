"""Executing many commands in few transactions, so that a bug in one of them fails only that one.

In an event loop, commands that arrive while a batch commits are the next batch (docs/explanation/internals.md). An idle
system adds no waiting: the first command is a batch alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Generic, Protocol, TypeVar, cast

from projections.database.errors import StorageUnavailableError
from projections.database.servers.bounded_connection import ANSWER_S_MAX
from projections.database.servers.stale_server_watch import cut_off_socket
from projections.storage.pipelined_execute import FallBackToBlockingError
from projections.telemetry.metrics import BATCH_SIZE, COMMIT_SECONDS
from projections.telemetry.traced import TracedCommand, TracedResult
from projections.telemetry.tracing import TRACING

C = TypeVar("C", bound=TracedCommand)
R = TypeVar("R", bound=TracedResult | Exception)
R_contra = TypeVar("R_contra", bound=TracedResult | Exception, contravariant=True)
Execute = Callable[[Sequence[C]], Sequence[R]]

BATCH_MAX = 256
"""Commands in one transaction at most: its locks fit PostgreSQL's default lock table several times over."""
CHUNK_MAX = 128
"""Commands of one caller that are queued together: half a transaction, so that single commands fit in next to them."""
CHUNK_ALONE_MAX = 250
"""The same while no single commands come, which would wait for the larger chunk: an item costs the API 8% less CPU time
than at 128, and PostgreSQL 9% (measured 2026-11-28)."""
ALONE_S = 1.0
"""How long no single command must have come, in seconds."""
WAITING_MAX = 4096
"""Commands that may wait; the API answers OVERLOADED to further ones instead of queuing them without a bound."""
EXPIRY_CHECK_S = 0.5
"""Interval in seconds at which expired commands are ended, while there are any: a timer for each would cost more."""

TakeWaiting = Callable[[Callable[[C], bool]], Sequence[C]]
PipelinedBatch = Callable[[list[C], TakeWaiting[C]], Generator[int, None, list[R]]]


class Waiter(Protocol[R_contra]):
    """Waits for the result of a command, as a future does. It is called in the loop's thread, and never raises."""

    def done(self) -> bool:
        """Return whether it waits no more."""

    def set_result(self, result: R_contra, /) -> None:
        """Accept the result."""

    def set_exception(self, error: Exception, /) -> None:
        """Accept what kept the command from its result."""


ResultFuture = asyncio.Future[R]
Batch = list[tuple[C, Waiter[R]]]


class OverloadedError(Exception):
    """Too many commands wait already; nothing was done, and a later request may succeed."""


class AsyncGroupCommit(Generic[C, R]):
    """Collects commands of one event loop into few transactions, in order of arrival. Make it while the loop runs.

    Args:
        pipelined: Runs one batch in one transaction, in the loop's thread; names the socket it waits for. It may take
            commands that arrived in the meantime into the batch.
        execute: The same for when that is not enough; it may block and is called in a thread.
        wait_s: How long a command may wait for its commit, in seconds.
    """

    def __init__(self, pipelined: PipelinedBatch[C, R], execute: Execute[C, R], wait_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._pipelined = pipelined
        self._execute = execute
        self._wait_s = wait_s
        self._queue: deque[tuple[C, Waiter[R]]] = deque()
        self._chunk: deque[tuple[C, Waiter[R]]] = deque()
        self._chunk_turn = asyncio.Lock()
        self._chunk_begun: asyncio.Future[None] = self._loop.create_future()
        self._was_chunk = False
        self._single_at = float("-inf")
        self._deadlines: deque[tuple[float, Waiter[R]]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._closing = False
        self._awaited: tuple[float, int] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, command: C) -> R:
        """Return the result of one command. Cancelling before its batch begins withdraws the command.

        Raises:
            OverloadedError: Too many commands wait; nothing was done.
            StorageUnavailableError: The database is unavailable.
            TimeoutError: No result in time. The command may have taken effect; the same request again shows it.
        """
        future: ResultFuture[R] = self._loop.create_future()
        self.submit(command, future)
        return await future

    def submit(self, command: C, waiter: Waiter[R]) -> None:
        """Enqueue one command; its result, error or timeout comes to `waiter` later, as from `run`.

        Raises:
            OverloadedError: Too many commands wait; nothing was done.
        """
        if self._closing or len(self._queue) >= WAITING_MAX:
            raise OverloadedError
        self._single_at = self._enqueue(self._queue, ((command, waiter),))

    @property
    def chunk_max(self) -> int:
        """How many commands the next chunk may have; fewer while single commands come, since they would wait for it."""
        is_alone = self._loop.time() - self._single_at >= ALONE_S
        return CHUNK_ALONE_MAX if is_alone else CHUNK_MAX

    async def run_chunk(self, commands: Sequence[C]) -> list[R | Exception]:
        """Return the result of each command of one caller, in their order; what fails a command is its result.

        Only one chunk of all callers waits at a time, next to the one that is executed: the callers' own work overlaps
        with commits. A batch with a chunk is followed by one without, if single commands wait, so they wait for at most
        one chunk. Cancelling before their batch begins withdraws the commands.

        Args:
            commands: At most `chunk_max`.

        Raises:
            OverloadedError: Too many commands wait; nothing was done.
        """
        futures: list[ResultFuture[R]] = [self._loop.create_future() for _ in commands]
        try:
            async with self._chunk_turn:
                if self._closing or len(self._queue) + len(self._chunk) + len(commands) > WAITING_MAX:
                    raise OverloadedError
                self._enqueue(self._chunk, zip(commands, futures, strict=True))
                begun = self._chunk_begun = self._loop.create_future()
                await asyncio.wait((begun, futures[-1]), return_when=asyncio.FIRST_COMPLETED)
            for future in futures:
                if not future.done():  # batches end in order, so most are done with the first one
                    await asyncio.wait((future,))
        finally:
            for future in futures:
                future.cancel()
        return [self._outcome(future) for future in futures]

    async def aclose(self) -> None:
        """Finish what was submitted, and accept no more."""
        self._closing = True
        if self._running is not None:
            await self._running
        if self._timer is not None:
            self._timer.cancel()

    def _enqueue(self, queue: deque[tuple[C, Waiter[R]]], entries: Iterable[tuple[C, Waiter[R]]]) -> float:
        """Enqueue commands and return the time."""
        now = self._loop.time()
        for entry in entries:
            queue.append(entry)
            self._deadlines.append((now + self._wait_s, entry[1]))
        if self._running is None:
            self._running = self._loop.create_task(self._drain())
            if self._timer is None:
                self._timer = self._loop.call_later(EXPIRY_CHECK_S, self._expire_waiting)
        return now

    async def _drain(self) -> None:
        while self._queue or self._chunk:
            if open_items := [entry for entry in self._take_batch() if not entry[1].done()]:
                await self._run_batch(open_items)
        self._running = None

    def _take_batch(self) -> Batch[C, R]:
        """Return the chunk that waits and the single commands that fit in, or the single commands if it is their turn.

        It is their turn after a batch with a chunk.
        """
        self._was_chunk = bool(self._chunk) and not (self._was_chunk and self._queue)
        batch = _pop_front(self._chunk, BATCH_MAX) if self._was_chunk else []
        if not self._chunk:
            _resolve(self._chunk_begun)
        return batch + _pop_front(self._queue, BATCH_MAX - len(batch))

    async def _run_batch(self, batch: Batch[C, R]) -> None:
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

    async def _results(self, batch: Batch[C, R], commands: list[C]) -> Sequence[R]:
        steps = self._pipelined(commands, partial(self._take_waiting, batch))
        try:
            while True:
                await self._wait_readable(next(steps))
        except StopIteration as error:
            results: list[R] = error.value
            return results
        except FallBackToBlockingError:
            return await asyncio.to_thread(self._execute, commands)

    def _take_waiting(self, batch: Batch[C, R], may_join: Callable[[C], bool]) -> list[C]:
        """Move commands from the front of the queue into a batch that has not been decided yet."""
        commands: list[C] = []
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

    @staticmethod
    def _outcome(future: ResultFuture[R]) -> R | Exception:
        """Return what a command led to; its future is done, and nothing but an `Exception` fails it."""
        error = cast("Exception | None", future.exception())
        return future.result() if error is None else error

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
        has_work = self._deadlines or self._running is not None
        self._timer = self._loop.call_later(EXPIRY_CHECK_S, self._expire_waiting) if has_work else None


def _pop_front(queue: deque[tuple[C, Waiter[R]]], count_max: int) -> Batch[C, R]:
    return [queue.popleft() for _ in range(min(len(queue), count_max))]


def _resolve(awaited: asyncio.Future[None]) -> None:
    if not awaited.done():
        awaited.set_result(None)


def execute_isolated(execute: Execute[C, R | Exception], commands: Sequence[C]) -> list[R | Exception]:
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
    results: list[R | Exception] = []
    remaining = iter(commands)
    while batch := list(islice(remaining, BATCH_MAX)):
        results += _execute_batch(execute, batch)
    return results


def _execute_batch(execute: Execute[C, R | Exception], batch: Sequence[C]) -> list[R | Exception]:
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
