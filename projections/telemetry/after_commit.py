"""Work that follows a commit: whatever fails in it, the answer is the commit's."""

import logging
from types import TracebackType
from typing import Final

from projections.telemetry.metrics import ERRORS

log = logging.getLogger(__name__)
ERROR_TYPE: Final = "internal_error"


class after_commit:  # noqa: N801 - it is used as a function
    """Contain, log and count an error of work that follows a commit: caches, counters, wake-ups, traces.

    Args:
        work: What is done, for the log.
    """

    __slots__ = ("_work",)

    def __init__(self, work: str) -> None:
        self._work = work

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Suppress an error that is not an interruption."""
        if error is None or not isinstance(error, Exception):
            return False
        ERRORS.labels(ERROR_TYPE).inc()
        log.error("work after a commit failed", extra={"action": self._work}, exc_info=error)
        return True
