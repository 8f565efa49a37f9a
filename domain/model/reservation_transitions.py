"""The fold of a reservation, one function for each kind of event.

A function returns the fields that change, and refuses nothing.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from domain.events.access import (
    AccessCorrected,
    AccessExpired,
    AccessRemovalFailed,
    AccessRemoved,
    AccessReplaced,
    AccessRevoked,
    ExpiryAnnounced,
    InviteReminded,
)
from domain.events.event import STAFF, AccessEnding, Event
from domain.events.reservation import (
    CaseClosed,
    CaseOpened,
    InviteAccepted,
    InviteAttempted,
    InviteBounced,
    InviteComplained,
    InviteDeferred,
    InviteDelayed,
    InviteFailed,
    InviteLinkRevealed,
    InviteOutcomeUnknown,
    InviteReleased,
    InviteSent,
    LateSuccessRecorded,
    NoteAdded,
    RebindReserved,
    ResendRequested,
    ReservationEvent,
    ReservationStarted,
    UseRefunded,
    UseReserved,
)
from domain.model.access import Access
from domain.model.reservation import Lease, Reservation
from domain.values.timestamps import is_impossible

Change = dict[str, object]


def _apply_attempt(reservation: Reservation, version: int, event: InviteAttempted) -> Change:
    lease = Lease(
        attempt=event.attempt,
        version=version,
        channel=event.channel,
        until=event.lease_until,
        worker=event.actor_id,
        task_id=event.request_id,
    )
    return {
        "lease": lease,
        "attempts": reservation.attempts + 1,
        "last_attempt": event.attempt,
        "next_attempt_at": None,
        "deferred": False,
        "channels": reservation.channels
        if event.channel in reservation.channels
        else (*reservation.channels, event.channel),
    }


def _apply_sent(reservation: Reservation, _: int, event: InviteSent) -> Change:
    """Set the first time of sending; a resend keeps it."""
    confirmed = {"sent_at": reservation.sent_at or event.at, **_confirm_attempt(reservation, event)}
    if reservation.status != "sent":
        return {"status": "sent", "lease": None, "next_attempt_at": None, **confirmed}
    return {**_finish_delivery(reservation, event), **confirmed}


def _finish_delivery(reservation: Reservation, event: InviteSent) -> Change:
    """End a resend with its own success; the success of an older delivery changes nothing about it."""
    if event.delivery != reservation.delivery:
        return {}
    return {"lease": None, "next_attempt_at": None, "resending": False}


def _apply_late_success(reservation: Reservation, _: int, event: LateSuccessRecorded) -> Change:
    if event.effect == "ended":
        return {**_confirm_attempt(reservation, event), **_ask_removal_again(reservation, event)}
    if event.effect != "retaken":
        return _confirm_attempt(reservation, event)
    no_refund = {"refunded_at": None, "refund_cause": None, "refund_request_id": None}
    return {
        "status": "sent",
        "sent_at": reservation.sent_at or event.at,
        **no_refund,
        **_confirm_attempt(reservation, event),
    }


def _ask_removal_again(reservation: Reservation, event: Event) -> Change:
    """Ask for the removal again: a channel may have been asked for this access after it was notified of the end."""
    access = reservation.access
    if access is None or access.removal not in {"removed", "told"} or reservation.is_by_email_only:
        return {}
    return {"access": _begin_removal(access, event, event.waits_from)}


def _begin_removal(access: Access, event: Event, removal_at: datetime) -> Access:
    return replace(
        access, removal="removing", removal_attempts=0, removal_at=removal_at, removal_timed_at=event.stored_at
    )


def _confirm_attempt(reservation: Reservation, event: InviteSent | LateSuccessRecorded) -> Change:
    """Count an attempt that another system made, so that the next one has a new number."""
    return {
        "last_attempt": max(reservation.last_attempt, event.attempt),
        "proved_attempts": _insert_sorted(reservation.proved_attempts, event.attempt),
        "proved_deliveries": _insert_sorted(reservation.proved_deliveries, event.delivery),
    }


def _insert_sorted(numbers: tuple[int, ...], number: int) -> tuple[int, ...]:
    """Return the numbers in order, each once."""
    if not numbers or number > numbers[-1]:
        return (*numbers, number)
    return numbers if number in numbers else tuple(sorted((*numbers, number)))


def _apply_bounce(reservation: Reservation, _: int, event: InviteBounced) -> Change:
    if event.mail != "invite":
        return {}
    is_newest = event.delivery == reservation.delivery
    return {
        "bounced_deliveries": (*reservation.bounced_deliveries, event.delivery),
        "bounced_at": event.at if is_newest else reservation.bounced_at,
    }


def _apply_failure(reservation: Reservation, _: int, event: InviteFailed) -> Change:
    """Spend the attempt, unless the failure was of the connection."""
    change = {"lease": None, "next_attempt_at": event.retry_at, **_end_unneeded_resend(reservation, event)}
    if event.about_connection:
        return {
            **change,
            "attempts": reservation.attempts - 1,
            "connection_failures": reservation.connection_failures + 1,
        }
    return {**change, "connection_failures": 0}


def _apply_deferral(reservation: Reservation, _: int, event: InviteDeferred) -> Change:
    """Move the deadline; the attempt is not spent."""
    return {
        "lease": None,
        "attempts": reservation.attempts - 1,
        "next_attempt_at": event.until,
        "deadline": event.deadline,
        "deferred": True,
    }


def _apply_unknown(reservation: Reservation, _: int, event: InviteOutcomeUnknown) -> Change:
    return {
        "lease": None,
        "next_attempt_at": event.retry_at,
        "ever_unknown": True,
        **_end_unneeded_resend(reservation, event),
    }


def _end_unneeded_resend(reservation: Reservation, event: InviteFailed | InviteOutcomeUnknown) -> Change:
    """End a resend that is no longer needed with its last attempt; no case is opened."""
    return {} if event.retry_at is not None or not reservation.needs_no_delivery else {"resending": False}


def _apply_acceptance(reservation: Reservation, _: int, event: InviteAccepted) -> Change:
    """Record the acceptance; a resend is no longer needed."""
    via = reservation.accepted_via or event.via
    return {"accepted_at": reservation.accepted_at or event.at, "accepted_via": via, **_stop_resending(reservation)}


def _stop_resending(reservation: Reservation) -> Change:
    """End the resend, unless it is being sent: then it ends with its attempt."""
    return {} if reservation.lease is not None else {"next_attempt_at": None, "resending": False}


def _apply_refund(_reservation: Reservation, _: int, event: UseRefunded) -> Change:
    return {
        "lease": None,
        "next_attempt_at": None,
        "resending": False,
        "waits_for": None,
        "status": "refunded",
        "refunded_at": event.at,
        "refund_cause": event.cause,
        "refund_request_id": event.request_id,
    }


def _apply_case_opened(_reservation: Reservation, _: int, event: CaseOpened) -> Change:
    return {"next_attempt_at": None, "case_id": event.case_id}


def _apply_case_closed(reservation: Reservation, _: int, event: CaseClosed) -> Change:
    """End the case; if sending continues, set a new deadline and allow all attempts again."""
    if event.retry_at is None:
        change: Change = {"case_id": None, "resending": reservation.resending and reservation.lease is not None}
        if reservation.access is not None and event.how == "removed_by_hand":
            change["access"] = replace(reservation.access, removal="removed")
        return change
    if not reservation.is_live and reservation.access is not None:
        return {"case_id": None, "access": _begin_removal(reservation.access, event, event.retry_at)}
    deadline = event.deadline or reservation.deadline
    return {
        "case_id": None,
        "attempts": 0,
        "connection_failures": 0,
        "next_attempt_at": event.retry_at,
        "deadline": deadline,
    }


def _apply_resend_request(_reservation: Reservation, _: int, event: ResendRequested) -> Change:
    """Begin a new delivery with its own deadline and all attempts."""
    return {
        "delivery": event.delivery,
        "delivery_at": event.waits_from,
        "deadline": event.deadline,
        "next_attempt_at": event.waits_from,
        "attempts": 0,
        "connection_failures": 0,
        "deferred": False,
        "resending": True,
        "bounced_at": None,
    }


def _apply_announcement(reservation: Reservation, _: int, event: ExpiryAnnounced) -> Change:
    access = reservation.access or Access()
    return {"access": replace(access, announced=(*access.announced, event.days))}


def _apply_reminder(reservation: Reservation, _: int, event: InviteReminded) -> Change:
    return {"access": replace(reservation.access or Access(), reminded=event.days)}


def _apply_expiry(reservation: Reservation, _: int, event: AccessExpired) -> Change:
    """End the access; an access that expired before an import needs no removal."""
    access = _end_access(reservation, event, "expired")
    if not event.notify:
        access = replace(access, removal=None, removal_at=None)
    return {"access": access, **_stop_resending(reservation)}


def _apply_replacement(reservation: Reservation, _: int, event: AccessReplaced) -> Change:
    access = replace(_end_access(reservation, event, "moved"), replaced_by=event.by)
    return {"access": access, **_stop_resending(reservation)}


def _apply_correction(reservation: Reservation, _: int, event: AccessCorrected) -> Change:
    return {"access": replace(_end_access(reservation, event, "corrected"), replaced_by=event.by)}


def _apply_release(_reservation: Reservation, _: int, event: InviteReleased) -> Change:
    return {"waits_for": None, "next_attempt_at": event.waits_from, "deadline": event.deadline}


def _apply_access_revoked(reservation: Reservation, _: int, event: AccessRevoked) -> Change:
    """End the access: if staff revoked it, it is still to be removed; otherwise it was removed already."""
    access = reservation.access or Access()
    if access.ending is None:
        access = _end_access(reservation, event, "withdrawn")
    if event.actor not in STAFF:
        access = replace(access, removal="removed", removal_at=None)
    return {"access_revoked_at": event.at, "access": access, **_stop_resending(reservation)}


def _end_access(reservation: Reservation, event: Event, ending: AccessEnding) -> Access:
    access = replace(reservation.access or Access(), ending=ending, ended_at=event.at)
    return _begin_removal(access, event, event.waits_from)


def _apply_removal(reservation: Reservation, _: int, event: AccessRemoved) -> Change:
    return {"access": replace(reservation.access or Access(), removal=event.effect, removal_at=None)}


def _apply_removal_failure(reservation: Reservation, _: int, event: AccessRemovalFailed) -> Change:
    return {
        "access": replace(
            reservation.access or Access(),
            removal="removal_failed" if event.retry_at is None else "removing",
            removal_attempts=event.attempt,
            removal_at=event.retry_at,
            removal_timed_at=event.stored_at,
        )
    }


def _apply_note(_reservation: Reservation, _: int, _event: NoteAdded | InviteDelayed | InviteComplained) -> Change:
    return {}


def _apply_reveal(_reservation: Reservation, _: int, _event: InviteLinkRevealed) -> Change:
    return {"is_link_revealed": True}


TRANSITIONS: dict[type[Event], Callable[[Reservation, int, Any], Change]] = {
    InviteAttempted: _apply_attempt,
    InviteSent: _apply_sent,
    InviteFailed: _apply_failure,
    InviteDeferred: _apply_deferral,
    InviteOutcomeUnknown: _apply_unknown,
    LateSuccessRecorded: _apply_late_success,
    InviteBounced: _apply_bounce,
    InviteDelayed: _apply_note,
    InviteComplained: _apply_note,
    InviteAccepted: _apply_acceptance,
    UseRefunded: _apply_refund,
    CaseOpened: _apply_case_opened,
    CaseClosed: _apply_case_closed,
    ResendRequested: _apply_resend_request,
    ExpiryAnnounced: _apply_announcement,
    InviteReminded: _apply_reminder,
    AccessExpired: _apply_expiry,
    AccessReplaced: _apply_replacement,
    AccessCorrected: _apply_correction,
    InviteReleased: _apply_release,
    AccessRevoked: _apply_access_revoked,
    AccessRemoved: _apply_removal,
    AccessRemovalFailed: _apply_removal_failure,
    InviteLinkRevealed: _apply_reveal,
    NoteAdded: _apply_note,
}


def evolve_reservation(
    reservation: Reservation | None, code_id: UUID, version: int, event: ReservationEvent
) -> Reservation:
    """Return the state of a reservation after one more of its events.

    Args:
        reservation: The state before the event; None before the first one.
        code_id: Id of its code's stream.
        version: Version of the event in that stream.
        event: The event.

    Raises:
        LookupError: There is no reservation yet, and the event does not begin one.
        TypeError: There is no fold for this type of event: a bug.
    """
    if reservation is None:
        if isinstance(event, ReservationStarted):
            return _begin_reservation(code_id, version, event)
        raise LookupError(f"no event before it opens reservation {event.reservation_id}")
    try:
        apply_transition = TRANSITIONS[type(event)]
    except KeyError as error:
        raise TypeError(f"no fold for {type(event).__name__}") from error
    reservation = _turn_back(reservation, event)
    change = apply_transition(reservation, version, event)
    if change.get("lease") or change.get("next_attempt_at"):
        change["timed_at"] = event.stored_at
    if not isinstance(event, NoteAdded):
        change["moved_by"] = version
        if event.actor in STAFF:
            change["staff_request_id"] = event.request_id
            change["staff_act"] = type(event).__name__
    return replace(reservation, versions=(*reservation.versions, version), **change)


def _turn_back(reservation: Reservation, event: ReservationEvent) -> Reservation:
    """Move the deadline of a delivery that was requested while the clock was ahead, once.

    This event proves that the clock went back. Otherwise the delivery would be attempted until the clock is
    there again.
    `delivery_at` stays, because it is the date of the email and of its copies.
    """
    requested_at, deadline = reservation.delivery_at, reservation.deadline
    if not is_impossible(requested_at, event.stored_at) or deadline <= requested_at:
        return reservation
    return replace(reservation, deadline=event.stored_at + (deadline - requested_at))


def _begin_reservation(code_id: UUID, version: int, event: ReservationStarted) -> Reservation:
    # A field with the same name in both has the same value. Each is named, because a loop over the names doubled the
    # time of this function, of which each redeem has one (1.3 and 2.9 us, 2026-12-01).
    waits_from = event.waits_from
    return Reservation(
        reservation_id=event.reservation_id,
        code_id=code_id,
        recipient_id=event.recipient_id,
        deadline=event.deadline,
        language=event.language,
        group=event.group,
        follows=event.follows,
        corrects=event.corrects,
        request_id=event.request_id,
        waits_for=event.waits_for,
        versions=(version,),
        moved_by=version,
        reserved_at=event.at,
        delivery_at=waits_from,
        kind="rebind" if isinstance(event, RebindReserved) else "redeem",
        next_attempt_at=waits_from if event.waits_for is None else None,
        timed_at=event.stored_at,
        opened_by=event.actor,
        access=_promised_access(event),
    )


def _promised_access(event: ReservationStarted) -> Access | None:
    announced = () if event.announced is None else (event.announced,)
    if event.validity_days is None and event.activated_at is None and not event.moves and not announced:
        return None
    return Access(
        validity_days=event.validity_days,
        activated_at=event.activated_at,
        moves=event.moves,
        announced=announced,
        remind_days=event.remind_days if isinstance(event, UseReserved) else None,
    )


def fold_reservation(code_id: UUID, history: Iterable[tuple[int, ReservationEvent]]) -> Reservation:
    """Build a reservation from its (version, event) pairs in order.

    Raises:
        LookupError: The first event does not begin a reservation.
        ValueError: There are no events.
    """
    reservation: Reservation | None = None
    for version, event in history:
        reservation = evolve_reservation(reservation, code_id, version, event)
    if reservation is None:
        raise ValueError("a reservation has at least one event")
    return reservation
