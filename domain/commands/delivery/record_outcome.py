"""Record the outcome of an attempt.

A success is evidence whenever it is reported. A failure or an unknown outcome counts only while its attempt has the
lease, and is ignored otherwise.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from domain.commands.case_events import open_case
from domain.commands.context import CommandContext, Decision, EventStamp, event_stamp, id_of_text
from domain.commands.delivery.late_success import DeliveryProof, success_events
from domain.commands.reservation.settle_due import count_attempts, unknown_outcome
from domain.events.event import Event, RefundCause
from domain.events.reservation import InviteDeferred, InviteFailed, UseRefunded
from domain.judgment import Again, as_failure, invitation_rules, judge
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import (
    ADDRESS_MISMATCH,
    RECIPIENT_FORGOTTEN,
    Accepted,
    Outcome,
    OutcomeUnknown,
    Rejected,
    RetryLater,
    TextDraft,
)
from domain.working_set import WorkingSet


class RecordOutcome(Struct, frozen=True, kw_only=True):
    """What the channel said of one attempt.

    `case_id` is used only if a case has to be opened; `reply` holds the server's words for the vault; `ms_ago` is
    what was measured of the attempt, as in the event.
    """

    context: CommandContext
    reservation_id: UUID
    delivery: int
    attempt: int
    outcome: Outcome
    case_id: UUID
    reply: TextDraft | None = None
    ms_ago: tuple[int, ...] = ()


def record_outcome(command: RecordOutcome, working_set: WorkingSet, policy: Policy) -> Decision:
    """Return the events of an outcome.

    None if it comes too late to matter, or is about a delivery that was never requested.

    Raises:
        ReservationUnknown: There is no such reservation.
    """
    reservation = working_set.reservation(command.reservation_id)
    code = working_set.codes[reservation.code_id]
    stamp = event_stamp(command.context, code)
    events = _outcome_events(command, code, reservation, working_set, stamp, policy)
    return Decision(code.code_id, events, reservation.reservation_id, text=command.reply)


def _outcome_events(
    command: RecordOutcome,
    code: RedeemCode,
    reservation: Reservation,
    working_set: WorkingSet,
    stamp: EventStamp,
    policy: Policy,
) -> Sequence[Event]:
    outcome = command.outcome
    if command.delivery > reservation.delivery:
        return ()
    if isinstance(outcome, Accepted):
        proof = _build_proof(command, outcome)
        return success_events(code, reservation, working_set, stamp, proof, command.case_id)
    if reservation.lease is None or reservation.lease.attempt != command.attempt or not reservation.is_being_processed:
        return ()
    match outcome:
        case OutcomeUnknown():
            return unknown_outcome(
                code,
                reservation,
                stamp,
                outcome,
                command.case_id,
                policy,
                ms_ago=command.ms_ago,
            )
        case RetryLater() | Rejected():
            return _record_not_sent(command, outcome, code, reservation, stamp, policy)


def _build_proof(command: RecordOutcome, outcome: Accepted) -> DeliveryProof:
    return DeliveryProof(
        delivery=command.delivery,
        attempt=command.attempt,
        server=outcome.server,
        reply_code=outcome.reply_code,
        ms_ago=command.ms_ago,
    )


def _record_not_sent(
    command: RecordOutcome,
    outcome: Rejected | RetryLater,
    code: RedeemCode,
    reservation: Reservation,
    stamp: EventStamp,
    policy: Policy,
) -> Sequence[Event]:
    """Wait for the next attempt, if there is one; otherwise the failure is final.

    A channel that asks for more time than the delivery has, or is no longer needed, has failed.
    """
    latest = _find_latest(reservation, policy)
    is_pointless = _is_pointless(code, reservation)
    attempts = count_attempts(
        reservation,
        stamp.now,
        deadline=stamp.now if is_pointless else reservation.deadline,
        latest=stamp.now if is_pointless else latest,
    )
    judgment = judge(outcome, attempts, invitation_rules(policy))
    retry_at = judgment.at if isinstance(judgment, Again) else None
    if isinstance(outcome, RetryLater):
        if retry_at is not None:
            return (_defer(command, outcome, reservation, stamp, policy, retry_at, latest),)
        outcome = as_failure(outcome)
    failed = InviteFailed(
        **stamp.for_reservation(reservation),
        ms_ago=command.ms_ago,
        delivery=command.delivery,
        attempt=command.attempt,
        kind=reservation.kind,
        server=outcome.server,
        reason=outcome.reason,
        reply_code=outcome.reply_code,
        text_id=id_of_text(command.reply),
        retry_at=retry_at,
        about_connection=outcome.about_connection,
        caused_by=reservation.moved_by,
    )
    return (failed,) if retry_at else (failed, *_follow_final_failure(command, outcome, code, reservation, stamp))


def _defer(
    command: RecordOutcome,
    outcome: RetryLater,
    reservation: Reservation,
    stamp: EventStamp,
    policy: Policy,
    until: datetime,
    latest: datetime,
) -> InviteDeferred:
    """Wait as the channel asks; the deadline moves with it."""
    return InviteDeferred(
        **stamp.for_reservation(reservation),
        ms_ago=command.ms_ago,
        delivery=command.delivery,
        attempt=command.attempt,
        kind=reservation.kind,
        server=outcome.server,
        reason=outcome.reason,
        until=until,
        deadline=max(reservation.deadline, min(until + timedelta(seconds=policy.reservation_ttl_s), latest)),
        caused_by=reservation.moved_by,
    )


def _find_latest(reservation: Reservation, policy: Policy) -> datetime:
    """Return when the channel can no longer ask for more time."""
    latest = reservation.delivery_at + timedelta(seconds=policy.deferrals_s_max)
    if reservation.is_live and reservation.access_ends_at is not None:
        return min(latest, reservation.access_ends_at)
    return latest


def _is_pointless(code: RedeemCode, reservation: Reservation) -> bool:
    """Return whether retrying is useless: the code was revoked in the meantime, or the resend is no longer needed."""
    return reservation.needs_no_delivery or (reservation.is_live and code.is_revoked)


def _follow_final_failure(
    command: RecordOutcome, outcome: Rejected, code: RedeemCode, reservation: Reservation, stamp: EventStamp
) -> Sequence[Event]:
    """Return what follows a final failure: a refund, or a case; nothing if the delivery is no longer needed."""
    caused_by = code.version + 1
    if reservation.resending and reservation.needs_no_delivery:
        return ()
    if outcome.needs_review:
        return (open_case(reservation, stamp, command.case_id, ADDRESS_MISMATCH, caused_by=caused_by),)
    if reservation.resending:
        return (open_case(reservation, stamp, command.case_id, "resend_failed", caused_by=caused_by),)
    if reservation.ever_unknown:
        return (open_case(reservation, stamp, command.case_id, "unknown_outcome", caused_by=caused_by),)
    refund = UseRefunded(
        **stamp.for_reservation(reservation),
        cause=_find_cause(outcome, code),
        held="reserved",
        kind=reservation.kind,
        caused_by=caused_by,
    )
    return (refund,)


def _find_cause(outcome: Rejected, code: RedeemCode) -> RefundCause:
    if outcome.reason == RECIPIENT_FORGOTTEN:
        return "forgotten"
    if outcome.about_address:
        return "address_refused"
    return "revoked" if code.is_revoked else "failed"
