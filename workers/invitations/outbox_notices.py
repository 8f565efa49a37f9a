"""Notices that follow from events, such as refunds and expiry: few attempts, and none after an unknown outcome."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.judgment import NOTICE, Again, Attempts, Done, End, Rules, judge
from domain.judgment import REMINDER as REMINDER_RULES
from domain.model.reservation import Reservation
from domain.ports import (
    ADDRESS_MISMATCH,
    RECIPIENT_FORGOTTEN,
    Channel,
    OutboundMessage,
    Outcome,
    UnverifiedAddress,
    outcome_label,
)
from domain.values.identifiers import EmailAddress
from projections.event_store.side_tables import CORRECTION_NOTICE, EXPIRY_NOTICE_PREFIX, MOVE_NOTICE, REMINDER
from projections.telemetry.metrics import REMINDER_OUTCOMES, REMINDERS
from projections.work_queue.outbox import PUT_OFF, DueNotice
from workers.channels.group_router import Cooldowns
from workers.invitations.delivery_steps import DeliverySteps, reject_for_now
from workers.invitations.reminders import OPTED_OUT, ReminderRules

TAKEN_MAX = 20
"""Most notices of one run; the next one follows in seconds."""
RUN_MAX_S = 2.0
"""Seconds after which a run begins no further notice: invitations and sweeps wait for the same processes."""


class Outbox(Protocol):
    """The outbox of notices that follow from events."""

    def take(self, now: datetime) -> DueNotice | None:
        """Lease the notice that is due longest; None if none is due."""

    def close(self, notice: DueNotice, due_at: datetime | None, outcome: str) -> None:
        """Store the outcome. `due_at`: when the notice is to be sent again; None for never."""

    def put_off(self, notice: DueNotice, due_at: datetime) -> None:
        """Return a notice without spending an attempt, to be sent at `due_at`."""


def send_notices(
    outbox: Outbox,
    find: Callable[[UUID], Reservation | None],
    steps: DeliverySteps,
    channel: Channel,
    should_stop: Callable[[], bool] = lambda: False,
    cooldowns: Cooldowns | None = None,
    hourly_max: int | None = None,
    rules: ReminderRules | None = None,
) -> int:
    """Send due notices; return how many were processed.

    A notice that may have been sent is not sent again, because a second one would worry more than a lost one. If a
    worker dies between the lease and the outcome, the notice is sent after the lease, unless that was its last attempt;
    the reminder of an invitation is not, because it may have been sent.

    Args:
        outbox: Where they wait.
        find: Returns a reservation by its id.
        steps: For time, addresses and messages.
        channel: Sends the notices.
        should_stop: Turns true when no further one is to be begun.
        cooldowns: Which groups' systems are in backoff: their notices are deferred, so that no other waits.
        hourly_max: How many notices a recipient may get within an hour; those beyond it are deferred. None: no limit.
        rules: For reminders; None: no one has opted out, and no invitation is reminded of.
    """
    for count in range(TAKEN_MAX):
        if should_stop() or not _send_one(outbox, find, steps, channel, cooldowns, hourly_max, rules):
            return count
    return TAKEN_MAX


def _send_one(
    outbox: Outbox,
    find: Callable[[UUID], Reservation | None],
    steps: DeliverySteps,
    channel: Channel,
    cooldowns: Cooldowns | None,
    hourly_max: int | None,
    rules: ReminderRules | None,
) -> bool:
    """Send one notice, or defer it; return False if none is due."""
    now = steps.now()
    notice = outbox.take(now)
    if notice is None:
        return False
    lost = Attempts(now=now, number=notice.attempts - 1)
    if notice.may_be_sent and isinstance(judge(None, lost, _rules_of(notice)), End):
        _close(outbox, notice, None, "unknown")
        return True
    reservation = find(notice.reservation_id)
    group = reservation.group if reservation else None
    is_resting = cooldowns is not None and group is not None and cooldowns.is_active(group)
    if is_resting or (hourly_max is not None and notice.recent >= hourly_max):
        _store(outbox, notice, reject_for_now(channel.name), now)
        return True
    address = steps.addresses([reservation.recipient_id]).get(reservation.recipient_id) if reservation else None
    message = (
        _message(steps, notice, reservation, address, rules)
        if reservation and isinstance(address, EmailAddress)
        else None
    )
    is_reminder = notice.template == REMINDER
    quiet_until = rules.find_end_of_quiet_hours(reservation, now) if is_reminder and rules and reservation else None
    if message is None:
        _close(outbox, notice, None, _reason_not_sent(address))
    elif reservation and message.opt_out_link and rules and rules.has_opted_out(reservation):
        _close(outbox, notice, None, OPTED_OUT)
    elif quiet_until is not None:
        outbox.put_off(notice, quiet_until)
        _count(notice, "quiet")
    else:
        outcome = steps.send_in_time(channel, message, notice.leased_until)
        if cooldowns is not None and group is not None:
            cooldowns.record(group, outcome)
        _store(outbox, notice, outcome, now)
    return True


def _rules_of(notice: DueNotice) -> Rules:
    return REMINDER_RULES if notice.template == REMINDER else NOTICE


def _store(outbox: Outbox, notice: DueNotice, outcome: Outcome, now: datetime) -> None:
    """Store what follows an attempt, or one that was not begun."""
    attempts = Attempts(now=now, number=notice.attempts, begun_at=notice.written_at)
    match judge(outcome, attempts, _rules_of(notice)):
        case Again(at=at, counts=False):
            outbox.put_off(notice, at)
        case Again(at=at):
            _close(outbox, notice, at, outcome_label(outcome))
        case End(counts=False):
            _close(outbox, notice, None, PUT_OFF)
        case End(outcome=together):
            _close(outbox, notice, None, outcome_label(together))
        case Done():
            _close(outbox, notice, None, outcome_label(outcome))


def _close(outbox: Outbox, notice: DueNotice, due_at: datetime | None, outcome: str) -> None:
    outbox.close(notice, due_at, outcome)
    _count(notice, outcome)


def _count(notice: DueNotice, outcome: str) -> None:
    if notice.template == REMINDER:
        is_failure = outcome in {PUT_OFF, ADDRESS_MISMATCH}
        label = outcome if outcome in REMINDER_OUTCOMES else "failed" if is_failure else "not_needed"
        REMINDERS.labels(label).inc()


def _reason_not_sent(address: EmailAddress | UnverifiedAddress | None) -> str:
    if isinstance(address, UnverifiedAddress):
        return ADDRESS_MISMATCH
    return RECIPIENT_FORGOTTEN if address is None else "not_needed"


def _message(
    steps: DeliverySteps,
    notice: DueNotice,
    reservation: Reservation,
    address: EmailAddress,
    rules: ReminderRules | None,
) -> OutboundMessage | None:
    """Return the message of a notice; None if it would not be true any more."""
    if notice.template == CORRECTION_NOTICE:
        is_moved = reservation.refund_cause == "corrected"
        return steps.message_factory.correction_notice(reservation, address, notice.written_at) if is_moved else None
    if notice.template == MOVE_NOTICE:
        return steps.message_factory.move_notice(reservation, address, notice.written_at)
    if notice.template == REMINDER:
        is_wanted = rules is not None and rules.is_wanted(reservation, steps.now())
        return steps.message_factory.reminder(reservation, address, notice.written_at) if is_wanted else None
    if not notice.template.startswith(EXPIRY_NOTICE_PREFIX):
        return (
            None
            if reservation.occupies_use
            else steps.message_factory.refund_notice(reservation, address, notice.written_at)
        )
    if not reservation.has_active_access or reservation.is_access_over(steps.now()):
        return None
    return steps.message_factory.ends_soon(
        reservation, address, int(notice.template.removeprefix(EXPIRY_NOTICE_PREFIX)), notice.written_at
    )
