"""Messages without a reservation: a preview, and a test message that is sent immediately."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain.ports import OutboundMessage, Outcome
from domain.webhooks.cloud_events import CloudEventSource, MessageFormat
from projections.config.settings import LedgerSettings
from projections.privacy.in_flight import lease_test_email
from projections.storage.bootstrap import LedgerStore
from projections.vault.random_source import RANDOM
from workers.channels.default_channel import default_channel
from workers.channels.group_router import GroupRoutingChannel
from workers.channels.mail_message import MessageParts, preview_parts
from workers.channels.registry import GroupChannels
from workers.http_client.client import PinnedHttpClient
from workers.webhooks.message import MessageTarget, WebhookResult, WebhookSender


@dataclass(frozen=True, slots=True)
class MailPreviewer:
    """Renders messages as the workers do, and sends through the same channel."""

    settings: LedgerSettings
    storage: LedgerStore

    def preview(self, message: OutboundMessage) -> MessageParts:
        """Return the message as it would arrive."""
        return preview_parts(message)

    def test_hook(
        self, url: str, secrets: Sequence[str], message_format: MessageFormat, delivery_id: UUID, now: datetime
    ) -> WebhookResult:
        """Send an endpoint a test now, in the calling thread."""
        http = PinnedHttpClient(self.settings.webhook_networks, self.settings.webhook_timeout_s)
        sender = WebhookSender(http, CloudEventSource.webhooks_of(self.settings.public_url))
        return sender.test(MessageTarget(url, secrets, message_format), delivery_id, now)

    def send(self, message: OutboundMessage) -> Outcome:
        """Send one message now, over a separate connection, in the calling thread.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        channel = GroupRoutingChannel(
            default_channel(self.settings), GroupChannels.create(self.settings, self.storage).for_group
        )
        # The lease also outlasts what precedes the first word to the server.
        longest_send = timedelta(seconds=2 * max(self.settings.smtp_timeout_s, self.settings.webhook_timeout_s))
        with closing(channel), lease_test_email(self.storage, RANDOM.draw_uuid(), message.recipient, longest_send):
            return channel.send(message)
