"""Records of API keys that no answer waits for, such as the time of their last use."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final
from uuid import UUID

from api.errors import ApplicationError

log = logging.getLogger(__name__)

WAITING_MAX: Final = 64
"""Most records that wait for the database; what more requests would record, a later request does."""

FOLDED_S: Final = 60.0
"""Seconds that lie between two folded records of one account, at least."""


class BackgroundRecords:
    """Records that are written in the event loop's background, one of each kind and key at a time.

    A record that fails is logged, and a later request makes it again: no answer depends on it.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, UUID], asyncio.Task[None]] = {}

    def begin(self, kind: str, key_id: UUID, write: Callable[[], Awaitable[object]]) -> None:
        """Begin to write a record, unless one of this kind and key is being written, or too many are."""
        name = (kind, key_id)
        if name in self._waiting or len(self._waiting) >= WAITING_MAX:
            return
        task = self._waiting[name] = asyncio.create_task(_write(kind, write))
        task.add_done_callback(lambda _: self._waiting.pop(name))

    async def wait(self) -> None:
        """Wait until every record that was begun is written."""
        await asyncio.gather(*self._waiting.values(), return_exceptions=True)


async def _write(kind: str, write: Callable[[], Awaitable[object]]) -> None:
    try:
        await write()
    except ApplicationError as error:
        log.warning("recording the use of a key failed", extra={"kind": kind, "why": error.code})


class FoldedRecords:
    """Records of what an account may bring about at any rate: at most one each `every_s` seconds, with the counts.

    The first is written immediately. What comes later is counted. A record that failed is written again with the next
    one, so counts may repeat if the database wrote them too late, and none is lost unless the process is killed.
    """

    def __init__(self, every_s: float = FOLDED_S) -> None:
        self._every_s = every_s
        self._counts: dict[UUID | None, Counter[str]] = {}
        self._tasks: dict[UUID | None, asyncio.Task[None]] = {}
        self._closing = asyncio.Event()

    def add(self, account_id: UUID | None, what: str, write: Callable[[Mapping[str, int]], Awaitable[object]]) -> None:
        """Count something that an account brought about.

        Args:
            account_id: The account; None for the operator.
            what: What it was, in one of a few words.
            write: Writes how often each came since the last record.
        """
        self._counts.setdefault(account_id, Counter())[what] += 1
        if account_id not in self._tasks:
            self._tasks[account_id] = asyncio.create_task(self._write_until_quiet(account_id, write))

    async def aclose(self) -> None:
        """Write what was counted, without waiting for its time."""
        self._closing.set()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _write_until_quiet(
        self, account_id: UUID | None, write: Callable[[Mapping[str, int]], Awaitable[object]]
    ) -> None:
        try:
            while counts := self._counts.pop(account_id, None):
                try:
                    await write(counts)
                except Exception as error:
                    if isinstance(error, ApplicationError):
                        log.warning("recording folded counts failed", extra={"counts": dict(counts), "why": error.code})
                    else:
                        log.exception("recording folded counts failed", extra={"counts": dict(counts)})
                    if self._closing.is_set():
                        return
                    self._counts.setdefault(account_id, Counter()).update(counts)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), self._every_s)
        finally:
            del self._tasks[account_id]
