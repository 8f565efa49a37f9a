"""Components that the API can do without, and what their absence means. None of it stops redeems."""

import logging
import time
from collections.abc import Collection
from typing import Final

log = logging.getLogger(__name__)

START_S: Final = 30.0
"""Seconds after our own start during which worker and beat may still be starting."""

PARTS: Final = {
    "broker": "{broker} is unavailable: redeem requests are accepted, invitations wait",
    "worker": "heartbeat of the workers missing for 15 s: invitations wait",
    "beat": "heartbeat of beat missing for 15 s: retries and refunds wait",
    "broker_noeviction": "maxmemory-policy of Redis is unsafe, queued work may be evicted: set it to noeviction",
    "broker_memory": "{broker} is full and refuses work: {remedy}",
    "mail_server": "mail server is unavailable to the workers, invitations wait: start it, or set LEDGER_SMTP_URL",
}
"""Log lines by the names of `workers.monitoring.broker_state.COMPONENTS`."""
REMEDIES: Final = {
    "Redis": "raise its maxmemory, or find what fills it",
    "RabbitMQ": "free memory or disk space, see `rabbitmq-diagnostics alarms`",
}


def describe_missing(part: str, product: str) -> str:
    """Return what the absence of a component means, for the product that is the broker."""
    return PARTS[part].format(broker=product, remedy=REMEDIES[product])


class DependencyStatus:
    """Logs when a component becomes unavailable and when it is available again, once each; `product` is the broker."""

    def __init__(self, product: str) -> None:
        self._product = product
        self._reported: set[str] = set()
        self._began = time.monotonic()

    def log_changes(self, parts: Collection[str]) -> None:
        """Log the changes since the last call; `parts` are the components that are missing now."""
        missing = set(parts)
        if "broker" in missing:
            missing &= {"broker"}  # of the others nothing is known then
        elif time.monotonic() < self._began + START_S:
            missing -= {"worker", "beat"}
        for part in sorted(missing - self._reported):
            log.error("component unavailable", extra={"component": part, "why": describe_missing(part, self._product)})
        for part in sorted(self._reported - missing):
            log.warning("component available again", extra={"component": part})
        self._reported = missing
