"""Notices that follow from events, such as refunds and expiry: few attempts, and none after an unknown outcome."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol
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
from projections.event_store.side_tables import (
    CORRECTION_NOTICE,
    EXPIRY_NOTICE_PREFIX,
    MOVE_NOTICE,
    REFUND_NOTICES,
    REMINDER,
)
from projections.telemetry.metrics import REMINDER_OUTCOMES, REMINDERS
from projections.work_queue.outbox import PUT_OFF, DueNotice
from workers.channels.group_router import Cooldowns
from workers.sending.delivery_steps import DeliverySteps, reject_for_now
from workers.sending.loop import Ended, send_at_once, send_due
from workers.sending.reminders import OPTED_OUT, SUPPRESSED, ReminderRules

TAKEN_MAX = 20
"""Most notices of one run; the next one follows in seconds."""
RUN_MAX_S = 2.0
"""Seconds after which a run begins no further notice: invitations and sweeps wait for the same processes."""


class UnknownNoticeError(LookupError):
    """A notice of a kind that this release does not know, from a newer one."""


class Outbox(Protocol):
    """The outbox of notices that follow from events."""

    def take(self, now: datetime) -> DueNotice | None:
        """Lease the notice that is due longest; None if none is due."""

    def close(self, notice: DueNotice, due_at: datetime | None, outcome: str) -> None:
        """Store the outcome. `due_at`: when the notice is to be sent again; None for never."""

    def put_off(self, notice: DueNotice, due_at: datetime) -> None:
        """Return a notice without spending an attempt, to be sent at `due_at`."""


class _PreparedNotice(NamedTuple):
    """A leased notice, the group whose system it goes to, and the message."""

    notice: DueNotice
    group: str | None
    message: OutboundMessage


@dataclass(slots=True)
class NoticeSender:
    """`SendingKind`: due notices, leased in the outbox one at a time, so that few workers have them.

    A notice that may have been sent is not sent again, because a second one would worry more than a lost one. If a
    worker dies between the lease and the outcome, the notice is sent after the lease, unless that was its last attempt;
    the reminder of an invitation is not, because it may have been sent.

    Attributes:
        outbox: Where they wait.
        find: Returns a reservation by its id.
        steps: For time, addresses and messages.
        channel: Sends the notices.
        cooldowns: Which groups' systems are in backoff: their notices are deferred, so that no other waits.
        hourly_max: How many notices a recipient may get within an hour; those beyond it are deferred. None: no limit.
        rules: For reminders; None: no one has opted out, and no invitation is reminded of.
        leased_count: How many were leased.
    """

    outbox: Outbox
    find: Callable[[UUID], Reservation | None]
    steps: DeliverySteps
    channel: Channel
    cooldowns: Cooldowns = field(default_factory=Cooldowns)
    hourly_max: int | None = None
    rules: ReminderRules | None = None
    leased_count: int = field(default=0, init=False)
    slots: int = field(default=1, init=False)

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> int:
        """Send due notices, `TAKEN_MAX` at most; return how many were leased."""
        self.leased_count = 0
        send_due(self, should_stop)
        return self.leased_count

    def turn(self, ended: Sequence[Ended[_PreparedNotice, Outcome]], free: int) -> Sequence[_PreparedNotice] | None:
        """Store outcomes, and lease the notice that is due longest."""
        for (notice, group, _), outcome in ended:
            if outcome is not None:
                if group is not None:
                    self.cooldowns.record(group, outcome)
                self._store(notice, outcome)
        now = self.steps.now()
        next_notice = self.outbox.take(now) if free and self.leased_count < TAKEN_MAX else None
        if next_notice is None:
            return None
        self.leased_count += 1
        prepared = self._prepare(next_notice, now)
        return [prepared] if prepared else []

    def start(self, leased: Sequence[_PreparedNotice]) -> Mapping[Future[Outcome], _PreparedNotice]:
        """Send in this thread."""
        return {send_at_once(self._send, each): each for each in leased}

    def _send(self, prepared: _PreparedNotice) -> Outcome:
        return self.steps.send_in_time(self.channel, prepared.message, prepared.notice.leased_until)

    def _prepare(self, notice: DueNotice, now: datetime) -> _PreparedNotice | None:
        """Return what is sent; None if the notice was closed or deferred."""
        lost = Attempts(now=now, number=notice.attempts - 1)
        if notice.may_be_sent and isinstance(judge(None, lost, _rules_of(notice)), End):
            self._close(notice, None, "unknown")
            return None
        reservation = self.find(notice.reservation_id)
        if reservation is None:
            self._close(notice, None, RECIPIENT_FORGOTTEN)
            return None
        group, rules, is_reminder = reservation.group, self.rules, notice.template == REMINDER
        is_resting = group is not None and self.cooldowns.is_active(group)
        if is_resting or (self.hourly_max is not None and notice.recent >= self.hourly_max):
            self._store(notice, reject_for_now(self.channel.name))
            return None
        address = self.steps.addresses([reservation.recipient_id]).get(reservation.recipient_id)
        try:
            message = self._message(notice, reservation, address, now) if isinstance(address, EmailAddress) else None
        except UnknownNoticeError:  # a worker of a newer release sends it
            self._store(notice, reject_for_now(self.channel.name))
            return None
        quiet_until = rules.find_end_of_quiet_hours(reservation, now) if is_reminder and rules else None
        if message is None:
            self._close(notice, None, _reason_not_sent(address))
        elif message.opt_out_link and rules and rules.has_opted_out(reservation):
            self._close(notice, None, OPTED_OUT)
        elif rules and rules.is_suppressed(reservation):
            self._close(notice, None, SUPPRESSED)
        elif quiet_until is not None:
            self.outbox.put_off(notice, quiet_until)
            _count(notice, "quiet")
        else:
            return _PreparedNotice(notice, group, message)
        return None

    def _store(self, notice: DueNotice, outcome: Outcome) -> None:
        """Store what follows an attempt, or one that was not begun."""
        attempts = Attempts(now=self.steps.now(), number=notice.attempts, begun_at=notice.written_at)
        match judge(outcome, attempts, _rules_of(notice)):
            case Again(at=at, counts=False):
                self.outbox.put_off(notice, at)
            case Again(at=at):
                self._close(notice, at, outcome_label(outcome))
            case End(counts=False):
                self._close(notice, None, PUT_OFF)
            case End(outcome=together):
                self._close(notice, None, outcome_label(together))
            case Done():
                self._close(notice, None, outcome_label(outcome))

    def _close(self, notice: DueNotice, due_at: datetime | None, outcome: str) -> None:
        self.outbox.close(notice, due_at, outcome)
        _count(notice, outcome)

    def _message(
        self, notice: DueNotice, reservation: Reservation, address: EmailAddress, now: datetime
    ) -> OutboundMessage | None:
        """Return the message of a notice; None if it would not be true any more.

        Raises:
            UnknownNoticeError: This release does not know the kind of notice.
        """
        template, messages = notice.template, self.steps.message_factory
        is_over = not reservation.has_active_access or reservation.is_access_over(now)
        if template == CORRECTION_NOTICE:
            is_moved = reservation.refund_cause == "corrected"
            return messages.correction_notice(reservation, address, notice.written_at) if is_moved else None
        if template == MOVE_NOTICE:
            return messages.move_notice(reservation, address, notice.written_at)
        if template == REMINDER:
            is_wanted = self.rules is not None and self.rules.is_wanted(reservation, now)
            return messages.reminder(reservation, address, notice.written_at) if is_wanted else None
        if template.startswith(EXPIRY_NOTICE_PREFIX):
            days = int(template.removeprefix(EXPIRY_NOTICE_PREFIX))
            return None if is_over else messages.ends_soon(reservation, address, days, notice.written_at)
        if template in REFUND_NOTICES:
            is_used = reservation.occupies_use
            return None if is_used else messages.refund_notice(reservation, address, notice.written_at)
        raise UnknownNoticeError(template)


def _rules_of(notice: DueNotice) -> Rules:
    return REMINDER_RULES if notice.template == REMINDER else NOTICE


def _count(notice: DueNotice, outcome: str) -> None:
    if notice.template == REMINDER:
        is_failure = outcome in {PUT_OFF, ADDRESS_MISMATCH}
        label = outcome if outcome in REMINDER_OUTCOMES else "failed" if is_failure else "not_needed"
        REMINDERS.labels(label).inc()


def _reason_not_sent(address: EmailAddress | UnverifiedAddress | None) -> str:
    if isinstance(address, UnverifiedAddress):
        return ADDRESS_MISMATCH
    return RECIPIENT_FORGOTTEN if address is None else "not_needed"
