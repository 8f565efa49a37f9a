"""Undoing an outage: what it hurt, and giving that back batch by batch. For the command line, the API and the desk."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.command_bus import Command, CommandResult, Result
from domain.commands.context import CommandContext
from domain.commands.reservation.resolve_case import BY_STAFF, RefundAfterOutage
from domain.events import InviteAttempted, InviteOutcomeUnknown, InviteSent, ReservationEvent
from domain.model.reservation import Reservation, fold_reservation
from domain.values.batches import batched
from projections.read_models.reader import Reader


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


READ_AT_ONCE = 500
REFUNDED_AT_ONCE = 100
"""Commands per transaction: what is interrupted leaves whole batches done, and the next run finds the rest."""


def find_affected(reader: Reader, window: Window, *, include_sent: bool) -> Iterator[Hurt]:
    """Reservations that an outage hurt and that can be given back now."""
    candidates = reader.list_outage_candidates(window.start, window.end, include_sent=include_sent)
    for ids in batched(candidates, READ_AT_ONCE):
        for history in reader.read_reservation_events(ids).values():
            item = fold_reservation(history.code_id, history.events)
            hurt = how_hurt(item, (event for _, event in history.events), window)
            if hurt is not None:
                yield hurt


def give_back(
    execute: Callable[[Sequence[Command]], list[Result]],
    part: Sequence[Hurt],
    context: CommandContext,
    *,
    include_sent: bool,
) -> int:
    """Give one batch back; what somebody settled since it was listed is left alone. How many were given back."""
    results = execute(
        [
            RefundAfterOutage(
                context=context,
                reservation_id=item.reservation_id,
                include_sent=include_sent and item.state == "sent",  # a doubt that turned out to be sent stays so
            )
            for item in part
        ]
    )
    return sum(isinstance(result, CommandResult) and result.changed for result in results)
