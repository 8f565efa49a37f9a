"""Each letter by the channel of its group: its own where it has one, the usual one for all else.

Whom an operator writes to by a system of their own, nobody else writes to: notices go the way of the invitation, and a
system that does not take one is not got round by a mail.
"""

import logging
from collections.abc import Callable

from domain.ports import Channel, Letter, Outcome, Rejected, Removal, RemovalOutcome
from projections.errors import StorageUnavailableError

log = logging.getLogger(__name__)


class ByGroup:
    """Looks at a letter's group and hands it on. For one thread.

    Args:
        usual: Sends what goes by no other channel.
        own: The channel of a group; None if it has none.
    """

    def __init__(self, usual: Channel, own: Callable[[str], Channel | None]) -> None:
        self._usual = usual
        self._own = own

    @property
    def name(self) -> str:
        """The usual channel's."""
        return self._usual.name

    def send(self, letter: Letter) -> Outcome:
        """Send one letter."""
        if letter.group is None:
            return self._usual.send(letter)
        try:
            channel = self._own(letter.group)
        except StorageUnavailableError as away:
            log.warning("looking up a group's channel failed, an email waits: %s", away)
            return Rejected(server=self.name, reason="temporary", final=False)
        return (channel or self._usual).send(letter)

    def revoke(self, removal: Removal) -> RemovalOutcome:
        """Have one access taken away."""
        if removal.group is None:
            return self._usual.revoke(removal)
        try:
            channel = self._own(removal.group)
        except StorageUnavailableError as away:
            log.warning("looking up a group's channel failed, an access grant stays: %s", away)
            return Rejected(server=self.name, reason="temporary", final=False)
        return (channel or self._usual).revoke(removal)

    def close(self) -> None:
        """End the usual channel's connections; the others keep none."""
        self._usual.close()
