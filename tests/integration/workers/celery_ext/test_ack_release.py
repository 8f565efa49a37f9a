"""A worker whose broker does not take an acknowledgement continues working."""

from collections.abc import Iterator
from typing import Any

import kombu
import pytest
from kombu.transport.redis import QoS
from redis.exceptions import TimeoutError as RedisTimeoutError

from tests.support.waiting import WAIT_S_MAX
from workers.celery_ext.ack_release import AckReleasingQoS

KOMBU: Any = kombu
"""It has no types."""
QUEUE = KOMBU.Queue("acks")


@pytest.fixture
def channel(redis_url: str) -> Iterator[Any]:
    """A channel that holds at most one message, on a broker with two."""
    with KOMBU.Connection(redis_url) as connection:
        channel = connection.channel()
        channel.QoS = AckReleasingQoS
        channel._qos = None
        channel.basic_qos(0, 1, False)
        with connection.Producer(channel) as producer:
            for number in range(2):
                producer.publish({"n": number}, routing_key="acks", exchange="", declare=[QUEUE])
        yield channel


def frozen(*_: object, **__: object) -> None:
    """A Redis that doesn't answer in time."""
    raise RedisTimeoutError


@pytest.mark.parametrize("how", ["ack", "reject", "requeue"])
def test_message_that_cannot_be_acknowledged_frees_its_place(
    channel: Any,  # noqa: ANN401 - kombu's classes have no types
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    messages: list[Any] = []
    with KOMBU.Consumer(channel, [QUEUE], on_message=messages.append, accept=["json"]):
        channel.connection.client.drain_events(timeout=WAIT_S_MAX)
        assert not channel.qos.can_consume()
        with monkeypatch.context() as freeze:
            freeze.setattr(channel.qos, "_remove_from_indices", frozen)
            freeze.setattr(channel.qos, "restore_by_tag", frozen)
            with pytest.raises(RedisTimeoutError):
                messages[0].ack() if how == "ack" else messages[0].reject(requeue=how == "requeue")

        assert channel.qos.can_consume()
        channel.connection.client.drain_events(timeout=WAIT_S_MAX)

    assert [message.payload["n"] for message in messages] == [0, 1]


def test_kombu_itself_keeps_the_place(
    channel: Any,  # noqa: ANN401 - kombu's classes have no types
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: once this fails, kombu frees the place itself, and ours can go."""
    monkeypatch.setattr(channel, "QoS", QoS)
    channel._qos = None
    channel.basic_qos(0, 1, False)
    messages: list[Any] = []
    with KOMBU.Consumer(channel, [QUEUE], on_message=messages.append, accept=["json"]):
        channel.connection.client.drain_events(timeout=WAIT_S_MAX)
        with monkeypatch.context() as freeze:
            freeze.setattr(channel.qos, "_remove_from_indices", frozen)
            with pytest.raises(RedisTimeoutError):
                messages[0].ack()

        assert not channel.qos.can_consume()
