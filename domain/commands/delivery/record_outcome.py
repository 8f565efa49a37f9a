"""Recording what became of an attempt.

Fencing is by state: a success is evidence whenever it comes; a failure or doubt counts only while its own
attempt holds the lease, and is dropped otherwise.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import assert_never
from uuid import UUID

from msgspec import Struct

from domain.commands import case_events
from domain.commands.context import Context, Decision, EventStamp, stamp
from domain.commands.delivery.late_success import DeliveryProof, success
from domain.commands.reservation.settle_due import unknown_outcome
from domain.errors import ReservationUnknown
from domain.events import (
    Event,
    InviteDeferred,
    InviteFailed,
    RefundCause,
    UseRefunded,
)
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import ADDRESS_MISMATCH, Accepted, Outcome, OutcomeUnknown, Rejected, RetryLater, TextDraft
from domain.working_set import WorkingSet


class RecordOutcome(Struct, frozen=True, kw_only=True):
    """What the channel said of one attempt.

    `case_id` is used only if a case has to be opened; `reply` holds the server's words for the vault.
    """

    context: Context
    reservation_id: UUID
    delivery: int
    attempt: int
    outcome: Outcome
    case_id: UUID
    reply: TextDraft | None = None


def record_outcome(command: RecordOutcome, book: WorkingSet, policy: Policy) -> Decision:
    """Turn an outcome into events; none if it comes too late to matter, or is of a delivery that nobody asked for.

    Raises:
        ReservationUnknown: There is no such reservation.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    code = book.codes[item.code_id]
    now = stamp(command.context, code)
    if command.delivery > item.delivery:
        events: Sequence[Event] = ()
    elif isinstance(command.outcome, Accepted):
        events = success(code, item, book, now, _proof(command, command.outcome), command.case_id)
    elif item.lease is None or item.lease.attempt != command.attempt or not item.is_in_work:
        events = ()
    else:
        events = _not_sent(command, command.outcome, code, item, now, policy)
    return Decision(code.code_id, events, item.reservation_id)


def _proof(command: RecordOutcome, outcome: Accepted) -> DeliveryProof:
    return DeliveryProof(
        delivery=command.delivery, attempt=command.attempt, server=outcome.server, reply_code=outcome.reply_code
    )


def _not_sent(
    command: RecordOutcome,
    outcome: Rejected | RetryLater | OutcomeUnknown,
    code: RedeemCode,
    item: Reservation,
    now: EventStamp,
    policy: Policy,
) -> Sequence[Event]:
    match outcome:
        case OutcomeUnknown():
            return unknown_outcome(code, item, now, outcome.cause, outcome.server, command.case_id, policy)
        case RetryLater():
            return _deferred(command, outcome, code, item, now, policy)
        case Rejected():
            return _failed(command, outcome, code, item, now, policy)
        case _:
            assert_never(outcome)


def _deferred(
    command: RecordOutcome, outcome: RetryLater, code: RedeemCode, item: Reservation, now: EventStamp, policy: Policy
) -> Sequence[Event]:
    """Wait as asked, up to a bound; beyond it, or if nobody waits any more, a "later" is a failure like any other."""
    last = item.delivery_at + timedelta(seconds=policy.deferrals_s_max)
    if item.is_live and item.access_ends_at is not None:
        last = min(last, item.access_ends_at)
    until = max(outcome.until, now.at + timedelta(seconds=policy.retry_first_s))
    if until >= last or _is_in_vain(code, item):
        refused = Rejected(server=outcome.server, reason=outcome.reason, final=True)
        return _failed(command, refused, code, item, now, policy)
    event = InviteDeferred(
        **now.fields,
        reservation_id=item.reservation_id,
        delivery=command.delivery,
        attempt=command.attempt,
        kind=item.kind,
        server=outcome.server,
        reason=outcome.reason,
        until=until,
        deadline=max(item.deadline, min(until + timedelta(seconds=policy.reservation_ttl_s), last)),
        caused_by=item.moved_by,
    )
    return (event,)


def _failed(
    command: RecordOutcome,
    outcome: Rejected,
    code: RedeemCode,
    item: Reservation,
    now: EventStamp,
    policy: Policy,
) -> Sequence[Event]:
    """Back off while attempts and time are left; else final: refunded, or parked if any attempt was unknown.

    A failure that is about the connection spends no attempt; only the deadline ends its retries.
    """
    if outcome.about_connection:
        retry_at = now.at + policy.reconnect(item.reservation_id, item.connection_failures + 1)
        has_attempts = True
    else:
        retry_at = now.at + policy.back_off(item.reservation_id, item.attempts)
        has_attempts = item.attempts < policy.attempts_max
    again = not outcome.final and has_attempts and retry_at < item.deadline and not _is_in_vain(code, item)
    failed = InviteFailed(
        **now.fields,
        reservation_id=item.reservation_id,
        delivery=command.delivery,
        attempt=command.attempt,
        kind=item.kind,
        server=outcome.server,
        reason=outcome.reason,
        reply_code=outcome.reply_code,
        text_id=command.reply.text_id if command.reply else None,
        retry_at=retry_at if again else None,
        about_connection=outcome.about_connection,
        caused_by=item.moved_by,
    )
    return (failed,) if again else (failed, *_after_final_failure(command, outcome, code, item, now))


def _is_in_vain(code: RedeemCode, item: Reservation) -> bool:
    """Whether trying on is of no use: the code was revoked meanwhile, or a further delivery is needed no more."""
    return item.needs_no_delivery or (item.is_live and code.is_revoked)


def _after_final_failure(
    command: RecordOutcome, outcome: Rejected, code: RedeemCode, item: Reservation, now: EventStamp
) -> Sequence[Event]:
    """What follows the InviteFailed that is the next event: a refund, or a case; nothing where nobody waits for it."""
    caused_by = code.version + 1
    if item.resending and item.needs_no_delivery:
        return ()
    if outcome.needs_review:
        return (case_events.opened(item, now, command.case_id, ADDRESS_MISMATCH, caused_by=caused_by),)
    if item.resending:
        return (case_events.opened(item, now, command.case_id, "resend_failed", caused_by=caused_by),)
    if item.ever_unknown:
        return (case_events.opened(item, now, command.case_id, "unknown_outcome", caused_by=caused_by),)
    cause: RefundCause = "address_refused" if outcome.about_address else "revoked" if code.is_revoked else "failed"
    refund = UseRefunded(
        **now.fields,
        reservation_id=item.reservation_id,
        cause=cause,
        held="reserved",
        kind=item.kind,
        caused_by=caused_by,
    )
    return (refund,)
