"""Reconnects worker and scheduler to the broker at a fixed interval, however long the outage was.

Celery 5.7 waits 2, 4, 6 ... 30 seconds between its attempts and has no setting for it, so after an outage of some
minutes invitations would wait for half a minute more, although the broker is available.
"""

from collections.abc import Callable
from typing import Any

from celery.app.amqp import AMQP
from kombu.connection import Connection

RECONNECT_INTERVAL_S = 1.0
"""Seconds between two attempts; each writes one log line."""


class FastReconnectConnection(Connection):
    """A connection to the broker that is attempted every second."""

    def ensure_connection(
        self,
        errback: Callable[..., Any] | None = None,
        max_retries: int | None = None,
        *_: Any,
        callback: Callable[[], Any] | None = None,
        **__: Any,
    ) -> "FastReconnectConnection":
        """Connect, with as many attempts as necessary.

        Args:
            errback: Called with each failure and the pause before the next attempt.
            max_retries: None for no limit.
            callback: Called before each pause; may end the process.
        """
        pace = {"interval_start": RECONNECT_INTERVAL_S, "interval_step": 0, "interval_max": RECONNECT_INTERVAL_S}
        super().ensure_connection(errback, max_retries, callback=callback, **pace)  # type: ignore[no-untyped-call]  # kombu ships this one without types
        return self


class FastReconnectAMQP(AMQP):  # type: ignore[misc]  # celery has no types
    """Celery's messaging over such connections."""

    Connection = FastReconnectConnection
