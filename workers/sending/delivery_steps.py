"""The steps of invitations: claim, send, record. They know no Celery, no clock and no randomness of their own.

Each step commits before the next begins, so the sweep recovers from a crash between any two. Claims and records take
many reservations, since a commit costs the same for one as for a dozen.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from domain.command_bus import Command
from domain.commands.context import CommandContext
from domain.commands.delivery.claim_attempt import NO_GROUPS, ClaimAttempt, is_claimed_by
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.model.reservation import Lease, Reservation
from domain.ports import (
    ADDRESS_MISMATCH,
    RECIPIENT_FORGOTTEN,
    Channel,
    OutboundMessage,
    Outcome,
    Rejected,
    SendTimes,
    TextDraft,
    UnverifiedAddress,
)
from domain.results import CommandResult
from domain.values.identifiers import EmailAddress
from workers.channels.group_router import GroupRoutingChannel
from workers.sending.loop import Ended
from workers.sending.message_factory import MessageFactory

TURN_ID_DIGITS = 12
"""Digits of a random id (48 bits) that tells the calls of one task at one worker apart."""

Execute = Callable[[Sequence[Command]], Sequence[CommandResult | Exception]]
"""Runs commands in few transactions, with one result each: done, a refusal, or the bug that broke this one alone."""

Submit = Callable[[Sequence[OutboundMessage]], Sequence[Future[Outcome]]]
"""Begins to send messages, and returns the future of each one's outcome."""

Addresses = Callable[[Sequence[UUID]], Mapping[UUID, EmailAddress | UnverifiedAddress]]


class DraftText(Protocol):
    """Drafts free text for the vault."""

    def __call__(self, text: str, reservation_id: UUID) -> TextDraft:
        """Encrypt the text under a new id."""


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A reservation under this worker's lease, and the email address of its recipient; None if that was erased."""

    reservation: Reservation
    lease: Lease
    recipient: EmailAddress | UnverifiedAddress | None


EndedDelivery = Ended[ClaimedDelivery, Outcome]
"""A claimed delivery and its outcome."""


