"""Letters outside of any reservation: what one would look like, and a single test letter, sent at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.ports import Letter, Outcome
from projections.config.settings import LedgerSettings
from projections.storage.bootstrap import Storage
from workers.channels.group_router import ByGroup
from workers.channels.mail_message import Parts, letter_parts
from workers.channels.registry import OwnChannels, usual_channel
from workers.http_client.client import Poster
from workers.webhooks.message import Sender, Sent


@dataclass(frozen=True, slots=True)
class PostRoom:
    """Writes letters as the workers do, and sends through the same channel."""

    settings: LedgerSettings
    storage: Storage

    def preview(self, letter: Letter) -> Parts:
        """The letter as it would arrive."""
        return letter_parts(letter)

    def test_hook(self, url: str, secrets: Sequence[str], delivery_id: UUID, now: datetime) -> Sent:
        """Send an endpoint a test now, in the calling thread."""
        poster = Poster(self.settings.webhook_networks, self.settings.webhook_timeout_s)
        return Sender(poster).test(url, secrets, delivery_id, now)

    def send(self, letter: Letter) -> Outcome:
        """Send one letter now, over a connection of its own, in the calling thread."""
        channel = ByGroup(usual_channel(self.settings), OwnChannels.over(self.settings, self.storage).of_group)
        try:
            return channel.send(letter)
        finally:
            channel.close()
