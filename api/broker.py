"""What may be missing beside the API, and what that means to an operator. None of it stops redeems."""

import logging
import time
from collections.abc import Collection
from typing import Final

log = logging.getLogger(__name__)

START_S: Final = 30.0
"""So long after our own start worker and beat may still be starting too."""

PARTS: Final = {
    "broker": "Redis does not answer: invitations wait for it, redeems are taken all the same",
    "worker": "no worker gave a sign of life for 15 s: invitations wait for one",
    "beat": "beat gave no sign of life for 15 s: retries and refunds wait for it",
    "broker_noeviction": "Redis may throw queued work away: set its maxmemory-policy to noeviction",
    "broker_memory": "Redis is at its maxmemory and takes no more work: raise it, or find out what fills it",
}
"""By the names of `workers.broker.BrokerState.missing`."""


class MissingParts:
    """Says in the log when a part goes missing, and when it is back; once each."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._began = time.monotonic()

    def tell(self, parts: Collection[str]) -> None:
        """What is missing now."""
        missing = set(parts)
        if "broker" in missing:
            missing &= {"broker"}  # of the others nothing is known then
        elif time.monotonic() < self._began + START_S:
            missing -= {"worker", "beat"}
        for part in sorted(missing - self._told):
            log.error(PARTS[part])
        for part in sorted(self._told - missing):
            log.warning("%s is all right again", part)
        self._told = missing
