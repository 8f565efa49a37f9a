"""Call what waits for the database from the event loop: in a thread, and for a bounded time."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from api.errors import RETRY_AFTER_S, ApplicationError
from projections.database.errors import StorageUnavailableError
from projections.telemetry.metrics import ERRORS

P = ParamSpec("P")
T = TypeVar("T")


async def run_blocking(wait_s: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a thread.

    Args:
        wait_s: Seconds to wait for its result. After that its thread continues, and its result is dropped.
        function: May block.
        *args: Its arguments.
        **kwargs: Its arguments by name.

    Raises:
        ApplicationError: UNAVAILABLE, the database is unavailable or does not answer in time.
    """
    try:
        async with asyncio.timeout(wait_s):
            return await asyncio.to_thread(function, *args, **kwargs)
    except (StorageUnavailableError, TimeoutError) as error:
        ERRORS.labels("database_error").inc()
        raise ApplicationError("UNAVAILABLE", retry_after_s=RETRY_AFTER_S) from error
