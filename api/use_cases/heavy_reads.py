"""Slots for reads whose work grows with a history: few at a time, so that redeems do not wait for the interpreter.

A read of thousands of events takes a processor for a second, and several of them take it from the event loop, which
answers the redeem requests. Further ones wait in order, and are refused if their turn does not come in time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from api.errors import RETRY_AFTER_S, ApplicationError
from api.use_cases.run_blocking import run_blocking

T = TypeVar("T")
HEAVY_READS_MAX: Final = 1
"""Heavy reads of one process at a time: two take as long together as one after the other."""

CHUNK_WAIT_S: Final = 60.0
"""Longest wait for the slot of a chunk, and for the chunk: a response that has begun cannot be refused."""


class HeavyReads:
    """The slots of one process. For its event loop."""

    def __init__(self, most: int = HEAVY_READS_MAX) -> None:
        self._slots = asyncio.Semaphore(most)

    async def run(self, wait_s: float, read: Callable[[], T]) -> T:
        """Read in a thread, when a slot is free. The slot is taken until the thread ends, also after its time.

        Args:
            wait_s: Seconds to wait for a slot, and then for the result.
            read: Reads, and may block.

        Raises:
            ApplicationError: OVERLOADED, no slot became free in time; UNAVAILABLE as of `run_blocking`.
        """
        try:
            async with asyncio.timeout(wait_s):
                await self._slots.acquire()
        except TimeoutError as error:
            raise ApplicationError("OVERLOADED", retry_after_s=RETRY_AFTER_S) from error
        slot = _TakenSlot(self._slots, asyncio.get_running_loop())

        def read_and_release() -> T:
            slot.has_begun = True
            try:
                return read()
            finally:
                with suppress(RuntimeError):  # the process ends
                    slot.loop.call_soon_threadsafe(slot.release)

        try:
            return await run_blocking(wait_s, read_and_release)
        finally:
            if not slot.has_begun:  # its turn for a thread never came
                slot.release()

    async def stream(self, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
        """Yield what is read a chunk at a time, each in its own slot, so that no slow client keeps one.

        Raises:
            ApplicationError: As of `run`. The response ends there, and the client sees that it is not whole.
        """
        while (chunk := await self.run(CHUNK_WAIT_S, partial(next, chunks, None))) is not None:
            yield chunk


class _TakenSlot:
    """One slot, which is released once."""

    def __init__(self, slots: asyncio.Semaphore, loop: asyncio.AbstractEventLoop) -> None:
        self._slots = slots
        self.loop = loop
        self.has_begun = self._is_released = False

    def release(self) -> None:
        """Release the slot, in the event loop."""
        if not self._is_released:
            self._is_released = True
            self._slots.release()
