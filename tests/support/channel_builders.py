"""Emails and channels as the tests of this folder need them."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from domain.ports import Channel, OutboundMessage, Outcome, Removal, RemovalOutcome
from domain.values.identifiers import EmailAddress
from domain.webhooks.signatures import secret_text
from projections.config.settings import parse_networks
from workers.channels.default_channel import open_channel
from workers.channels.kinds.webhook import WebhookChannel, WebhookTarget
from workers.channels.smtp.addresses import MailFrom
from workers.channels.smtp.channel import SmtpChannel
from workers.channels.smtp.connect import Connector
from workers.channels.smtp.connection_pool import ConnectionPool
from workers.channels.smtp.send_loop import SmtpSendLoop
from workers.channels.smtp.server_url import SmtpServerUrl
from workers.http_client.client import PinnedHttpClient

MAIL_FROM = "Ledger <ledger@example.com>"
TIMEOUT_S = 60.0
HOOK_TIMEOUT_S = 20.0

MESSAGE = OutboundMessage(
    reservation_id=UUID("0192f0c1-2b5c-4bd1-8f3f-3c4a7d2e9b10"),
    template="invite",
    message_id="<0192f0c1-2b5c-4bd1-8f3f-3c4a7d2e9b10.1@example.com>",
    recipient=EmailAddress.parse("li.wei@example.com"),
    language="zh",
    link="https://ledger.example.com/a/AZLwwStcS9GPPzxKfS6bEAABzR0",
    written_at=datetime(2026, 11, 24, 8, 30, tzinfo=UTC),
    group="design",
    ends_at=datetime(2027, 1, 31, 8, 30, tzinfo=UTC),
)

SECRET: Final = secret_text(b"n" * 32)
CALLBACKS: Final = "https://ledger.example.com/api/v1/channels/1/callbacks"
LOOPBACK: Final = parse_networks("127.0.0.0/8")


def message_to(recipient: str) -> OutboundMessage:
    return replace(MESSAGE, recipient=EmailAddress.parse(recipient))


@contextmanager
def channel_to(url: str, timeout_s: float = TIMEOUT_S) -> Iterator[Channel]:
    channel = open_channel(url, mail_from=MAIL_FROM, timeout_s=timeout_s)
    try:
        yield channel
    finally:
        channel.close()


class LoopedChannel:
    """A mail server's channel whose messages go through a send loop, as those of a worker's batch do."""

    def __init__(self, url: str, timeout_s: float) -> None:
        server = SmtpServerUrl.parse(url)
        self._connections = ConnectionPool(Connector.to(server, time.monotonic), 1)
        self._channel = SmtpChannel(
            server, sender=MailFrom.parse(MAIL_FROM), timeout_s=timeout_s, connections=self._connections
        )
        self.name = self._channel.name

    def send(self, message: OutboundMessage) -> Outcome:
        """Submit to a loop that ends with the message; the connection is kept."""
        with ThreadPoolExecutor(1) as openers:
            loop = SmtpSendLoop(self._channel, self._connections, openers, lambda *_: None)
            [outcome] = loop.submit([message])
            loop.close()
        return outcome.result(0)

    def revoke(self, removal: Removal) -> RemovalOutcome:
        return self._channel.revoke(removal)

    def close(self) -> None:
        self._channel.close()


def webhook_to(url: str, timeout_s: float = HOOK_TIMEOUT_S, secrets: tuple[str, ...] = (SECRET,)) -> WebhookChannel:
    """A channel to an external system on this machine; it keeps nothing open."""
    way = WebhookTarget(url=url, secrets=secrets, callbacks=CALLBACKS)
    return WebhookChannel(way, PinnedHttpClient(LOOPBACK, timeout_s), lambda: datetime.now(UTC))
