"""The exchange of rate limit counts between processes, once a second. No request waits for it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from api.rate_limits.guard import Guard
from projections.database.errors import is_outage
from projections.repositories.rate_limit_reports import RateLimitCounts

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0

ExchangeReports = Callable[[RateLimitCounts | None], Sequence[RateLimitCounts]]


@asynccontextmanager
async def report_periodically(guard: Guard | None, exchange: ExchangeReports) -> AsyncIterator[None]:
    """Exchange the counts of this process with those of the others while the context is open."""
    if guard is None:
        yield
        return
    task = asyncio.create_task(Exchange(guard, exchange).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


class Exchange:
    """Periodic exchange of the counts of one guard.

    Args:
        guard: Whose counts.
        exchange: Writes a report and gives those of others; may block, and is called in a thread.
    """

    def __init__(self, guard: Guard, exchange: ExchangeReports) -> None:
        self._guard = guard
        self._exchange = exchange
        self._is_unavailable = False

    async def run(self) -> None:
        """Exchange until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.once()

    async def once(self) -> None:
        """Exchange once. While the database is unavailable no counts arrive, and no code is looked up either."""
        report = self._guard.report()
        try:
            self._guard.merge(await asyncio.to_thread(self._exchange, report))
        except Exception as error:  # whatever it is, the next round must come
            if not self._is_unavailable:
                log.warning(
                    "exchanging rate limits failed",
                    extra={"why": type(error).__name__},
                    exc_info=None if is_outage(error) else error,
                )
            self._is_unavailable = True
        else:
            self._is_unavailable = False
