"""End the access that an external system may have given, when its use is refunded or corrected.

An email's link stops working with the refund itself. An external system that was asked to invite, and did not
definitely refuse, is notified of the end. So the access that it was asked for, less the access whose end it was
notified of, stays within the uses (invariant 11).
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from domain.commands.context import EventStamp
from domain.errors import AccessChoiceRequired
from domain.events.access import AccessCorrected, AccessRemoved, AccessRevoked
from domain.events.event import Event
from domain.events.reservation import InviteReleased, ReservationEvent
from domain.model.invariants import is_removal_open
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.working_set import WorkingSet


def end_refunded_access(
    reservation: Reservation, stamp: EventStamp, *, choice: bool | None = None, caused_by: int | None
) -> list[AccessRevoked]:
    """Return the end of the access whose use staff refund; empty if the access stays or there is none.

    Args:
        reservation: The reservation as it stood before the refund.
        stamp: When, and the fields that all events share.
        choice: Whether staff chose to revoke the access; None if they did not choose. Then it
            is revoked where a group's own system may have given it: an email's link ends with the refund.
        caused_by: Version of the refund.

    Raises:
        AccessChoiceRequired: Staff did not choose, and the invitation was accepted and its access is active.
    """
    if choice is None and reservation.accepted_at is not None and reservation.has_active_access:
        raise AccessChoiceRequired
    if choice is False or not (reservation.is_held_elsewhere or (choice and reservation.has_active_access)):
        return []
    return [AccessRevoked(**stamp.for_reservation(reservation), caused_by=caused_by)]


def end_corrected_access(reservation: Reservation, by: UUID, stamp: EventStamp, *, caused_by: int) -> list[Event]:
    """Return the end of a corrected reservation's access; empty if none of its invitations can have arrived.

    If only emails were sent, there is nothing to remove, and the end says so.

    Args:
        reservation: The reservation as it stood before the correction.
        by: The reservation of the right address.
        stamp: When, and the fields that all events share.
        caused_by: Version of the refund.
    """
    if reservation.access is not None and reservation.access.ending is not None:
        return []
    if reservation.status != "sent" and not reservation.is_held_elsewhere:
        return []
    ended = AccessCorrected(**stamp.for_reservation(reservation), by=by, caused_by=caused_by)
    if not reservation.is_by_email_only:
        return [ended]
    channel = reservation.channels[-1]
    removed = AccessRemoved(
        **stamp.for_reservation(reservation),
        channel=channel,
        server=channel,
        cause="corrected",
        effect="told",
        caused_by=caused_by,
    )
    return [ended, removed]


def release_waiting_invitations(
    events: Sequence[Event], working_set: WorkingSet, policy: Policy
) -> list[InviteReleased]:
    """Release the invitation that waited for an access, once that access is removed.

    Args:
        events: New events of one stream, in the working set already.
        working_set: Holds what was corrected and the reservation of the right address.
        policy: Says for how long the invitation is attempted.
    """
    releases: dict[UUID, InviteReleased] = {}
    for event in (event for event in events if isinstance(event, ReservationEvent)):
        waiting = _find_waiting_reservation(working_set.reservations[event.reservation_id], working_set)
        if waiting is not None:
            releases[waiting.reservation_id] = InviteReleased(
                at=event.at,
                recorded_at=event.recorded_at,
                actor=event.actor,
                actor_id=event.actor_id,
                approved_by=event.approved_by,
                request_id=event.request_id,
                correlation_id=event.correlation_id,
                reservation_id=waiting.reservation_id,
                deadline=event.waits_from + timedelta(seconds=policy.reservation_ttl_s),
                caused_by=working_set.reservations[event.reservation_id].moved_by,
            )
    return list(releases.values())


def _find_waiting_reservation(reservation: Reservation, working_set: WorkingSet) -> Reservation | None:
    """Return the reservation that waits until this reservation's access is removed; None if there is none."""
    if reservation.access is None or reservation.access.replaced_by is None or is_removal_open(reservation):
        return None
    waiting = working_set.reservations.get(reservation.access.replaced_by)
    return waiting if waiting is not None and waiting.waits_for == reservation.reservation_id else None
