"""Telling an outage from a defect: what is away is one log line for each task that met it, without a traceback."""

import logging
from typing import Final

import redis.exceptions
from kombu.exceptions import OperationalError as BrokerAwayError

from projections.outages import DATABASE_AWAY

AWAY: Final = (
    *DATABASE_AWAY,
    BrokerAwayError,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
)
"""What tasks see of a database or broker that is away, slow or restarting."""
REASON_MAX: Final = 300
"""Letters of a reason in a log line."""


def reason_of(error: object) -> str:
    """Why a task failed, in one line. The words of a defect stay with its traceback: only its class is named."""
    name = type(error).__name__
    words = str(error).strip().partition("\n")[0]
    return f"{name}: {words}"[:REASON_MAX] if isinstance(error, AWAY) and words else name


def is_told_elsewhere(record: logging.LogRecord) -> bool:
    """Whether a line of Celery's about a failed task only repeats, with a traceback, the line that the task has."""
    return record.exc_info is not None and isinstance(record.exc_info[1], AWAY)


def keep_to_one_line() -> None:
    """Leave out Celery's lines about tasks that met an outage: `workers.task_metrics` writes one with the reason."""
    logging.getLogger("celery.app.trace").addFilter(_DEFECTS)


class _Defects(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not is_told_elsewhere(record)


_DEFECTS: Final = _Defects()
