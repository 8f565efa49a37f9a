import asyncio
import threading
from collections.abc import Callable

import pytest

from api.errors import ApplicationError
from api.use_cases.heavy_reads import HeavyReads
from tests.support.waiting import WAIT_S_MAX, run_ready_tasks, wait_for

SHORT_S = 0.1
"""A turn that does not come: the slot is taken until the test frees it."""


class _Reads:
    def __init__(self, wait: Callable[[float], object]) -> None:
        self.wait = wait
        self.most = self.done = self._now = 0
        self._lock = threading.Lock()

    def read(self) -> int:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self.wait(WAIT_S_MAX)
        with self._lock:
            self._now -= 1
            self.done += 1
            return self.done


def test_only_so_many_reads_run_at_a_time_and_all_are_answered() -> None:
    reads = _Reads(threading.Barrier(2).wait)

    async def main() -> list[int]:
        slots = HeavyReads(2)
        return await asyncio.gather(*(slots.run(WAIT_S_MAX, reads.read) for _ in range(8)))

    assert sorted(asyncio.run(main())) == list(range(1, 9))
    assert reads.most == 2


def test_stream_waits_for_a_slot_chunk_by_chunk() -> None:
    """A slow client keeps none from the others, and a chunk is not read while another read has the slot."""
    is_over = threading.Event()
    reads = _Reads(is_over.wait)
    chunks = iter([b"a", b"b", b"c"])

    async def main() -> tuple[int, list[bytes], bytes]:
        slots = HeavyReads(1)
        stream = slots.stream(chunks)
        first = await anext(stream)
        other = asyncio.create_task(slots.run(WAIT_S_MAX, reads.read))
        await asyncio.to_thread(wait_for, lambda: reads.most)
        second = asyncio.ensure_future(anext(stream))
        await run_ready_tasks()
        left = next(chunks)
        is_over.set()
        return await other, [first, await second], left

    assert asyncio.run(main()) == (1, [b"a", b"c"], b"b")


def test_read_whose_turn_does_not_come_in_time_is_refused() -> None:
    is_over = threading.Event()
    reads = _Reads(is_over.wait)

    async def main() -> tuple[ApplicationError, int]:
        slots = HeavyReads(1)
        first = asyncio.create_task(slots.run(WAIT_S_MAX, reads.read))
        await run_ready_tasks()
        with pytest.raises(ApplicationError) as refused:
            await slots.run(SHORT_S, reads.read)
        is_over.set()
        await first
        return refused.value, await slots.run(WAIT_S_MAX, reads.read)

    error, done = asyncio.run(main())

    assert (error.code, error.retry_after_s) == ("OVERLOADED", 2)
    assert done == 2


def test_slot_is_taken_until_the_thread_ends_also_after_its_time() -> None:
    """A read that takes too long is answered UNAVAILABLE, and still uses a processor."""
    is_over = threading.Event()
    reads = _Reads(is_over.wait)

    async def main() -> tuple[str, str, int]:
        slots, codes = HeavyReads(1), []
        for _ in range(2):
            with pytest.raises(ApplicationError) as refused:
                await slots.run(SHORT_S, reads.read)
            codes.append(refused.value.code)
        is_over.set()
        return codes[0], codes[1], await slots.run(WAIT_S_MAX, reads.read)

    assert asyncio.run(main()) == ("UNAVAILABLE", "OVERLOADED", 2)
    assert reads.most == 1


def test_slot_of_a_read_that_fails_or_is_cancelled_is_free_again() -> None:
    def fail() -> None:
        raise LookupError

    async def main() -> int:
        slots = HeavyReads(1)
        with pytest.raises(LookupError):
            await slots.run(WAIT_S_MAX, fail)
        is_over = threading.Event()
        reads = _Reads(is_over.wait)
        running = asyncio.create_task(slots.run(WAIT_S_MAX, reads.read))
        waiting = asyncio.create_task(slots.run(WAIT_S_MAX, reads.read))
        await asyncio.to_thread(wait_for, lambda: reads.most)
        is_over.set()
        waiting.cancel()
        running.cancel()
        await asyncio.gather(waiting, running, return_exceptions=True)
        return await slots.run(WAIT_S_MAX, reads.read)

    assert asyncio.run(main()) == 2
