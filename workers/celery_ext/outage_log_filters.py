"""Distinguishes outages from bugs: a task that meets an outage writes one log line without a traceback."""

import logging
from typing import Final

import redis.exceptions
from celery.beat import SchedulingError
from kombu.exceptions import OperationalError as BrokerUnavailableError

from projections.database.errors import DATABASE_UNAVAILABLE

UNAVAILABLE: Final = (
    *DATABASE_UNAVAILABLE,
    BrokerUnavailableError,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
)
"""Errors that tasks get from an unavailable, slow or restarting database or broker."""
REASON_MAX: Final = 300
"""Characters of a reason in a log line."""


def failure_reason(error: object) -> str:
    """Return why a task failed, in one line. Of a bug only the class is named; its message stays with the traceback."""
    name = type(error).__name__
    words = _first_line(error)
    return f"{name}: {words}"[:REASON_MAX] if isinstance(error, UNAVAILABLE) and words else name


def install_outage_filters() -> None:
    """Remove tracebacks of an outage from Celery's log lines; those of a bug stay."""
    logging.getLogger("celery.app.trace").addFilter(_TASK_FILTER)
    logging.getLogger("celery.beat").addFilter(_BEAT_FILTER)


class _TaskOutageFilter(logging.Filter):
    """Drops lines about tasks that failed in an outage; `workers.monitoring.task_metrics` logs the reason."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not isinstance(_error_of(record), UNAVAILABLE)


class _BeatOutageFilter(logging.Filter):
    """Removes stack and traceback from lines about messages that could not be sent: they are due again in seconds."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = _error_of(record)
        if isinstance(error, SchedulingError) and isinstance(error.__cause__ or error.__context__, UNAVAILABLE):
            record.msg, record.args, record.exc_info = "%s", (_first_line(error),), None
        return True


def _error_of(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0]


_TASK_FILTER: Final = _TaskOutageFilter()
_BEAT_FILTER: Final = _BeatOutageFilter()
