"""The end of an access: telling its person in time, ending it, and recording what became of taking it away."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeGuard, assert_never
from uuid import UUID

from msgspec import Struct

from domain.commands import case_events
from domain.commands.context import Context, Decision, stamp
from domain.errors import ReservationUnknown
from domain.events import (
    AccessExpired,
    AccessRemovalFailed,
    AccessRemoved,
    AccessReplaced,
    Event,
    ExpiryAnnounced,
    InviteSent,
    LateSuccessRecorded,
)
from domain.model.access import Access
from domain.policy import Policy
from domain.ports import Accepted, NotifiedOnly, OutcomeUnknown, Rejected, RemovalOutcome, RetryLater, TextDraft
from domain.working_set import WorkingSet

REMOVAL_FAILED: Final = "removal_failed"
"""Cause of the case that a person has to settle: somebody still has what ended."""


class SettleAccess(Struct, frozen=True, kw_only=True):
    """Do what time has made due on an access: announce its end, or end it."""

    context: Context
    reservation_id: UUID


class RecordRemovalOutcome(Struct, frozen=True, kw_only=True):
    """What the channel said when it was asked to take an access away.

    `attempt` counts from 1; `case_id` is used only if a case has to be opened; `reply` holds the channel's words.
    """

    context: Context
    reservation_id: UUID
    attempt: int
    channel: str
    outcome: RemovalOutcome
    case_id: UUID
    reply: TextDraft | None = None


def settle_access(command: SettleAccess, book: WorkingSet) -> Decision:
    """One event at most; none if nothing is due.

    Raises:
        ReservationUnknown: There is no such reservation.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    code = book.codes[item.code_id]
    now = stamp(command.context, code)
    access = item.access
    if access is None or not item.has_active_access or item.sent_at is None:
        return Decision(code.code_id, (), item.reservation_id)
    about: dict[str, Any] = {**now.fields, "reservation_id": item.reservation_id, "caused_by": item.moved_by}
    if item.is_access_over(now.at):
        return Decision(code.code_id, (AccessExpired(**about),), item.reservation_id)
    days = access.mark_at(item.sent_at, now.at)
    events = () if days is None else (ExpiryAnnounced(**about, days=days),)
    return Decision(code.code_id, events, item.reservation_id)


def record_revocation(command: RecordRemovalOutcome, book: WorkingSet, policy: Policy) -> Decision:
    """Record it; nothing if the access was taken away already, or another one tried since. The last failure is a case.

    Raises:
        ReservationUnknown: There is no such reservation.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    access = item.access
    if access is None or access.ending is None or access.removal != "removing":
        return Decision(item.code_id, (), item.reservation_id)
    code = book.codes[item.code_id]
    now = stamp(command.context, code)
    about: dict[str, Any] = {
        **now.fields,
        "reservation_id": item.reservation_id,
        "caused_by": item.moved_by,
        "channel": command.channel,
        "server": command.outcome.server,
        "cause": access.ending,
    }
    outcome = command.outcome
    if isinstance(outcome, Accepted | NotifiedOnly):
        effect: Any = "told" if isinstance(outcome, NotifiedOnly) else "removed"
        return Decision(item.code_id, (AccessRemoved(**about, effect=effect),), item.reservation_id)
    if command.attempt != access.removal_tries + 1:
        return Decision(item.code_id, (), item.reservation_id)
    retry_at = _retry_at(outcome, access, now.at, policy)
    if retry_at is None and item.case_id is not None:
        # A reservation has one case at a time, and this failure must not be forgotten with another's end.
        retry_at = now.at + timedelta(seconds=policy.removal_wait_s_max)
    failed = AccessRemovalFailed(
        **about,
        reason=_reason(outcome),
        attempt=command.attempt,
        retry_at=retry_at,
        text_id=command.reply.text_id if command.reply else None,
    )
    events: list[Event] = [failed]
    if retry_at is None:
        events.append(case_events.opened(item, now, command.case_id, REMOVAL_FAILED, caused_by=code.version + 1))
    return Decision(item.code_id, events, item.reservation_id)


def replaced_by(events: Sequence[Event], book: WorkingSet) -> list[AccessReplaced]:
    """What follows from the invitation of a rebind being sent: the access in the former group ends.

    Args:
        events: New events of one stream, not in the book yet.
        book: Holds the rebind and what it moves.
    """
    found: list[AccessReplaced] = []
    for nth, event in enumerate(events, start=1):
        if not _gives_rebound_access(event):
            continue
        rebind = book.reservations[event.reservation_id]
        former = None if rebind.follows is None else book.reservations.get(rebind.follows)
        if former is None or not former.has_active_access:
            continue
        found.append(
            AccessReplaced(
                at=event.at,
                recorded_at=event.recorded_at,
                actor=event.actor,
                actor_id=event.actor_id,
                request_id=event.request_id,
                correlation_id=event.correlation_id,
                reservation_id=former.reservation_id,
                by=rebind.reservation_id,
                caused_by=book.codes[rebind.code_id].version + nth,
            )
        )
    return found


def _gives_rebound_access(event: Event) -> TypeGuard[InviteSent | LateSuccessRecorded]:
    if isinstance(event, InviteSent):
        return event.kind == "rebind" and event.delivery == 1
    return isinstance(event, LateSuccessRecorded) and event.kind == "rebind" and event.effect == "retaken"


def _reason(outcome: Rejected | RetryLater | OutcomeUnknown) -> str:
    return outcome.cause if isinstance(outcome, OutcomeUnknown) else outcome.reason


def _retry_at(
    outcome: Rejected | RetryLater | OutcomeUnknown, access: Access, now: datetime, policy: Policy
) -> datetime | None:
    """When to try again; None if it is of no use. Taking away twice does no harm, so a doubt is tried again too."""
    tries = access.removal_tries + 1
    if tries >= policy.removal_tries_max:
        return None
    wait = timedelta(seconds=policy.removal_retry_s * policy.removal_retry_factor ** (tries - 1))
    match outcome:
        case Rejected():
            return None if outcome.final else now + wait
        case RetryLater():
            return min(max(outcome.until, now + wait), now + timedelta(seconds=policy.removal_wait_s_max))
        case OutcomeUnknown():
            return now + wait
        case _:
            assert_never(outcome)
