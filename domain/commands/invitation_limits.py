"""Limits on invitations: a decision that would reserve one is refused where the caller's limits leave no room.

The limits are counted outside (`api.rate_limits`). Decided here is whether a command reserves an invitation at all:
a repeated redeem of one's own reservation and every other refusal keep their answers. Only a client that asked about
too many recipients without a new reservation is no longer told which of them have uses.
"""

from collections.abc import Sequence
from typing import Final

from domain.commands.context import CommandContext, InvitationWaits
from domain.errors import InvitationsLimited, Refusal
from domain.events.event import Event
from domain.events.reservation import RebindReserved, ReservationStarted
from domain.model.redeem_code import RedeemCode

RECIPIENT: Final = "recipient"
AGAIN: Final = "again"
NEW_RECIPIENTS: Final = "new_recipients"
OTHER_RECIPIENTS: Final = "other_recipients"
"""Name of a limit, as the others: a reason of the refusal."""


def find_invitation_limit(
    events: Sequence[Event], context: CommandContext, code: RedeemCode | None
) -> InvitationsLimited | None:
    """Find the limit that holds these events back for longest.

    Args:
        events: What the command decided.
        context: Of the command; `waits` has the limits that are reached.
        code: The code they are about; None if it is new.

    Returns:
        The refusal, or None if the events reserve no invitation or no reached limit is about them.
    """
    waits = context.waits
    if waits is None or code is None:
        return None
    started = next((event for event in events if isinstance(event, ReservationStarted)), None)
    if started is None:
        return None
    seconds, why = max(_waits_by_limit(started, waits, code))
    return InvitationsLimited(why, retry_after_s=seconds) if seconds > 0 else None


def find_join_limit(context: CommandContext) -> InvitationsLimited | None:
    """Return the refusal of a client that may put no further person on a waiting list now; None if it may.

    A place leads to an email, so the limits are those of new recipients.
    """
    if context.waits is None:
        return None
    waits = context.waits
    seconds, why = max((waits.recipient_s, RECIPIENT), (waits.address_s, NEW_RECIPIENTS))
    return InvitationsLimited(why, retry_after_s=seconds) if seconds > 0 else None


def find_hidden_answer(context: CommandContext) -> InvitationsLimited | None:
    """Return the refusal of a client that may not learn whether a further recipient has uses; None if it may."""
    if context.waits is None or not context.waits.others_s:
        return None
    return InvitationsLimited(OTHER_RECIPIENTS, retry_after_s=context.waits.others_s)


def hide_recipient(refusal: Refusal, context: CommandContext) -> Refusal:
    """Return a refusal as its client may receive it: the same for recipients with and without uses, if it must be."""
    return (find_hidden_answer(context) if refusal.depends_on_recipient else None) or refusal


def _waits_by_limit(started: ReservationStarted, waits: InvitationWaits, code: RedeemCode) -> list[tuple[int, str]]:
    """Seconds by limit. A rebind has its own bound for each access, so only its recipient's limit holds."""
    waits_by_limit = [(waits.recipient_s, RECIPIENT)]
    if isinstance(started, RebindReserved):
        return waits_by_limit
    if started.follows is not None:
        return [*waits_by_limit, (waits.again_s, AGAIN)]
    return waits_by_limit if code.bound else [*waits_by_limit, (waits.address_s, NEW_RECIPIENTS)]
