"""Heartbeats, marks and state of a broker that is RabbitMQ.

A heartbeat is a message that expires, in a queue that keeps one; a mark of a loss is a queue. All are quorum queues, so
they outlive a node as the messages do.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import amqp
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from projections.config.broker_url import BrokerUrl
from workers.celery_ext.broker_options import broker_configuration
from workers.monitoring.broker_state import HEARTBEAT_S, MAIL_MARK_S, TIMEOUT_S, BrokerState, BrokerUnavailableError

QUEUE: Final = "ledger"
HEARTBEAT_QUEUES: Final = {"worker": "ledger.alive.worker", "beat": "ledger.alive.beat"}
MAIL_MISSING: Final = "ledger.missing.mail_server"
REMEMBERS: Final = "ledger.remembers"
NOWHERE: Final = "ledger.probe"
"""Routing key without a queue: RabbitMQ tells a connection that it accepts no messages only when it publishes one."""
QUORUM: Final = {"x-queue-type": "quorum"}

_ERRORS: Final = (amqp.exceptions.AMQPError, amqp.exceptions.MessageNacked, OperationalError, OSError)


class RabbitClient:
    """`BrokerClient` for RabbitMQ. It may be used by several threads, one at a time."""

    def __init__(self, broker: BrokerUrl, timeout_s: float = TIMEOUT_S) -> None:
        self._broker, self._timeout_s = broker, timeout_s
        self._lock = threading.Lock()
        self._connection: Any = None
        self._channel: Any = None
        self._is_blocked = False

    def look(self) -> BrokerState:
        """Read the length of the queues, then whether messages are accepted."""
        with self._open_channel() as channel:
            queued = _declare(channel, QUEUE)
            alive = {name: _declare_expiring(channel, queue, HEARTBEAT_S) for name, queue in HEARTBEAT_QUEUES.items()}
            is_mail_missing = _declare_expiring(channel, MAIL_MISSING, MAIL_MARK_S)
        return BrokerState(
            is_up=True,
            worker=alive["worker"] > 0,
            beat=alive["beat"] > 0,
            mail_server=is_mail_missing == 0,
            queued=queued,
            is_full=not self._accepts_messages(),
        )

    def describe(self) -> str:
        """Return product and version."""
        with self._open_channel():
            server = self._connection.connection.server_properties
        return (
            f"{server.get('product', 'RabbitMQ')} {server.get('version', '?')} at {self._broker.where}, quorum queues"
        )

    def renew_heartbeat(self, component: str) -> None:
        """Put a message into the component's queue, in place of the one before."""
        self._put(HEARTBEAT_QUEUES[component], HEARTBEAT_S)

    def mark_mail_server(self, *, is_missing: bool) -> None:
        """Put a message into the queue of the mark, or empty it."""
        if is_missing:
            self._put(MAIL_MISSING, MAIL_MARK_S)
            return
        with self._open_channel() as channel:
            _declare_expiring(channel, MAIL_MISSING, MAIL_MARK_S)
            channel.queue_purge(MAIL_MISSING)

    def is_mail_server_marked(self) -> bool:
        """Return whether the queue of the mark has a message."""
        with self._open_channel() as channel:
            return _declare_expiring(channel, MAIL_MISSING, MAIL_MARK_S) > 0

    def take_loss(self) -> bool:
        """Declare a queue that only a loss of the data removes; True if it was missing."""
        try:
            with self._open_channel() as channel:
                channel.queue_declare(REMEMBERS, passive=True)
        except BrokerUnavailableError as error:
            if not isinstance(error.__cause__, amqp.exceptions.NotFound):
                raise
            with self._open_channel() as channel:
                _declare(channel, REMEMBERS)
            return True
        return False

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def _put(self, queue: str, seconds: int) -> None:
        with self._open_channel() as channel:
            _declare_expiring(channel, queue, seconds)
            channel.basic_publish(amqp.Message(b"1", delivery_mode=2), exchange="", routing_key=queue)

    def _accepts_messages(self) -> bool:
        """Publish a message that no queue keeps. RabbitMQ reads nothing more from a publisher that it blocks."""
        try:
            with self._open_channel() as channel:
                channel.basic_publish(amqp.Message(b""), exchange="", routing_key=NOWHERE)
                _declare(channel, QUEUE)
        except BrokerUnavailableError:
            if self._is_blocked:
                return False
            raise
        return True

    @contextmanager
    def _open_channel(self) -> Iterator[Any]:
        """Give the channel, and connect if necessary; after an error the connection is not used again."""
        with self._lock:
            try:
                if self._channel is None:
                    self._connect()
                yield self._channel
            except _ERRORS as error:
                self._drop()
                reason = str(error) or "no answer in time"
                raise BrokerUnavailableError(reason) from error

    def _connect(self) -> None:
        settings = broker_configuration(self._broker, 0)
        waits = {"read_timeout": self._timeout_s, "write_timeout": self._timeout_s}
        self._is_blocked = False
        self._connection = Connection(
            settings["broker_url"],
            connect_timeout=self._timeout_s,
            ssl=settings["broker_use_ssl"],
            transport_options={
                **settings["broker_transport_options"],
                **waits,
                "on_blocked": self._on_blocked,
                "client_properties": {"connection_name": "ledger monitoring"},
            },
        )
        self._channel = self._connection.channel()

    def _on_blocked(self, _reason: object) -> None:
        self._is_blocked = True

    def _drop(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with suppress(Exception):  # it may be dead, and closing it is a courtesy
                connection.collect(self._timeout_s)


def _declare(channel: Any, queue: str, **arguments: Any) -> int:  # noqa: ANN401 - py-amqp has no types
    """Declare a queue and return how many messages wait in it."""
    declared = channel.queue_declare(queue, durable=True, auto_delete=False, arguments={**QUORUM, **arguments})
    return int(declared.message_count)


def _declare_expiring(channel: Any, queue: str, seconds: int) -> int:  # noqa: ANN401 - as above
    """Declare a queue that keeps one message for some seconds; return 1 while it has one."""
    return _declare(channel, queue, **{"x-message-ttl": seconds * 1000, "x-max-length": 1})
