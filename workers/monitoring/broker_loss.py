"""Detects that the broker lost everything: it was flushed, or restarted without its data.

The sweep does not repeat recent wake-up messages. If they are lost, it should.
"""

import contextlib

from workers.monitoring.broker_client import open_broker_client
from workers.monitoring.broker_state import BrokerUnavailableError


class BrokerLossDetector:
    """Sets a mark in the broker and checks whether it is still there."""

    def __init__(self, broker_url: str) -> None:
        self._client = open_broker_client(broker_url)

    def was_wiped(self) -> bool:
        """Return True once after each loss, to one caller; False if the broker does not answer."""
        with contextlib.suppress(BrokerUnavailableError):
            return self._client.take_loss()
        return False
