"""Letters outside of any reservation: what one would look like, and a single test letter, sent at once."""

from dataclasses import dataclass

from domain.ports import Letter, Outcome
from projections.settings import LedgerSettings
from workers.channels import open_channel
from workers.channels.letters import Parts, letter_parts


@dataclass(frozen=True, slots=True)
class PostRoom:
    """Writes letters as the workers do, and sends through the same channel."""

    settings: LedgerSettings

    def preview(self, letter: Letter) -> Parts:
        """The letter as it would arrive."""
        return letter_parts(letter)

    def send(self, letter: Letter) -> Outcome:
        """Send one letter now, over a connection of its own, in the calling thread."""
        channel = open_channel(
            self.settings.smtp_url.get_secret_value(),
            mail_from=self.settings.mail_from,
            timeout_s=self.settings.smtp_timeout_s,
        )
        try:
            return channel.send(letter)
        finally:
            channel.close()
