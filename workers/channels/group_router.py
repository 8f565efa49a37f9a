"""Each letter by the channel of its group: its own where it has one, the usual one for all else.

Whom an operator writes to by a system of their own, nobody else writes to: notices go the way of the invitation, and a
system that does not take one is not got round by a mail.
"""

import logging
from collections.abc import Callable

from domain.ports import Channel, OutboundMessage, Outcome, Rejected, Removal, RemovalOutcome
from projections.database.errors import StorageUnavailableError

log = logging.getLogger(__name__)


class GroupRoutingChannel:
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

    def of(self, group: str | None) -> Channel | None:
        """The channel of a group as it is set up now; None while the database is unavailable."""
        if group is None:
            return self._usual
        try:
            return self._own(group) or self._usual
        except StorageUnavailableError as away:
            log.warning("looking up a group's channel failed, its emails and removals wait: %s", away)
            return None

    def send(self, letter: OutboundMessage) -> Outcome:
        """Send one letter."""
        channel = self.of(letter.group)
        return channel.send(letter) if channel is not None else self._unavailable()

    def revoke(self, removal: Removal) -> RemovalOutcome:
        """Have one access removed."""
        channel = self.of(removal.group)
        return channel.revoke(removal) if channel is not None else self._unavailable()

    def _unavailable(self) -> Rejected:
        return Rejected(server=self.name, reason="temporary", final=False)

    def close(self) -> None:
        """End the usual channel's connections; the others keep none."""
        self._usual.close()
