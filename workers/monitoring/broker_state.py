"""What monitoring reads from the broker and stores there, the same for each kind of broker.

Heartbeats and marks expire in the broker, so no other store is needed. No client waits for long, and none retries.
"""

from typing import Final, NamedTuple, Protocol

TIMEOUT_S: Final = 1.0
HEARTBEAT_S: Final = 15
"""Seconds after which a component without a heartbeat counts as missing."""
HEARTBEAT_KEYS: Final = {"worker": "ledger:alive:worker", "beat": "ledger:alive:beat"}
"""Keys of Redis that workers and beat renew."""
MAIL_MARK_S: Final = 60
"""Seconds for which the mail server is marked as missing."""
COMPONENTS: Final = ("broker", "worker", "beat", "broker_noeviction", "broker_memory", "mail_server")


class BrokerUnavailableError(Exception):
    """The broker cannot be reached, rejects the login or did not answer in time; the message holds no password."""


class BrokerState(NamedTuple):
    """The result of one look at the broker; without an answer everything is missing."""

    is_up: bool = False
    worker: bool = False
    beat: bool = False
    is_noeviction: bool = True
    mail_server: bool = True
    queued: int = 0
    unacknowledged: int = 0
    memory_used: int = 0
    memory_max: int = 0
    is_full: bool = False

    def missing(self) -> list[str]:
        """Return which of `COMPONENTS` are missing or unsafe."""
        available = (self.is_up, self.worker, self.beat, self.is_noeviction, not self.is_full, self.mail_server)
        return [component for component, is_available in zip(COMPONENTS, available, strict=True) if not is_available]


class BrokerClient(Protocol):
    """One connection to a broker. Methods raise `BrokerUnavailableError`."""

    def look(self) -> BrokerState:
        """Return the broker's state, and the heartbeats and marks in it."""

    def describe(self) -> str:
        """Return product, version and configuration, for operators."""

    def renew_heartbeat(self, component: str) -> None:
        """Store that a component is alive; it expires after `HEARTBEAT_S` seconds."""

    def mark_mail_server(self, *, is_missing: bool) -> None:
        """Store whether workers can reach the mail server; a mark expires after `MAIL_MARK_S` seconds."""

    def is_mail_server_marked(self) -> bool:
        """Return whether the mail server is marked as missing."""

    def take_loss(self) -> bool:
        """Return True once after the broker lost its data, to one caller."""

    def close(self) -> None:
        """End the connection."""