@dataclass(frozen=True, slots=True)
class DeliverySteps:
    """The steps of a delivery, with the functions that they use.

    Attributes:
        execute: Runs commands through the ledger.
        addresses: The email addresses of persons, by the ids that the log names; those who were erased are missing.
        now: Database time.
        new_id: Random ids.
        by_group: Names of the channels of groups that have their own.
        request_removal: Takes the reservation whose access must be removed before an invitation is sent.
        clock: Monotonic seconds, as the channels measure by; None to record no durations.
        woken_at: When the wake-up message came, by that clock.
        longest_send: The longest time that one message takes.
    """

    execute: Execute
    addresses: Addresses
    message_factory: MessageFactory
    draft_text: DraftText
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]
    worker: str
    by_group: Mapping[str, str] = field(default_factory=lambda: NO_GROUPS)
    request_removal: Callable[[UUID], None] = lambda _: None
    clock: Callable[[], float] | None = None
    woken_at: float = 0.0
    longest_send: timedelta = timedelta(0)

    def at_wake_up(self) -> "DeliverySteps":
        """Return the steps for a wake-up message that has come now."""
        return self if self.clock is None else replace(self, woken_at=self.clock())

    def may_begin(self, leased_until: datetime) -> bool:
        """Return whether a message that begins now ends before its lease.

        Afterwards another worker may send it, and an erasure takes it for ended.
        """
        return self.now() + self.longest_send < leased_until

    def send_in_time(self, channel: Channel, message: OutboundMessage, leased_until: datetime) -> Outcome:
        """Send a message under a lease; what could not end before the lease is not begun, and spends no attempt."""
        return channel.send(message) if self.may_begin(leased_until) else reject_for_now(channel.name)

    def send(self, claimed: ClaimedDelivery, channel: Channel) -> Outcome:
        """Send the message of a claimed reservation, unless its lease would end first."""
        message = self._prepare_invitation(claimed, channel.name)
        if isinstance(message, Rejected):
            return message
        channel_now = (
            channel.channel_for(claimed.reservation.group) if isinstance(channel, GroupRoutingChannel) else channel
        )
        if channel_now is None or channel_now.name != claimed.lease.channel:
            # The log says which channel may have the invitation, so no other one is asked (invariant 11).
            return reject_for_now(channel.name)
        begun = None if self.clock is None else self.clock()
        outcome = channel_now.send(message)
        if self.clock is None or begun is None or outcome.times is not None:
            return outcome
        return replace(outcome, times=SendTimes(begun, self.clock()))

    def begin(
        self, deliveries: Sequence[ClaimedDelivery], channel: Channel, submit: Submit
    ) -> dict[Future[Outcome], ClaimedDelivery]:
        """Begin what `send` does for reservations without a group, and return without waiting for the outcomes.

        Args:
            deliveries: The reservations.
            channel: The default channel.
            submit: Begins to send messages by it.
        """
        messages: list[tuple[OutboundMessage, ClaimedDelivery]] = []
        started: dict[Future[Outcome], ClaimedDelivery] = {}
        for claimed in deliveries:
            message = self._prepare_invitation(claimed, channel.name)
            if not isinstance(message, Rejected) and channel.name == claimed.lease.channel:
                messages.append((message, claimed))
                continue
            future: Future[Outcome] = Future()
            future.set_result(message if isinstance(message, Rejected) else reject_for_now(channel.name))
            started[future] = claimed
        futures = submit([message for message, _ in messages])
        return started | {future: claimed for future, (_, claimed) in zip(futures, messages, strict=True)}

    def record_and_claim(
        self, results: Sequence[EndedDelivery], reservation_ids: Sequence[UUID], channel: str, task_id: str
    ) -> list[ClaimedDelivery]:
        """Record attempts that ended and claim the next ones, in one commit.

        Args:
            results: What ended; what has no outcome is left to its lease.
            reservation_ids: What to claim: no more than is sent at once.
            channel: Name of the channel that they will go through.
            task_id: The task whose leases they become.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        context = self._context(task_id)
        now = None if self.clock is None else self.clock()
        records = [
            self._record(context, delivery, outcome, now) for delivery, outcome in results if outcome is not None
        ]
        claims = [
            ClaimAttempt(
                context=context,
                reservation_id=reservation_id,
                channel=channel,
                case_id=self.new_id(),
                by_group=self.by_group,
            )
            for reservation_id in reservation_ids
        ]
        if not records and not claims:
            return []
        claim_results = self.execute([*records, *claims])[len(records) :]
        for result in claim_results:
            if (
                isinstance(result, CommandResult)
                and result.reservation is not None
                and result.reservation.waits_for is not None
            ):
                self.request_removal(result.reservation.waits_for)
        return self._read_addresses(
            [leased for result in claim_results if (leased := _leased_reservation(result, context)) is not None]
        )

    def _prepare_invitation(self, claimed: ClaimedDelivery, server: str) -> OutboundMessage | Rejected:
        """Return the message of a claimed reservation, or why nothing must be sent."""
        if not self.may_begin(claimed.lease.until):
            return reject_for_now(server)
        if claimed.recipient is None:
            return Rejected(server=server, reason=RECIPIENT_FORGOTTEN, final=True, about_address=True)
        if isinstance(claimed.recipient, UnverifiedAddress):
            return Rejected(server=server, reason=ADDRESS_MISMATCH, final=True, needs_review=True)
        return self.message_factory.invitation(claimed.reservation, claimed.recipient)

    def _context(self, task_id: str) -> CommandContext:
        """Return the context of this very call, so that no other call takes over its leases.

        Worker and task are not enough: copies of a message have the same task id, and a restarted container often has
        the same process ids.
        """
        call_id = self.new_id().hex[:TURN_ID_DIGITS]
        return CommandContext(now=self.now(), actor="worker", actor_id=f"{self.worker}#{call_id}", request_id=task_id)

    def _record(
        self, context: CommandContext, delivery: ClaimedDelivery, outcome: Outcome, now: float | None
    ) -> RecordOutcome:
        reply = None
        if isinstance(outcome, Rejected) and outcome.reply:
            reply = self.draft_text(outcome.reply, delivery.reservation.reservation_id)
        return RecordOutcome(
            context=context,
            reservation_id=delivery.reservation.reservation_id,
            delivery=delivery.reservation.delivery,
            attempt=delivery.lease.attempt,
            outcome=outcome,
            case_id=self.new_id(),
            reply=reply,
            ms_ago=() if now is None or outcome.times is None else self._measure(outcome.times, now),
        )

    def _measure(self, times: SendTimes, now: float) -> tuple[int, ...]:
        """Return what the event of an outcome says of an attempt, in milliseconds before now."""
        measured = (self.woken_at, *times)
        return tuple([round((now - at) * 1000) for at in measured if at is not None])

    def _read_addresses(self, leased_reservations: Sequence[tuple[Reservation, Lease]]) -> list[ClaimedDelivery]:
        """Return email addresses.

        They are read after the claim, so a recipient who was erased in between gets no message.
        """
        if not leased_reservations:
            return []
        addresses = self.addresses([reservation.recipient_id for reservation, _ in leased_reservations])
        return [
            ClaimedDelivery(reservation, lease, addresses.get(reservation.recipient_id))
            for reservation, lease in leased_reservations
        ]


def reject_for_now(server: str) -> Rejected:
    """Return the outcome of what was not begun; it spends no attempt."""
    return Rejected(server=server, reason="temporary", final=False, about_connection=True)


def _leased_reservation(result: CommandResult | Exception, context: CommandContext) -> tuple[Reservation, Lease] | None:
    """Return the reservation and its lease, if this very call has it."""
    if (
        not isinstance(result, CommandResult)
        or (reservation := result.reservation) is None
        or reservation.lease is None
    ):
        return None
    return (reservation, reservation.lease) if is_claimed_by(reservation, context) else None
