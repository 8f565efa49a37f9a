"""Heartbeats, marks and state of a broker that is Redis or Valkey, alone or behind Sentinel.

Knows no Celery, so that the API and `ledger doctor` can use it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from projections.config.broker_url import BrokerUrl
from workers.monitoring.broker_state import (
    HEARTBEAT_KEYS,
    HEARTBEAT_S,
    MAIL_MARK_S,
    TIMEOUT_S,
    BrokerState,
    BrokerUnavailableError,
)

MAIL_MISSING: Final = "ledger:missing:mail_server"
"""Key that workers set while they can't reach the mail server."""
REMEMBERS_KEY: Final = "ledger:remembers"
"""Key that is missing after the broker lost its data."""
QUEUE: Final = "ledger"
UNACKED_KEY: Final = "unacked"
"""kombu's hash of messages that workers hold."""
MEMORY_SHARE_MAX: Final = 0.9
T = TypeVar("T")


def open_redis_client(broker: BrokerUrl, timeout_s: float = TIMEOUT_S) -> "redis.Redis":
    """Create a client that connects at its first command, waits at most `timeout_s` for each, and does not retry."""
    waits = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    retry = Retry(NoBackoff(), 0)
    if broker.kind == "redis":
        return redis.Redis.from_url(broker.text, **waits, retry=retry)
    sentinels = Sentinel(list(broker.hosts), sentinel_kwargs={**waits, **broker.sentinel_login, "retry": retry})
    login = {"username": broker.username, "password": broker.password}
    master: redis.Redis = sentinels.master_for(
        broker.options["master_name"], db=int(broker.path or 0), **login, **waits, retry=retry
    )
    return master


def is_nearly_full(info: dict[str, Any]) -> bool:
    """Return whether a Redis with this INFO is near its memory limit, where it would refuse messages."""
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    return limit > 0 and used > limit * MEMORY_SHARE_MAX


class RedisClient:
    """`BrokerClient` for Redis and Valkey."""

    def __init__(self, broker: BrokerUrl, timeout_s: float = TIMEOUT_S) -> None:
        self._broker = broker
        self._client: Any = open_redis_client(broker, timeout_s)

    def look(self) -> BrokerState:
        """Read everything in one round trip."""
        with _translate_errors(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.mget([*HEARTBEAT_KEYS.values(), MAIL_MISSING])
            pipeline.info("memory")
            pipeline.llen(QUEUE)
            pipeline.hlen(UNACKED_KEY)
            heartbeats, info, queued, unacknowledged = pipeline.execute()
        return BrokerState(
            is_up=True,
            worker=heartbeats[0] is not None,
            beat=heartbeats[1] is not None,
            mail_server=heartbeats[2] is None,
            is_noeviction=info.get("maxmemory_policy") in {None, "noeviction"},
            queued=queued,
            unacknowledged=unacknowledged,
            memory_used=int(info.get("used_memory", 0)),
            memory_max=int(info.get("maxmemory", 0)),
            is_full=is_nearly_full(info),
        )

    def describe(self) -> str:
        """Return server, version, memory and eviction policy."""
        info = self._call(self._client.info)
        used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
        memory = f"{used / 2**20:.0f} MB used" + (f" of {limit / 2**20:.0f} MB" if limit else ", no limit")
        version = info.get("valkey_version") or info.get("redis_version", "?")
        name, policy = info.get("server_name", "redis"), info.get("maxmemory_policy", "noeviction")
        return f"{name} {version} at {self._broker.where}, {memory}, {policy}"

    def renew_heartbeat(self, component: str) -> None:
        """Set the component's key."""
        self._call(lambda: self._client.set(HEARTBEAT_KEYS[component], "1", ex=HEARTBEAT_S))

    def mark_mail_server(self, *, is_missing: bool) -> None:
        """Set or delete the mark."""
        if is_missing:
            self._call(lambda: self._client.set(MAIL_MISSING, "1", ex=MAIL_MARK_S))
        else:
            self._call(lambda: self._client.delete(MAIL_MISSING))

    def is_mail_server_marked(self) -> bool:
        """Return whether the mark exists."""
        return bool(self._call(lambda: self._client.exists(MAIL_MISSING)))

    def take_loss(self) -> bool:
        """Set a key that only a loss of the data removes; True if it was missing."""
        return bool(self._call(lambda: self._client.set(REMEMBERS_KEY, "1", nx=True)))

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()

    @staticmethod
    def _call(command: Callable[[], T]) -> T:
        with _translate_errors():
            return command()


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except MasterNotFoundError as error:  # its text goes on with the whole client of each Sentinel
        raise BrokerUnavailableError(str(error).partition(" : ")[0]) from error
    except redis.RedisError as error:
        raise BrokerUnavailableError(str(error)) from error
