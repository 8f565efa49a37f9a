"""Distinguishes outages from bugs: a task that meets an outage writes one log line without a traceback."""

import logging
from typing import Final

import redis.exceptions
from celery.beat import SchedulingError
from kombu.exceptions import OperationalError as BrokerUnavailableError

from projections.database.errors import is_outage

_OF_BROKER: Final = (BrokerUnavailableError, redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)
REASON_MAX: Final = 300
"""Characters of a reason in a log line."""


def failure_reason(error: object) -> str:
    """Return why a task failed, in one line. Of a bug only the class is named; its message stays with the traceback."""
    name = type(error).__name__
    words = _first_line(error)
    return f"{name}: {words}"[:REASON_MAX] if _shows_outage(error) and words else name


def _shows_outage(error: object) -> bool:
    """Return whether tasks get this error from an unavailable, slow or restarting database or broker."""
    return isinstance(error, _OF_BROKER) or is_outage(error)


def install_outage_filters() -> None:
    """Remove tracebacks of an outage from Celery's log lines; those of a bug stay."""
    logging.getLogger("celery.app.trace").addFilter(_TASK_FILTER)
    logging.getLogger("celery.beat").addFilter(_BEAT_FILTER)


class _TaskOutageFilter(logging.Filter):
    """Drops lines about tasks that failed in an outage; `workers.monitoring.task_metrics` logs the reason."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _shows_outage(_error_of(record))


class _BeatOutageFilter(logging.Filter):
    """Removes stack and traceback from lines about messages that could not be sent: they are due again in seconds."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = _error_of(record)
        if isinstance(error, SchedulingError) and _shows_outage(error.__cause__ or error.__context__):
            record.msg, record.args, record.exc_info = "%s", (_first_line(error),), None
        return True


def _error_of(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0]


_TASK_FILTER: Final = _TaskOutageFilter()
_BEAT_FILTER: Final = _BeatOutageFilter()
