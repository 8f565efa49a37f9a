"""What a refund means for an access that a group's own system may have given: no use stands for it any more.

An email ends with its link, at the refund itself. A system that was asked to invite, and did not definitely refuse, is
told of the end; so what it was asked for, less what it was told has ended, stays within the uses (invariant 11).
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from domain.commands.context import EventStamp
from domain.errors import AccessChoiceRequired
from domain.events import AccessCorrected, AccessRemoved, AccessRevoked, Event, InviteReleased, ReservationEvent
from domain.model.invariants import is_removal_open
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.working_set import WorkingSet


def withdrawn(
    item: Reservation, now: EventStamp, *, choice: bool | None = None, caused_by: int | None
) -> list[AccessRevoked]:
    """The end of an access whose use staff refund, or leave refunded; empty where it stays, or there is none to end.

    Args:
        item: The reservation as it stood before the refund.
        now: When, and the fields that all events share.
        choice: Whether the access is revoked, as the person who refunds it decided; None if they did not say. Then it
            is revoked where a group's own system may have given it: an email's link ends with the refund.
        caused_by: Version of the refund.

    Raises:
        AccessChoiceRequired: They did not say, and the invitation was accepted and its access stands.
    """
    if choice is None and item.accepted_at is not None and item.has_active_access:
        raise AccessChoiceRequired
    if choice is False or not (item.is_held_elsewhere or (choice and item.has_active_access)):
        return []
    return [AccessRevoked(**now.fields, reservation_id=item.reservation_id, caused_by=caused_by)]


def corrected(item: Reservation, by: UUID, now: EventStamp, *, caused_by: int) -> list[Event]:
    """The end of the access of a corrected reservation; empty where no invitation of it can have arrived.

    Where only emails were sent, nothing is left to remove, and that is recorded at once.

    Args:
        item: The reservation as it stood before the correction.
        by: The reservation of the right address.
        now: When, and the fields that all events share.
        caused_by: Version of the refund.
    """
    if item.access is not None and item.access.ending is not None:
        return []
    if item.status != "sent" and not item.is_held_elsewhere:
        return []
    ended = AccessCorrected(**now.fields, reservation_id=item.reservation_id, by=by, caused_by=caused_by)
    if not item.is_by_letters:
        return [ended]
    channel = item.channels[-1]
    removed = AccessRemoved(
        **now.fields,
        reservation_id=item.reservation_id,
        channel=channel,
        server=channel,
        cause="corrected",
        effect="told",
        caused_by=caused_by,
    )
    return [ended, removed]


def released(events: Sequence[Event], book: WorkingSet, policy: Policy) -> list[InviteReleased]:
    """What follows once an access is removed: the invitation that waited for that may be sent.

    Args:
        events: New events of one stream, in the book already.
        book: Holds what was corrected and the reservation of the right address.
        policy: Says for how long the invitation is tried.
    """
    found: dict[UUID, InviteReleased] = {}
    for event in events:
        if not isinstance(event, ReservationEvent):
            continue
        waiting = _released_by(book.reservations[event.reservation_id], book)
        if waiting is not None:
            found[waiting.reservation_id] = InviteReleased(
                at=event.at,
                recorded_at=event.recorded_at,
                actor=event.actor,
                actor_id=event.actor_id,
                request_id=event.request_id,
                correlation_id=event.correlation_id,
                reservation_id=waiting.reservation_id,
                deadline=event.at + timedelta(seconds=policy.reservation_ttl_s),
                caused_by=book.reservations[event.reservation_id].moved_by,
            )
    return list(found.values())


def _released_by(item: Reservation, book: WorkingSet) -> Reservation | None:
    """The reservation that waited for this one's access to be removed, if it is."""
    if item.access is None or item.access.replaced_by is None or is_removal_open(item):
        return None
    waiting = book.reservations.get(item.access.replaced_by)
    return waiting if waiting is not None and waiting.waits_for == item.reservation_id else None
