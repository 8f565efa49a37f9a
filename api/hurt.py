"""What an outage did to a reservation, as its events tell it. Knows no storage and no terminal."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.commands.reservation.resolve_case import BY_STAFF
from domain.events import InviteAttempted, InviteOutcomeUnknown, InviteSent, ReservationEvent
from domain.model.reservation import Reservation


class Window(Struct, frozen=True, kw_only=True):
    """Which attempts an outage hurt: begun or ended within the time, through this channel and server where named.

    Attributes:
        start: From this moment on.
        end: Before this moment.
        channel: Such as smtp; None for any.
        server: Host and port as histories show them; None for any, also for attempts whose server nobody learned.
    """

    start: datetime
    end: datetime
    channel: str | None = None
    server: str | None = None


class Hurt(Struct, frozen=True, kw_only=True):
    """One reservation to give back.

    Attributes:
        state: unknown (parked in doubt) or sent (nobody accepted it).
        at: When the attempt ended.
    """

    reservation_id: UUID
    code_id: UUID
    state: str
    at: datetime
    channel: str | None
    server: str | None


def how_hurt(item: Reservation, events: Iterable[ReservationEvent], window: Window) -> Hurt | None:
    """The attempt by which the outage hurt a reservation; None if it did not, or if nothing is left to give back.

    Of what was sent, the last letter counts: who was sent another one since was helped already. What a person called
    sent is that person's word, and no attempt's.
    """
    parked = item.is_live and item.ever_unknown and item.case_id is not None
    unaccepted = item.status == "sent" and item.accepted_at is None
    if not parked and not unaccepted:
        return None
    begun: dict[tuple[int, int], InviteAttempted] = {}
    found: Hurt | None = None
    for event in events:
        if isinstance(event, InviteAttempted):
            begun[event.delivery, event.attempt] = event
        elif isinstance(event, InviteOutcomeUnknown if parked else InviteSent):
            attempt = begun.get((event.delivery, event.attempt))
            if attempt is not None and _is_within(attempt, event, window):
                found = Hurt(
                    reservation_id=item.reservation_id,
                    code_id=item.code_id,
                    state="unknown" if parked else "sent",
                    at=event.at,
                    channel=attempt.channel,
                    server=event.server,
                )
            elif unaccepted:
                found = None  # sent again, outside of the outage or through another server
    return found


def _is_within(attempt: InviteAttempted, ended: InviteOutcomeUnknown | InviteSent, window: Window) -> bool:
    in_time = attempt.at < window.end and ended.at >= window.start
    if ended.server == BY_STAFF:
        return False
    return in_time and window.channel in {None, attempt.channel} and window.server in {None, ended.server}
