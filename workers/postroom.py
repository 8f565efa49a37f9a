"""Letters outside of any reservation: what one would look like, and a single test letter, sent at once."""

from dataclasses import dataclass

from domain.ports import Letter, Outcome
from projections.bootstrap import Storage
from projections.settings import LedgerSettings
from workers.channels.by_group import ByGroup
from workers.channels.letters import Parts, letter_parts
from workers.ways import OwnChannels, usual_channel


@dataclass(frozen=True, slots=True)
class PostRoom:
    """Writes letters as the workers do, and sends through the same channel."""

    settings: LedgerSettings
    storage: Storage

    def preview(self, letter: Letter) -> Parts:
        """The letter as it would arrive."""
        return letter_parts(letter)

    def send(self, letter: Letter) -> Outcome:
        """Send one letter now, over a connection of its own, in the calling thread."""
        channel = ByGroup(usual_channel(self.settings), OwnChannels.over(self.settings, self.storage).of_group)
        try:
            return channel.send(letter)
        finally:
            channel.close()
