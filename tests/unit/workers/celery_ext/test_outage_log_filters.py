import logging
from typing import NoReturn

import pytest
from celery import Celery
from celery.beat import Scheduler
from kombu.exceptions import OperationalError as BrokerAwayError
from psycopg import OperationalError as DatabaseAwayError
from psycopg.errors import ProgramLimitExceeded

from projections.database.errors import StorageUnavailableError
from workers.celery_ext.outage_log_filters import install_outage_filters
from workers.monitoring.task_metrics import known_task_id, measure_tasks

POOL_TIMEOUT = "couldn't get a connection after 3.00 sec\nIs the server running?"


@pytest.mark.parametrize(
    ("error", "reason", "tracebacks"),
    [
        (StorageUnavailableError(POOL_TIMEOUT), "StorageUnavailableError: couldn't get a connection after 3.00 sec", 0),
        (DatabaseAwayError(POOL_TIMEOUT), "OperationalError: couldn't get a connection after 3.00 sec", 0),
        (KeyError("li.wei"), "KeyError", 1),
        (ProgramLimitExceeded("row too large: li.wei"), "ProgramLimitExceeded", 1),
    ],
    ids=["the store", "the driver", "a defect", "a defect of the driver's operational errors"],
)
def test_outage_is_one_line(caplog: pytest.LogCaptureFixture, error: Exception, reason: str, tracebacks: int) -> None:
    """A database outage of a minute meets dozens of tasks; a bug is logged with its traceback as usual."""
    app = Celery("outages", broker="memory://", set_as_current=False)

    def failing() -> NoReturn:
        raise error

    task = app.task(failing, name="failing", shared=False)
    measure_tasks(lambda: None)
    install_outage_filters()
    with caplog.at_level(logging.INFO):
        task.apply()

    lines = [record for record in caplog.records if record.name == "workers.monitoring.task_metrics"]
    assert {(reason, "failed", logging.WARNING)} == {
        (vars(line)["reason"], vars(line)["outcome"], line.levelno) for line in lines
    }
    assert tracebacks == len([record for record in caplog.records if record.exc_info])


@pytest.mark.parametrize(
    ("error", "is_short"),
    [(BrokerAwayError("Timeout reading from socket"), True), (ValueError("no such task"), False)],
    ids=["the broker", "a defect"],
)
def test_failed_publish_of_the_scheduler_is_one_log_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, error: Exception, is_short: bool
) -> None:
    """A broker that is unavailable for a minute is met dozens of times; Celery tells each with two stacks."""
    app = Celery("outages", broker="memory://", set_as_current=False)

    def nothing() -> None:
        """Is never run."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise error

    monkeypatch.setattr(app.task(nothing, name="sweeping", shared=False), "apply_async", refuse)
    install_outage_filters()
    scheduler = Scheduler(app, lazy=True)
    scheduler.apply_entry(scheduler.Entry(name="sweep", task="sweeping", schedule=1.0, app=app))

    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert is_short == (f"Couldn't apply scheduled task sweep: {error}" == line.getMessage())
    assert is_short == (not line.exc_info)


@pytest.mark.parametrize(
    ("task_id", "expected"),
    [
        ("aaaacd17-6b1c-4b6b-8c3c-0d1f6d0e9a11", "aaaacd17-6b1c-4b6b-8c3c-0d1f6d0e9a11"),
        ("T6Z7-Z16G-K5WA-XPK1-1EX3", "unnamed"),
        ("li.wei@example.com", "unnamed"),
        ("", "unnamed"),
        (None, "unnamed"),
    ],
)
def test_task_id_is_recorded_only_in_the_form_that_celery_makes(task_id: str | None, expected: str) -> None:
    """Who publishes a task manually may choose any text for its id, and it would stay in events and logs."""
    assert known_task_id(task_id) == expected
