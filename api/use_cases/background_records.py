"""Records of API keys that no answer waits for, such as the time of their last use."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from api.errors import ApplicationError

log = logging.getLogger(__name__)

WAITING_MAX: Final = 64
"""Most records that wait for the database; what more requests would record, a later request does."""


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
