"""What each kind of event changes of a reservation: the parts of its fold, one function each. They never refuse."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from domain.events import (
    STAFF,
    AccessCorrected,
    AccessEnding,
    AccessExpired,
    AccessRemovalFailed,
    AccessRemoved,
    AccessReplaced,
    AccessRevoked,
    CaseClosed,
    CaseOpened,
    Event,
    ExpiryAnnounced,
    InviteAccepted,
    InviteAttempted,
    InviteBounced,
    InviteDeferred,
    InviteFailed,
    InviteOutcomeUnknown,
    InviteReleased,
    InviteSent,
    LateSuccessRecorded,
    NoteAdded,
    ResendRequested,
    UseRefunded,
)
from domain.model.access import Access

if TYPE_CHECKING:
    from domain.model.reservation import Reservation


class Lease(Struct, frozen=True, kw_only=True, gc=False):
    """An attempt of one worker. `version` and `channel` are those of its InviteAttempted; the rest says whose it is."""

    attempt: int
    version: int
    channel: str
    until: datetime
    worker: str | None
    task_id: str | None


Change = dict[str, object]


def _attempted(this: "Reservation", version: int, event: InviteAttempted) -> Change:
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
        "attempts": this.attempts + 1,
        "last_attempt": event.attempt,
        "next_attempt_at": None,
        "deferred": False,
        "channels": this.channels if event.channel in this.channels else (*this.channels, event.channel),
    }


def _sent(this: "Reservation", _: int, event: InviteSent) -> Change:
    """Of a further delivery too: then it was sent before, and that stays so."""
    proved = {"sent_at": this.sent_at or event.at, **_confirmed(this, event)}
    if this.status != "sent":
        return {"status": "sent", "lease": None, "next_attempt_at": None, **proved}
    return {**_delivered(this, event), **proved}


def _delivered(this: "Reservation", event: InviteSent) -> Change:
    """A further delivery ends with its own success; that of an older one changes nothing about it."""
    if event.delivery != this.delivery:
        return {}
    return {"lease": None, "next_attempt_at": None, "resending": False}


def _late_success(this: "Reservation", _: int, event: LateSuccessRecorded) -> Change:
    if event.effect == "ended":
        return {**_confirmed(this, event), **_told_again(this, event.at)}
    if event.effect != "retaken":
        return _confirmed(this, event)
    no_refund = {"refunded_at": None, "refund_cause": None, "refund_request_id": None}
    return {"status": "sent", "sent_at": this.sent_at or event.at, **no_refund, **_confirmed(this, event)}


def _told_again(this: "Reservation", at: datetime) -> Change:
    """A channel that removes accesses may have been asked for this one after it was told of the end."""
    access = this.access
    if access is None or access.removal not in {"removed", "told"} or this.is_by_letters:
        return {}
    return {"access": replace(access, removal="removing", removal_tries=0, removal_at=at)}


def _confirmed(this: "Reservation", event: InviteSent | LateSuccessRecorded) -> Change:
    """An attempt that another system made counts too: the next one needs a number of its own."""
    return {
        "last_attempt": max(this.last_attempt, event.attempt),
        "proved_attempts": _insert_sorted(this.proved_attempts, event.attempt),
        "proved_deliveries": _insert_sorted(this.proved_deliveries, event.delivery),
    }


def _insert_sorted(known: tuple[int, ...], number: int) -> tuple[int, ...]:
    """Numbers in order, each once."""
    if not known or number > known[-1]:
        return (*known, number)
    return known if number in known else tuple(sorted((*known, number)))


def _bounced(this: "Reservation", _: int, event: InviteBounced) -> Change:
    return {"bounced_deliveries": (*this.bounced_deliveries, event.delivery)}


def _failed(this: "Reservation", _: int, event: InviteFailed) -> Change:
    """A failure that is about the connection spends no attempt."""
    failed = {"lease": None, "next_attempt_at": event.retry_at, **_ended(this, event)}
    if event.about_connection:
        return {**failed, "attempts": this.attempts - 1, "connection_failures": this.connection_failures + 1}
    return {**failed, "connection_failures": 0}


def _deferred(this: "Reservation", _: int, event: InviteDeferred) -> Change:
    """The attempt is not spent."""
    return {
        "lease": None,
        "attempts": this.attempts - 1,
        "next_attempt_at": event.until,
        "deadline": event.deadline,
        "deferred": True,
    }


def _unknown(this: "Reservation", _: int, event: InviteOutcomeUnknown) -> Change:
    return {"lease": None, "next_attempt_at": event.retry_at, "ever_unknown": True, **_ended(this, event)}


def _ended(this: "Reservation", event: InviteFailed | InviteOutcomeUnknown) -> Change:
    """A further delivery that nobody needs any more is at its end with its last attempt; no case waits for it."""
    return {} if event.retry_at is not None or not this.needs_no_delivery else {"resending": False}


def _accepted(this: "Reservation", _: int, event: InviteAccepted) -> Change:
    """Nobody needs a further delivery any more."""
    via = this.accepted_via or event.via
    return {"accepted_at": this.accepted_at or event.at, "accepted_via": via, **_no_further_delivery(this)}


def _no_further_delivery(this: "Reservation") -> Change:
    """One that is being sent ends by itself."""
    return {} if this.lease is not None else {"next_attempt_at": None, "resending": False}


def _refunded(_this: "Reservation", _: int, event: UseRefunded) -> Change:
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


def _case_opened(_this: "Reservation", _: int, event: CaseOpened) -> Change:
    return {"next_attempt_at": None, "case_id": event.case_id}


def _case_closed(this: "Reservation", _: int, event: CaseClosed) -> Change:
    """Where the machines go on, they get a new deadline and all their attempts again."""
    if event.retry_at is None:
        closed: Change = {"case_id": None, "resending": this.resending and this.lease is not None}
        if this.access is not None and event.how == "removed_by_hand":
            closed["access"] = replace(this.access, removal="removed")
        return closed
    if not this.is_live and this.access is not None:
        removing = replace(this.access, removal="removing", removal_tries=0, removal_at=event.retry_at)
        return {"case_id": None, "access": removing}
    deadline = event.deadline or this.deadline
    return {
        "case_id": None,
        "attempts": 0,
        "connection_failures": 0,
        "next_attempt_at": event.retry_at,
        "deadline": deadline,
    }


def _resend_requested(_this: "Reservation", _: int, event: ResendRequested) -> Change:
    """A delivery of its own: with its own time and all attempts."""
    return {
        "delivery": event.delivery,
        "delivery_at": event.at,
        "deadline": event.deadline,
        "next_attempt_at": event.at,
        "attempts": 0,
        "connection_failures": 0,
        "deferred": False,
        "resending": True,
    }


def _announced(this: "Reservation", _: int, event: ExpiryAnnounced) -> Change:
    access = this.access or Access()
    return {"access": replace(access, announced=(*access.announced, event.days))}


def _expired(this: "Reservation", _: int, event: AccessExpired) -> Change:
    """What ended before an import is over with that."""
    access = _end_access(this, event.at, "expired")
    if not event.notify:
        access = replace(access, removal=None, removal_at=None)
    return {"access": access, **_no_further_delivery(this)}


def _replaced(this: "Reservation", _: int, event: AccessReplaced) -> Change:
    moved = replace(_end_access(this, event.at, "moved"), replaced_by=event.by)
    return {"access": moved, **_no_further_delivery(this)}


def _corrected(this: "Reservation", _: int, event: AccessCorrected) -> Change:
    return {"access": replace(_end_access(this, event.at, "corrected"), replaced_by=event.by)}


def _released(_this: "Reservation", _: int, event: InviteReleased) -> Change:
    return {"waits_for": None, "next_attempt_at": event.at, "deadline": event.deadline}


def _access_revoked(this: "Reservation", _: int, event: AccessRevoked) -> Change:
    """What staff decide is to be done yet; of others it is known that it was."""
    access = this.access or Access()
    if access.ending is None:
        access = _end_access(this, event.at, "withdrawn")
    if event.actor not in STAFF:
        access = replace(access, removal="removed", removal_at=None)
    return {"access_revoked_at": event.at, "access": access, **_no_further_delivery(this)}


def _end_access(this: "Reservation", at: datetime, ending: AccessEnding) -> Access:
    access = this.access or Access()
    return replace(access, ending=ending, ended_at=at, removal="removing", removal_tries=0, removal_at=at)


def _removed(this: "Reservation", _: int, event: AccessRemoved) -> Change:
    return {"access": replace(this.access or Access(), removal=event.effect, removal_at=None)}


def _removal_failed(this: "Reservation", _: int, event: AccessRemovalFailed) -> Change:
    return {
        "access": replace(
            this.access or Access(),
            removal="removal_failed" if event.retry_at is None else "removing",
            removal_tries=event.attempt,
            removal_at=event.retry_at,
        )
    }


def _noted(_this: "Reservation", _: int, _event: NoteAdded) -> Change:
    return {}


CHANGES: dict[type[Event], Callable[["Reservation", int, Any], Change]] = {
    InviteAttempted: _attempted,
    InviteSent: _sent,
    InviteFailed: _failed,
    InviteDeferred: _deferred,
    InviteOutcomeUnknown: _unknown,
    LateSuccessRecorded: _late_success,
    InviteBounced: _bounced,
    InviteAccepted: _accepted,
    UseRefunded: _refunded,
    CaseOpened: _case_opened,
    CaseClosed: _case_closed,
    ResendRequested: _resend_requested,
    ExpiryAnnounced: _announced,
    AccessExpired: _expired,
    AccessReplaced: _replaced,
    AccessCorrected: _corrected,
    InviteReleased: _released,
    AccessRevoked: _access_revoked,
    AccessRemoved: _removed,
    AccessRemovalFailed: _removal_failed,
    NoteAdded: _noted,
}
