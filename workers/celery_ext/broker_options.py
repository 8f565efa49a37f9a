"""Celery's settings for each kind of broker. Publish bounds follow measurements of Celery 5.7, 2026-11-24."""

import ssl
from typing import Any, Final

from projections.config.broker_url import BrokerUrl

REDIS_S_MAX: Final = 1
"""Longest wait for Redis, in seconds; kombu's default is to wait without end for a frozen one."""
RABBITMQ_S_MAX: Final = 3
"""Longest wait for RabbitMQ, which confirms a message once most of its nodes have written it to disk."""
HEARTBEAT_S: Final = 10
"""Interval of heartbeats between a worker and RabbitMQ: a connection without them ends after twice as long."""

_NO_RETRY: Final = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}
"""Without these a publish to a dead broker takes six seconds; the dispatcher tries again."""


def broker_configuration(broker: BrokerUrl, visibility_timeout_s: int) -> dict[str, Any]:
    """Return Celery's settings for a broker.

    Args:
        broker: Its URL.
        visibility_timeout_s: When Redis delivers what a dead worker held again. RabbitMQ does so immediately.
    """
    if broker.kind == "rabbitmq":
        return _rabbitmq_configuration(broker)
    waits = {"socket_timeout": REDIS_S_MAX, "socket_connect_timeout": REDIS_S_MAX}
    options: dict[str, Any] = {
        **_NO_RETRY,
        **waits,
        "socket_keepalive": True,
        "health_check_interval": 10,
        # Longer than any task may run (checked in the settings).
        "visibility_timeout": visibility_timeout_s,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
    }
    if broker.kind == "sentinel":
        options["master_name"] = broker.options["master_name"]
        options["sentinel_kwargs"] = {**waits, **broker.sentinel_login}
    return {"broker_url": broker.celery_url, "broker_transport_options": options}


def _rabbitmq_configuration(broker: BrokerUrl) -> dict[str, Any]:
    waits = {"read_timeout": RABBITMQ_S_MAX, "write_timeout": RABBITMQ_S_MAX}
    return {
        "broker_url": broker.celery_url,
        # Confirmed: without it, a message that RabbitMQ can't accept is lost and no error is raised.
        "broker_transport_options": {**_NO_RETRY, **waits, "confirm_publish": True},
        "broker_connection_timeout": REDIS_S_MAX,
        "broker_heartbeat": HEARTBEAT_S,
        "broker_use_ssl": tls_options() if broker.scheme == "amqps" else None,
        "task_default_queue_type": "quorum",
    }


def tls_options() -> dict[str, Any]:
    """Return py-amqp's options for TLS: the certificate must be valid for the host name of the URL."""
    return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}
