"""The group commit as coroutines use it: results come back a batch at a time, in one call into the event loop."""

import asyncio
from collections import deque
from collections.abc import Sequence

from domain.deciding import Command, Result
from projections.group_commit import CommitQueue, Execute, Fault, Outcome

CHECK_S = 0.5
"""How often waiting commands are looked over for those that waited too long: a timer for each would cost more."""

Waiting = asyncio.Future[Result]


class LoopCommit:
    """Runs commands of one event loop through a commit queue. Make it while that loop runs.

    Args:
        execute: Runs one batch in one transaction.
        wait_s: How long a command may wait for its commit, in seconds.
    """

    def __init__(self, execute: Execute, wait_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._wait_s = wait_s
        self._timed: deque[tuple[float, Waiting]] = deque()
        self._queue = CommitQueue[Waiting](execute, _is_wanted, self._deliver)
        self._timer = self._loop.call_later(CHECK_S, self._check)

    async def run(self, command: Command) -> Result:
        """The result of one command. Whoever gives up before its batch begins takes it back.

        Raises:
            OverloadedError: Too much waits already; nothing was done.
            StorageUnavailableError: The database is away.
            TimeoutError: No answer in time; whether the command took effect is unknown, asking again tells.
        """
        waiting: Waiting = self._loop.create_future()
        self._queue.put(command, waiting)
        self._timed.append((self._loop.time() + self._wait_s, waiting))
        return await waiting

    def close(self) -> None:
        """Finish what was submitted, then end the thread."""
        self._timer.cancel()
        self._queue.close()

    def _deliver(self, outcomes: Sequence[tuple[Waiting, Outcome]]) -> None:
        self._loop.call_soon_threadsafe(_settle, outcomes)

    def _check(self) -> None:
        """End the wait of those who came first, as far as their time is over."""
        now = self._loop.time()
        timed = self._timed
        while timed and (timed[0][1].done() or timed[0][0] <= now):
            _, waiting = timed.popleft()
            if not waiting.done():
                waiting.set_exception(TimeoutError())
        self._timer = self._loop.call_later(CHECK_S, self._check)


def _is_wanted(waiting: Waiting) -> bool:
    return not waiting.done()


def _settle(outcomes: Sequence[tuple[Waiting, Outcome]]) -> None:
    for waiting, outcome in outcomes:
        if waiting.done():
            continue
        if isinstance(outcome, Fault):
            waiting.set_exception(outcome.error)
        else:
            waiting.set_result(outcome)
