"""Records that no answer waits for: one at a time for each key, a bounded number in all, and no failure that shows."""

import asyncio
from uuid import uuid4

import pytest

from api.errors import ApplicationError
from api.use_cases.background_records import WAITING_MAX, BackgroundRecords


def test_record_of_a_key_is_written_once_at_a_time() -> None:
    """Of requests that come together; afterwards the next one can be."""
    key_id, written = uuid4(), []

    async def write() -> None:
        await asyncio.sleep(0)
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
    """A database that does not answer collects no more."""
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
