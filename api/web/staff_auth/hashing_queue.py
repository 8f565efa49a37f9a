"""A queue for password hashing: one hash at a time, few waiting, none for long, and at low priority.

A hash takes 64 MiB and a core for some 100 ms. Without a bound, a few hundred sign-ins would delay redeems for minutes.
"""

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from api.errors import ApplicationError
from projections.telemetry.metrics import SIGN_INS_REFUSED

T = TypeVar("T")

WAITING_MAX: Final = 8
"""Requests that may wait: from unknown browsers, and as many again from known browsers and signed-in staff."""
WAIT_S: Final = 10.0
"""Longest wait in seconds."""
RETRY_AFTER_S: Final = 5
NICE: Final = 19
"""Nice value on Linux of the thread that hashes for strangers: redeems get the core first, an idle one hashes at full
speed. For known callers, who are few, another thread hashes at the usual priority."""


class HashingSlot:
    """A caller's turn to hash."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread

    async def run(self, job: Callable[[], T]) -> T:
        """Run a job in the hashing thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)


class HashingQueue:
    """Lets one caller at a time hash. Known callers go first, so that strangers who fill the queue can't keep them out.

    Args:
        waiting_max: How many callers may wait, of either kind.
        wait_s: How long one may wait, in seconds.
    """

    def __init__(self, waiting_max: int = WAITING_MAX, wait_s: float = WAIT_S) -> None:
        self._waiting_max = waiting_max
        self._wait_s = wait_s
        self._known_callers: deque[asyncio.Future[None]] = deque()
        self._unknown_callers: deque[asyncio.Future[None]] = deque()
        self._is_busy = False
        self._threads = {
            True: ThreadPoolExecutor(1, "password-hashing"),
            False: ThreadPoolExecutor(1, "unknown-hashing", initializer=_lower_priority),
        }

    @asynccontextmanager
    async def acquire(self, *, is_known: bool) -> AsyncIterator["HashingSlot"]:
        """Wait for a turn and hold it while the context is open.

        Raises:
            ApplicationError: OVERLOADED, too many callers wait already, or the wait was too long.
        """
        await self._wait(self._known_callers if is_known else self._unknown_callers)
        try:
            yield HashingSlot(self._threads[is_known])
        finally:
            self._admit_next()

    @property
    def is_full(self) -> bool:
        """Whether no further unknown browser may wait."""
        return self._is_busy and len(self._unknown_callers) >= self._waiting_max

    def reject(self, bound: str) -> ApplicationError:
        """Return the error for a caller who gets no turn, and count it.

        Args:
            bound: full or timeout.
        """
        SIGN_INS_REFUSED.labels(bound).inc()
        return ApplicationError("OVERLOADED", retry_after_s=RETRY_AFTER_S, why="sign_in")

    async def _wait(self, queue: deque[asyncio.Future[None]]) -> None:
        if not self._is_busy:
            self._is_busy = True
            return
        if len(queue) >= self._waiting_max:
            raise self.reject("full")
        future = asyncio.get_running_loop().create_future()
        queue.append(future)
        try:
            async with asyncio.timeout(self._wait_s):
                await future
        except BaseException as error:
            if future in queue:
                queue.remove(future)
            elif future.done() and not future.cancelled():
                self._admit_next()  # it was this caller's turn already
            if isinstance(error, TimeoutError):
                raise self.reject("timeout") from error
            raise

    def _admit_next(self) -> None:
        """Let the next caller in; the lane stays busy if there is one."""
        for queue in (self._known_callers, self._unknown_callers):
            while queue:
                future = queue.popleft()
                if not future.done():
                    future.set_result(None)
                    return
        self._is_busy = False


def _lower_priority() -> None:
    """Lower the priority of the calling thread, if the system has priorities of threads."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
