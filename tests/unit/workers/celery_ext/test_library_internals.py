"""The internals of kombu and Celery that `workers.celery_ext` uses are as it expects them."""

import inspect

import celery
import kombu
from celery.app.amqp import AMQP
from celery.worker.consumer import Consumer
from kombu.connection import Connection
from kombu.transport import redis, virtual

from workers.celery_ext.no_delayed_delivery import STEP, leave_out_delayed_delivery

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
