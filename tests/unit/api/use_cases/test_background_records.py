import asyncio
from collections.abc import Mapping
from uuid import UUID, uuid4

import pytest

from api.errors import ApplicationError
from api.use_cases.background_records import WAITING_MAX, BackgroundRecords, FoldedRecords
from tests.support.waiting import run_ready_tasks


def test_record_of_a_key_is_written_once_at_a_time() -> None:
    key_id, written = uuid4(), []

    async def write() -> None:
        await run_ready_tasks()
        written.append("one")

    async def begin(times: int) -> None:
        records = BackgroundRecords()
        for _ in range(times):
            records.begin("use", key_id, write)
        records.begin("refusal", key_id, write)
        await records.wait()
        records.begin("use", key_id, write)
        await records.wait()

    asyncio.run(begin(times=3))

    assert len(written) == 3


def test_records_that_wait_are_limited() -> None:
    written = []

    async def begin() -> None:
        records, release = BackgroundRecords(), asyncio.Event()

        async def write() -> None:
            await release.wait()
            written.append("one")

        for _ in range(WAITING_MAX + 5):
            records.begin("use", uuid4(), write)
        release.set()
        await records.wait()

    asyncio.run(begin())

    assert len(written) == WAITING_MAX


def test_failed_record_is_logged_and_made_again_later(caplog: pytest.LogCaptureFixture) -> None:
    """The answer of its request was sent before."""

    async def fail() -> None:
        raise ApplicationError("UNAVAILABLE")

    async def begin() -> None:
        records, key_id = BackgroundRecords(), uuid4()
        for _ in range(2):
            records.begin("use", key_id, fail)
            await records.wait()

    asyncio.run(begin())

    assert [record.getMessage() for record in caplog.records] == ["recording the use of a key failed"] * 2


def test_folded_records_hold_every_count_and_are_few() -> None:
    account_id, other_id = uuid4(), uuid4()
    written: list[tuple[UUID, dict[str, int]]] = []

    async def count() -> None:
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

    asyncio.run(count())

    assert written[:2] == [(account_id, {"a": 1}), (account_id, {"a": 2, "b": 1})]
    assert sorted(written[2:]) == sorted([(account_id, {"b": 1}), (other_id, {"a": 1})])


@pytest.mark.parametrize("error", [ApplicationError("UNAVAILABLE"), RuntimeError("a defect")])
def test_folded_records_are_not_lost_while_writing_fails(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    written: list[dict[str, int]] = []

    async def count() -> None:
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

    asyncio.run(count())

    assert written == [{"a": 1, "b": 1}]
    assert [getattr(record, "counts", None) for record in caplog.records] == [{"a": 1}, {"c": 1}]
