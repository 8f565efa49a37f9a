import asyncio
import threading
from collections.abc import Callable, Mapping
from uuid import UUID, uuid4

import pytest

from api.errors import ApplicationError
from api.use_cases.background_records import WAITING_MAX, BackgroundRecords, FoldedRecords
from api.use_cases.heavy_reads import HeavyReads
from tests.support.waiting import WAIT_S_MAX, in_event_loop, run_ready_tasks, wait_for

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


@in_event_loop
async def test_only_so_many_reads_run_at_a_time_and_all_are_answered() -> None:
    reads, slots = _Reads(threading.Barrier(2).wait), HeavyReads(2)

    done = await asyncio.gather(*(slots.run(WAIT_S_MAX, reads.read) for _ in range(8)))

    assert sorted(done) == list(range(1, 9))
    assert reads.most == 2


@in_event_loop
async def test_stream_waits_for_a_slot_chunk_by_chunk() -> None:
    """A slow client keeps none from the others, and a chunk is not read while another read has the slot."""
    is_over, slots, chunks = threading.Event(), HeavyReads(1), iter([b"a", b"b", b"c"])
    reads, stream = _Reads(is_over.wait), slots.stream(chunks)
    first = await anext(stream)
    other = asyncio.create_task(slots.run(WAIT_S_MAX, reads.read))
    await asyncio.to_thread(wait_for, lambda: reads.most)
    second = asyncio.ensure_future(anext(stream))
    await run_ready_tasks()
    left = next(chunks)
    is_over.set()

    assert (await other, first, await second, left) == (1, b"a", b"c", b"b")


@in_event_loop
async def test_read_whose_turn_does_not_come_in_time_is_refused() -> None:
    is_over, slots = threading.Event(), HeavyReads(1)
    reads = _Reads(is_over.wait)
    first = asyncio.create_task(slots.run(WAIT_S_MAX, reads.read))
    await run_ready_tasks()
    with pytest.raises(ApplicationError) as refused:
        await slots.run(SHORT_S, reads.read)
    is_over.set()
    await first

    assert (refused.value.code, refused.value.retry_after_s) == ("OVERLOADED", 2)
    assert await slots.run(WAIT_S_MAX, reads.read) == 2


@in_event_loop
async def test_slot_is_taken_until_the_thread_ends_also_after_its_time() -> None:
    """A read that takes too long is answered UNAVAILABLE, and still uses a processor."""
    is_over, slots = threading.Event(), HeavyReads(1)
    reads = _Reads(is_over.wait)
    for code in ("UNAVAILABLE", "OVERLOADED"):
        with pytest.raises(ApplicationError, match=code):
            await slots.run(SHORT_S, reads.read)
    is_over.set()

    assert await slots.run(WAIT_S_MAX, reads.read) == 2
    assert reads.most == 1


@in_event_loop
async def test_slot_of_a_read_that_fails_or_is_cancelled_is_free_again() -> None:
    def fail() -> None:
        raise LookupError

    is_over, slots = threading.Event(), HeavyReads(1)
    reads = _Reads(is_over.wait)
    with pytest.raises(LookupError):
        await slots.run(WAIT_S_MAX, fail)
    running, waiting = (asyncio.create_task(slots.run(WAIT_S_MAX, reads.read)) for _ in range(2))
    await asyncio.to_thread(wait_for, lambda: reads.most)
    is_over.set()
    waiting.cancel()
    running.cancel()
    await asyncio.gather(waiting, running, return_exceptions=True)

    assert await slots.run(WAIT_S_MAX, reads.read) == 2


@in_event_loop
async def test_record_of_a_key_is_written_once_at_a_time() -> None:
    records, key_id, written = BackgroundRecords(), uuid4(), []

    async def write() -> None:
        await run_ready_tasks()
        written.append("one")

    for kind in ("use", "use", "use", "refusal"):
        records.begin(kind, key_id, write)
    await records.wait()
    records.begin("use", key_id, write)
    await records.wait()

    assert len(written) == 3


@in_event_loop
async def test_records_that_wait_are_limited() -> None:
    records, release, written = BackgroundRecords(), asyncio.Event(), []

    async def write() -> None:
        await release.wait()
        written.append("one")

    for _ in range(WAITING_MAX + 5):
        records.begin("use", uuid4(), write)
    release.set()
    await records.wait()

    assert len(written) == WAITING_MAX


@in_event_loop
async def test_failed_record_is_logged_and_made_again_later(caplog: pytest.LogCaptureFixture) -> None:
    """The answer of its request was sent before."""

    async def fail() -> None:
        raise ApplicationError("UNAVAILABLE")

    records, key_id = BackgroundRecords(), uuid4()
    for _ in range(2):
        records.begin("use", key_id, fail)
        await records.wait()

    assert [record.getMessage() for record in caplog.records] == ["recording the use of a key failed"] * 2


@in_event_loop
async def test_folded_records_hold_every_count_and_are_few() -> None:
    account_id, other_id = uuid4(), uuid4()
    written: list[tuple[UUID, dict[str, int]]] = []
    records, has_written = FoldedRecords(every_s=0.01), asyncio.Event()

    def add(account: UUID, what: str) -> None:
        async def write(counts: Mapping[str, int]) -> None:
            written.append((account, dict(counts)))
            has_written.set()

        records.add(account, what, write)

    add(account_id, "a")
    await has_written.wait()
    has_written.clear()
    for what in ("a", "b", "a"):
        add(account_id, what)
    await has_written.wait()
    add(account_id, "b")
    add(other_id, "a")
    await records.aclose()

    assert written[:2] == [(account_id, {"a": 1}), (account_id, {"a": 2, "b": 1})]
    assert sorted(written[2:]) == sorted([(account_id, {"b": 1}), (other_id, {"a": 1})])


@pytest.mark.parametrize("error", [ApplicationError("UNAVAILABLE"), RuntimeError("a defect")])
@in_event_loop
async def test_folded_records_are_not_lost_while_writing_fails(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    written: list[dict[str, int]] = []
    records, has_written, failures = FoldedRecords(every_s=0.01), asyncio.Event(), iter([True, False, True])

    async def write(counts: Mapping[str, int]) -> None:
        if next(failures):
            raise error
        written.append(dict(counts))
        has_written.set()

    records.add(None, "a", write)
    await run_ready_tasks()
    records.add(None, "b", write)
    await has_written.wait()
    records.add(None, "c", write)
    await records.aclose()

    assert written == [{"a": 1, "b": 1}]
    assert [getattr(record, "counts", None) for record in caplog.records] == [{"a": 1}, {"c": 1}]
