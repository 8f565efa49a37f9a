"""What a task that meets an outage leaves in the log: one line with the reason, and no traceback of it."""

import logging
from typing import NoReturn

import pytest
from celery import Celery
from psycopg import OperationalError as DatabaseAwayError

from projections.errors import StorageUnavailableError
from workers.outages import keep_to_one_line
from workers.task_metrics import measure_tasks

AWAY = "couldn't get a connection after 3.00 sec\nIs the server running?"


@pytest.mark.parametrize(
    ("error", "reason", "tracebacks"),
    [
        (StorageUnavailableError(AWAY), "StorageUnavailableError: couldn't get a connection after 3.00 sec", 0),
        (DatabaseAwayError(AWAY), "OperationalError: couldn't get a connection after 3.00 sec", 0),
        (KeyError("li.wei"), "KeyError", 1),
    ],
    ids=["the store", "the driver", "a defect"],
)
def test_an_outage_is_one_line(
    caplog: pytest.LogCaptureFixture, error: Exception, reason: str, tracebacks: int
) -> None:
    """A database that is away for a minute meets dozens of tasks; a defect is told with its traceback as ever."""
    app = Celery("outages", broker="memory://", set_as_current=False)

    def failing() -> NoReturn:
        raise error

    task = app.task(failing, name="failing")
    measure_tasks(lambda: None)
    keep_to_one_line()
    with caplog.at_level(logging.INFO):
        task.apply()

    lines = [record for record in caplog.records if record.name == "workers.task_metrics"]
    assert {(reason, "failed", logging.WARNING)} == {
        (vars(line)["reason"], vars(line)["outcome"], line.levelno) for line in lines
    }
    assert tracebacks == len([record for record in caplog.records if record.exc_info])
