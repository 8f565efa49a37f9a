import inspect
import logging
from typing import Any, NoReturn

import celery
import kombu
import pytest
from celery import Celery
from celery.app.amqp import AMQP
from celery.beat import Scheduler
from celery.worker.consumer import Consumer
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from kombu.exceptions import OperationalError as BrokerAwayError
from kombu.transport import redis, virtual
from psycopg import OperationalError as DatabaseAwayError
from psycopg.errors import ProgramLimitExceeded

from projections.database.errors import StorageUnavailableError
from workers.celery_ext.no_delayed_delivery import STEP, leave_out_delayed_delivery
from workers.celery_ext.outage_log_filters import install_outage_filters
from workers.celery_ext.reconnect import RECONNECT_INTERVAL_S, FastReconnectConnection
from workers.monitoring.task_metrics import known_task_id, measure_tasks

ACK = f"kombu {kombu.__version__} changed {{}}: adapt workers/celery_ext/ack_release.py"
RECONNECT = f"kombu {kombu.__version__} changed {{}}: adapt workers/celery_ext/reconnect.py"


def test_channels_to_redis_make_their_quality_of_service_of_a_class() -> None:
    """`AckReleasingQoS` takes its place, and falls back on the one of virtual transports."""
    assert redis.Channel.QoS is redis.QoS or issubclass(redis.Channel.QoS, redis.QoS), ACK.format("Channel.QoS")
    assert issubclass(redis.QoS, virtual.QoS), ACK.format("what redis.QoS inherits")
    for base in (redis.QoS, virtual.QoS):
        assert list(inspect.signature(base.ack).parameters) == ["self", "delivery_tag"], ACK.format("QoS.ack")
        assert list(inspect.signature(base.reject).parameters) == ["self", "delivery_tag", "requeue"], ACK.format(
            "QoS.reject"
        )


def test_connections_are_ensured_with_a_pace() -> None:
    """`FastReconnectConnection` hands its own interval, step and longest interval through `ensure_connection`."""
    parameters = inspect.signature(Connection._ensure_connection).parameters
    expected = {"errback", "max_retries", "interval_start", "interval_step", "interval_max", "callback"}

    assert expected <= parameters.keys(), RECONNECT.format("Connection.ensure_connection")
    assert AMQP.Connection is Connection, f"Celery {celery.__version__} changed AMQP.Connection: adapt reconnect.py"


def test_delayed_delivery_is_a_step_of_workers_and_is_left_out() -> None:
    """Otherwise each start of a worker declares 28 queues in RabbitMQ; removed twice, it is still gone."""
    before = list(Consumer.Blueprint.default_steps)
    assert STEP in before, f"Celery {celery.__version__} moved a step: adapt workers/celery_ext/no_delayed_delivery.py"
    try:
        leave_out_delayed_delivery()
        leave_out_delayed_delivery()

        assert [step for step in before if step not in Consumer.Blueprint.default_steps] == [STEP]
    finally:
        Consumer.Blueprint.default_steps[:] = before


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


CONNECTION: Any = FastReconnectConnection
"""kombu has no types."""


class EndedError(Exception):
    """Enough was seen."""


def test_pause_between_attempts_never_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery's own connection waits for up to 30 seconds once the broker was away for some minutes."""
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda _seconds: None)
    pauses: list[float] = []

    def note(_error: Exception, pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 40:
            raise EndedError

    with pytest.raises(EndedError):
        CONNECTION("redis://127.0.0.1:1/0").ensure_connection(note, None)

    assert pauses == [RECONNECT_INTERVAL_S] * 40


def test_reconnecting_gives_up_where_it_is_configured_to() -> None:
    """A publish is not tried again: who publishes bounds that."""
    with pytest.raises(OperationalError):
        CONNECTION("redis://127.0.0.1:1/0").ensure_connection(None, 0)
