"""Once a second this process tells the others what it counted, and hears what they did. No request waits for it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from eventsourcing.persistence import PersistenceError

from api.rate_limits.guard import Guard
from projections.database.errors import BAD_VALUE_ERRORS
from projections.repositories.rate_limit_reports import RateLimitCounts

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0

Tell = Callable[[RateLimitCounts | None], Sequence[RateLimitCounts]]


@asynccontextmanager
async def telling(guard: Guard | None, tell: Tell) -> AsyncIterator[None]:
    """While this lasts, the limits of this process and those of others know of each other."""
    if guard is None:
        yield
        return
    rounds = asyncio.create_task(Exchange(guard, tell).run())
    try:
        yield
    finally:
        rounds.cancel()
        await asyncio.wait([rounds])


class Exchange:
    """The rounds of one guard.

    Args:
        guard: Whose counts.
        tell: Writes a report and gives those of others; may block, and is called in a thread.
    """

    def __init__(self, guard: Guard, tell: Tell) -> None:
        self._guard = guard
        self._tell = tell
        self._is_away = False

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.once()

    async def once(self) -> None:
        """One round. While the database is away nothing is heard, and no code is looked up either."""
        report = self._guard.report()
        try:
            self._guard.hear(await asyncio.to_thread(self._tell, report))
        except Exception as fault:  # whatever it is, the next round must come
            if not self._is_away:
                is_away = isinstance(fault, PersistenceError) and not isinstance(fault, BAD_VALUE_ERRORS)
                log.warning(
                    "exchanging rate limits failed, they count for this process alone: %s",
                    type(fault).__name__,
                    exc_info=None if is_away else fault,
                )
            self._is_away = True
        else:
            self._is_away = False
