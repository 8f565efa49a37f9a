"""The end of an access: warn its recipient in time, end it, and record the result of its removal."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeGuard
from uuid import UUID

from msgspec import Struct

from domain.commands.case_events import open_case
from domain.commands.context import CommandContext, Decision, event_stamp, id_of_text
from domain.events.access import (
    AccessExpired,
    AccessRemovalFailed,
    AccessRemoved,
    AccessReplaced,
    ExpiryAnnounced,
    InviteReminded,
)
from domain.events.event import Event
from domain.events.reservation import InviteSent, LateSuccessRecorded
from domain.judgment import Again, Attempts, Rules, judge, removal_rules
from domain.model.access import Access
from domain.policy import Policy
from domain.ports import Accepted, NotifiedOnly, OutcomeUnknown, RemovalOutcome, TextDraft
from domain.working_set import WorkingSet

REMOVAL_FAILED: Final = "removal_failed"
"""Cause of the case that staff settle if a channel could not remove an ended access."""


class SettleAccess(Struct, frozen=True, kw_only=True):
    """Do what is due about an access: remind of its unaccepted invitation, warn of its expiry, or end it."""

    context: CommandContext
    reservation_id: UUID


class RecordRemovalOutcome(Struct, frozen=True, kw_only=True):
    """The result of asking a channel to remove an access.

    `attempt` counts from 1; `case_id` is used only if a case has to be opened; `reply` holds the channel's words.
    """

    context: CommandContext
    reservation_id: UUID
    attempt: int
    channel: str
    outcome: RemovalOutcome
    case_id: UUID
    reply: TextDraft | None = None


def settle_access(command: SettleAccess, working_set: WorkingSet) -> Decision:
    """Return the event that is due about an access: one at most.

    Raises:
        ReservationUnknown: There is no such reservation.
    """
    reservation = working_set.reservation(command.reservation_id)
    code = working_set.codes[reservation.code_id]
    stamp = event_stamp(command.context, code)
    access = reservation.access
    if access is None or not reservation.has_active_access or reservation.sent_at is None:
        return Decision(code.code_id, reservation_id=reservation.reservation_id)
    shared_fields: dict[str, Any] = {
        **stamp.for_reservation(reservation),
        "caused_by": reservation.moved_by,
    }
    if reservation.is_access_over(stamp.now):
        return Decision(code.code_id, (AccessExpired(**shared_fields),), reservation.reservation_id)
    days = access.mark_at(reservation.sent_at, stamp.now)
    reminder_at = access.reminder_at(reservation.sent_at, is_accepted=reservation.accepted_at is not None)
    if reminder_at is not None and access.remind_days is not None and reminder_at <= stamp.now:
        nearest = access.remind_days if days is None else min(days, access.remind_days)
        return Decision(code.code_id, (InviteReminded(**shared_fields, days=nearest),), reservation.reservation_id)
    events = () if days is None else (ExpiryAnnounced(**shared_fields, days=days),)
    return Decision(code.code_id, events, reservation.reservation_id)


def record_removal_outcome(command: RecordRemovalOutcome, working_set: WorkingSet, policy: Policy) -> Decision:
    """Record the result; nothing if the access is removed already, or a later attempt was made.

    The last failure opens a case. A failed connection is not an attempt: after a day without one, staff decide.

    Raises:
        ReservationUnknown: There is no such reservation.
    """
    reservation = working_set.reservation(command.reservation_id)
    access = reservation.access
    if access is None or access.removal != "removing":
        return Decision(reservation.code_id, reservation_id=reservation.reservation_id)
    code = working_set.codes[reservation.code_id]
    stamp = event_stamp(command.context, code)
    shared_fields: dict[str, Any] = {
        **stamp.for_reservation(reservation),
        "caused_by": reservation.moved_by,
        "channel": command.channel,
        "server": command.outcome.server,
        "cause": access.ending,
    }
    outcome = command.outcome
    if isinstance(outcome, Accepted | NotifiedOnly):
        effect: Any = "told" if isinstance(outcome, NotifiedOnly) else "removed"
        return Decision(
            reservation.code_id, (AccessRemoved(**shared_fields, effect=effect),), reservation.reservation_id
        )
    if command.attempt != access.removal_attempts + 1:
        return Decision(reservation.code_id, reservation_id=reservation.reservation_id)
    rules = removal_rules(policy)
    judgment = judge(outcome, _count_attempts(access, command.attempt, stamp.now, rules), rules)
    retry_at = judgment.at if isinstance(judgment, Again) else None
    if retry_at is None and reservation.case_id is not None:
        # A reservation has one case at a time, and this failure must not be forgotten with another's end.
        retry_at = stamp.now + timedelta(seconds=policy.removal_wait_s_max)
    failed = AccessRemovalFailed(
        **shared_fields,
        reason=outcome.cause if isinstance(outcome, OutcomeUnknown) else outcome.reason,
        attempt=command.attempt if judgment.counts else access.removal_attempts,
        retry_at=retry_at,
        text_id=id_of_text(command.reply),
    )
    events: list[Event] = [failed]
    if retry_at is None:
        events.append(open_case(reservation, stamp, command.case_id, REMOVAL_FAILED, caused_by=code.version + 1))
    return Decision(reservation.code_id, events, reservation.reservation_id, text=command.reply)


def _count_attempts(access: Access, number: int, now: datetime, rules: Rules) -> Attempts:
    """Return the attempts at a removal. Those without a connection are counted from how long the last one waited."""
    waited = timedelta(0)
    if access.removal_at is not None and access.removal_timed_at is not None:
        waited = access.removal_at - access.removal_timed_at
    failures = rules.reconnect.count_failures(waited) + 1
    return Attempts(now=now, number=number, connection_failures=failures, begun_at=access.ended_at)


def end_replaced_access(events: Sequence[Event], working_set: WorkingSet) -> list[AccessReplaced]:
    """End the access in the former group when the invitation of its rebind is sent.

    Args:
        events: New events of one stream, not in the working set yet.
        working_set: Holds the rebind and what it moves.
    """
    return [
        AccessReplaced(
            at=event.at,
            recorded_at=event.recorded_at,
            actor=event.actor,
            actor_id=event.actor_id,
            approved_by=event.approved_by,
            request_id=event.request_id,
            correlation_id=event.correlation_id,
            reservation_id=former.reservation_id,
            by=event.reservation_id,
            caused_by=working_set.codes[former.code_id].version + nth,
        )
        for nth, event in enumerate(events, start=1)
        if _gives_rebound_access(event)
        and (former := working_set.followed_by(working_set.reservations[event.reservation_id])) is not None
        and former.has_active_access
    ]


def _gives_rebound_access(event: Event) -> TypeGuard[InviteSent | LateSuccessRecorded]:
    if isinstance(event, InviteSent):
        return event.kind == "rebind" and event.delivery == 1
    return isinstance(event, LateSuccessRecorded) and event.kind == "rebind" and event.effect == "retaken"
