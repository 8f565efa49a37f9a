"""Group commit in the event loop: commands that arrive while a batch commits are the next batch (docs/architecture.md).

An idle system adds no waiting: the first command is a batch of its own.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Sequence

from domain.command_bus import Command, Result
from projections.database.errors import StorageUnavailableError
from projections.storage.group_commit import BATCH_MAX, WAITING_MAX, Execute, OverloadedError
from projections.storage.pipelined_execute import FallBackToBlockingError
from projections.telemetry.metrics import BATCH_SIZE, COMMIT_SECONDS

CHECK_S = 0.5
"""How often waiting commands are looked over for those that waited too long: a timer for each would cost more."""

Stepwise = Callable[[Sequence[Command]], Generator[int, None, list[Result]]]
Waiting = asyncio.Future[Result]
Batch = Sequence[tuple[Command, Waiting]]


class AsyncGroupCommit:
    """Collects commands of one event loop into few transactions, in order of arrival. Make it while the loop runs.

    Args:
        stepwise: Runs one batch in one transaction, in the loop's thread; names the socket it waits for.
        execute: The same for when that is not enough; it may block and is called in a thread.
        wait_s: How long a command may wait for its commit, in seconds.
    """

    def __init__(self, stepwise: Stepwise, execute: Execute, wait_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._stepwise = stepwise
        self._execute = execute
        self._wait_s = wait_s
        self._waiting: deque[tuple[Command, Waiting]] = deque()
        self._timed: deque[tuple[float, Waiting]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._closing = False
        self._timer = self._loop.call_later(CHECK_S, self._check)

    async def run(self, command: Command) -> Result:
        """The result of one command. Whoever gives up before its batch begins takes it back.

        Raises:
            OverloadedError: Too much waits already; nothing was done.
            StorageUnavailableError: The database is away.
            TimeoutError: No answer in time; whether the command took effect is unknown, asking again tells.
        """
        if self._closing or len(self._waiting) >= WAITING_MAX:
            raise OverloadedError
        waiting: Waiting = self._loop.create_future()
        self._waiting.append((command, waiting))
        self._timed.append((self._loop.time() + self._wait_s, waiting))
        if self._running is None:
            self._running = self._loop.create_task(self._drain())
        return await waiting

    async def aclose(self) -> None:
        """Finish what was submitted; take no more."""
        self._closing = True
        if self._running is not None:
            await self._running
        self._timer.cancel()

    async def _drain(self) -> None:
        while self._waiting:
            count = min(len(self._waiting), BATCH_MAX)
            batch = [self._waiting.popleft() for _ in range(count)]
            if wanted := [item for item in batch if not item[1].done()]:
                BATCH_SIZE.observe(len(wanted))
                await self._run_batch(wanted)
        self._running = None

    async def _run_batch(self, batch: Batch) -> None:
        """Execute a batch; if a defect breaks it, each command alone, so that it fails only its own."""
        commands = [command for command, _ in batch]
        try:
            with COMMIT_SECONDS.time():
                results = await self._results(commands)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the answer
            if len(batch) == 1 or isinstance(error, StorageUnavailableError):
                for _, waiting in batch:
                    if not waiting.done():
                        waiting.set_exception(error)
                return
            for item in batch:
                await self._run_batch([item])
            return
        for (_, waiting), result in zip(batch, results, strict=True):
            if not waiting.done():
                waiting.set_result(result)
        self._forget_done()

    async def _results(self, commands: Sequence[Command]) -> list[Result]:
        steps = self._stepwise(commands)
        try:
            while True:
                await self._on_readable(next(steps))
        except StopIteration as end:
            results: list[Result] = end.value
            return results
        except FallBackToBlockingError:
            return await asyncio.to_thread(self._execute, commands)

    async def _on_readable(self, socket: int) -> None:
        arrived = self._loop.create_future()
        self._loop.add_reader(socket, _resolve, arrived)
        try:
            await arrived
        finally:
            self._loop.remove_reader(socket)

    def _forget_done(self) -> None:
        """Keep no result longer than its caller does: kept by the thousand they are slow to free."""
        while self._timed and self._timed[0][1].done():
            self._timed.popleft()

    def _check(self) -> None:
        """End the wait of those who came first, as far as their time is over."""
        now = self._loop.time()
        self._forget_done()
        while self._timed and self._timed[0][0] <= now:
            _, waiting = self._timed.popleft()
            if not waiting.done():
                waiting.set_exception(TimeoutError())
        self._timer = self._loop.call_later(CHECK_S, self._check)


def _resolve(arrived: asyncio.Future[None]) -> None:
    if not arrived.done():
        arrived.set_result(None)
