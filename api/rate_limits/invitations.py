"""Limits on invitations that redeems, corrections and rebinds bring about, so that no code serves to flood a mailbox.

Units are taken before the command runs, since many requests may be in progress at the same time, and put back where it
reserved nothing: repeated redeems of one's own reservation and refusals cost nothing. Answers without a new reservation
have a limit too, by the recipients that one client asks about: such an answer may tell whether a recipient has uses.
Whether a reached limit holds the command back is decided with it (`domain.commands.invitation_limits`).
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from api.rate_limits.expiring_keys import TimedSet
from api.rate_limits.gcra import KEYS_MAX, Gcra, Limit
from domain.commands.context import InvitationWaits
from domain.commands.invitation_limits import AGAIN, NEW_RECIPIENTS, OTHER_RECIPIENTS, RECIPIENT
from domain.events.event import ActorKind
from domain.model.reservation import Reservation
from projections.config.settings import Rates

HOUR_S: Final = 3600.0
REPORTED_MAX: Final = 500
"""Lines of one report to other processes; what exceeds it in one second stays known to this process alone."""
FIRST_REPORTED_MAX: Final = 100
"""The same for a key's first unit: under load, nearly every redeem has another recipient, which no limit is about."""


class Invitation(Struct, frozen=True):
    """The invitation that a command may bring about.

    Attributes:
        actor: Who asks. Staff are not limited; the client address counts of persons only.
        recipient: Digest of the recipient's email address.
        code: Digest of the code.
        site: Digest of the client's address.
        is_again: Whether a further use is asked for by `again`.
        asked_before: Whether this client address asked about the recipient with this code recently.
    """

    actor: ActorKind
    recipient: bytes
    code: bytes
    site: bytes
    is_again: bool
    asked_before: bool

    @property
    def chain(self) -> bytes:
        """Key of the `again` chain."""
        return self.code + self.recipient

    @property
    def is_about_other(self) -> bool:
        """Whether an answer without a new reservation may tell the client of a recipient that it did not know of.

        The id in `again` shows that it does.
        """
        return self.actor == "person" and not self.is_again and not self.asked_before


class Invitations:
    """What one process has counted. Not for use by several threads.

    Args:
        rates: The operator's numbers.
        clock: Seconds, monotonic.
    """

    def __init__(self, rates: Rates, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._recipients = Gcra(_hourly(RECIPIENT, rates.per_recipient))
        self._again = Gcra(_hourly(AGAIN, rates.again))
        self._sites = Gcra(_hourly(NEW_RECIPIENTS, rates.per_address))
        self._others = Gcra(_hourly(OTHER_RECIPIENTS, rates.per_address))
        self._asked = TimedSet(HOUR_S, KEYS_MAX)
        self._unreported: dict[tuple[str, bytes], int] = {}
        self.tables: Mapping[str, Gcra] = {
            table.limit.name: table for table in (self._recipients, self._again, self._sites, self._others)
        }

    def invitation(self, actor: ActorKind, recipient: bytes, code: bytes, site: bytes, *, is_again: bool) -> Invitation:
        """Return the invitation that a request may bring about."""
        asked_before = self._asked.has(site + code + recipient, self._clock())
        return Invitation(actor, recipient, code, site, is_again, asked_before)

    def acquire(self, invitation: Invitation) -> InvitationWaits | None:
        """Take a unit of each limit that leaves room, and return the waits of the others. `release` must follow."""
        if invitation.actor not in _LIMITED:
            return None
        now = self._clock()
        recipient_s = self._recipients.acquire(invitation.recipient, now)
        again_s = self._again.acquire(invitation.chain, now) if invitation.is_again else 0.0
        address_s = self._sites.acquire(invitation.site, now) if invitation.actor == "person" else 0.0
        others_s = self._others.acquire(invitation.site, now) if invitation.is_about_other else 0.0
        if not (recipient_s or again_s or address_s or others_s):
            return None
        return InvitationWaits(
            recipient_s=math.ceil(recipient_s),
            again_s=math.ceil(again_s),
            address_s=math.ceil(address_s),
            others_s=math.ceil(others_s),
        )

    def release(
        self,
        invitation: Invitation,
        waits: InvitationWaits | None,
        reservation: Reservation | None,
        *,
        is_code_bound: bool,
        is_answered: bool,
        has_joined: bool = False,
    ) -> None:
        """Keep the units that an invitation used, and put the others back.

        Args:
            invitation: As it was given to `acquire`.
            waits: The result of `acquire`.
            reservation: The reservation that the command made; None if it made none.
            is_code_bound: Whether its code is bound to its first recipient.
            is_answered: Whether the client receives a result or a refusal about a code that exists.
            has_joined: Whether the command put a further person on a waiting list.
        """
        if invitation.actor not in _LIMITED:
            return
        now = self._clock()
        is_further = reservation is not None and reservation.follows is not None
        is_invited = reservation is not None or has_joined
        if waits is None or not waits.recipient_s:
            self._settle(self._recipients, invitation.recipient, now, is_used=is_invited)
        if invitation.is_again and (waits is None or not waits.again_s):
            self._settle(self._again, invitation.chain, now, is_used=is_further)
        if invitation.actor == "person" and (waits is None or not waits.address_s):
            is_new = has_joined or (reservation is not None and not is_code_bound and not is_further)
            self._settle(self._sites, invitation.site, now, is_used=is_new)
        if invitation.is_about_other:
            is_counted = waits is None or not waits.others_s
            if is_counted:
                self._settle(self._others, invitation.site, now, is_used=is_answered and not is_invited)
            if is_invited or (is_counted and is_answered):
                self._asked.add(invitation.site + invitation.code + invitation.recipient, now)

    def report(self) -> dict[tuple[str, bytes], int]:
        """Units by limit and key since the last call, for the other processes."""
        unreported, self._unreported = self._unreported, {}
        return unreported

    def _settle(self, table: Gcra, key: bytes, now: float, *, is_used: bool) -> None:
        if not is_used:
            table.put_back(key, now)
            return
        unreported, name = self._unreported, table.limit.name
        if (
            len(unreported) < (REPORTED_MAX if table.owed(key, now) > _FIRST else FIRST_REPORTED_MAX)
            or (name, key) in unreported
        ):
            unreported[name, key] = unreported.get((name, key), 0) + 1


_FIRST: Final = 1.000_001
"""Units that a key owes after its first one, with room for rounding."""
_LIMITED: Final = frozenset({"person", "key"})


def _hourly(name: str, number: int) -> Limit:
    return Limit(name, number, HOUR_S / number)
