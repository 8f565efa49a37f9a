"""Access expiry: notifies recipients in time, ends expired access, and has the channel remove it.

Everything that is due is found in the database and recorded as events; a mark keeps two workers from the same access. A
worker that dies between asking the channel and recording its answer has spent an attempt, and the access is asked for
again.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from domain.command_bus import Command, CommandResult, Result
from domain.commands.access.settle_access import RecordRemovalOutcome, SettleAccess
from domain.commands.context import CommandContext
from domain.judgment import LEASE_LOST
from domain.model.invariants import is_removal_open
from domain.model.reservation import Reservation
from domain.ports import ADDRESS_MISMATCH, Channel, Rejected, Removal, RemovalOutcome, TextDraft, UnverifiedAddress
from domain.values.identifiers import EmailAddress
from domain.values.timestamps import possible_time
from projections.work_queue.due_access import TAKEN_MAX, LeasedAccess
from workers.channels.group_router import Cooldowns
from workers.invitations.delivery_steps import Addresses, reject_for_now
from workers.invitations.message_factory import MessageFactory

log = logging.getLogger(__name__)

RUN_MAX_S = 40.0
"""Seconds after which a run begins nothing more; the next one follows within a minute."""


class DueAccessQueue(Protocol):
    """Access grants about which something is due. `lease` is the length of a lease."""

    lease: timedelta

    def take(self, now: datetime, limit: int = TAKEN_MAX) -> list[LeasedAccess]:
        """Lease reservations whose access is due, longest due first."""

    def hold(self, reservation_ids: Sequence[UUID], now: datetime) -> list[LeasedAccess]:
        """Lease those of these reservations that no other worker has."""

    def begin_removal(self, reservation_id: UUID, attempt: int, leased_at: datetime) -> bool:
        """Store which removal is asked for now; return False if the lease that began at a time was lost."""

    def give_back(self, reservation_ids: Sequence[UUID], leased_at: datetime) -> None:
        """End leases that began at a time: any worker may lease what is due next."""

    def find_impossible(self, now: datetime) -> list[UUID]:
        """Return reservations whose access may have a due time that was stored before the clock went back."""


@dataclass(frozen=True, slots=True)
class AccessExpirer:
    """Warns before the end of access, ends it, and has it removed.

    Attributes:
        rows: Where they are found.
        execute: The ledger's `execute`.
        addresses: The email addresses of persons, by the ids that the log names; those who were erased are missing.
        channel: Removes access.
        by_group: Names of the channels of groups that have their own, as far as some reservations need it.
        context: Who and when.
        new_id: Random ids.
        draft_text: Seals the channel's words for the vault.
        publish: Wakes workers for invitations that waited for a removal; the sweep finds them too.
        longest_send: The longest time that one removal takes.
        cooldowns: Which groups' systems are in backoff: they are not asked. None: none is.
    """

    rows: DueAccessQueue
    execute: Callable[[Sequence[Command]], Sequence[Result]]
    addresses: Addresses
    message_factory: MessageFactory
    channel: Channel
    by_group: Callable[[Sequence[UUID]], Mapping[str, str]]
    context: Callable[[], CommandContext]
    new_id: Callable[[], UUID]
    draft_text: Callable[[str, UUID], TextDraft]
    publish: Callable[[Sequence[UUID]], None]
    longest_send: timedelta = timedelta(0)
    cooldowns: Cooldowns | None = None

    def work(self, should_stop: Callable[[], bool]) -> Counter[str]:
        """Do what is due until nothing is, or until the time is over.

        Returns:
            How many accesses were looked at, and the outcomes of removals by label.

        Raises:
            StorageUnavailableError: The database is unavailable; what was committed stays.
        """
        counts: Counter[str] = Counter()
        while not should_stop():
            context = self.context()
            leased = self.rows.take(context.now)
            if not leased:
                break
            counts["due"] += len(leased)
            counts += self._settle(leased, context, should_stop)
        context = self.context()
        impossible = [] if should_stop() else self.rows.hold(self.rows.find_impossible(context.now), context.now)
        return counts + self._settle(impossible, context, should_stop)

    def remove(self, reservation_ids: Sequence[UUID], should_stop: Callable[[], bool]) -> Counter[str]:
        """Remove access now for which an invitation waits; access that is not due is left alone.

        What the task that runs every minute has leased is left to it.

        Returns:
            The number of removals by outcome.

        Raises:
            StorageUnavailableError: The database is unavailable; what was committed stays.
        """
        context = self.context()
        leased = self.rows.hold(list(reservation_ids)[:TAKEN_MAX], context.now)
        return self._settle(leased, context, should_stop)

    def _settle(
        self, leased: Sequence[LeasedAccess], context: CommandContext, should_stop: Callable[[], bool]
    ) -> Counter[str]:
        counts: Counter[str] = Counter()
        due_ids = [each.reservation_id for each in leased]
        results = self.execute(
            [SettleAccess(context=context, reservation_id=reservation_id) for reservation_id in due_ids]
        )
        ended_reservations = [
            reservation
            for result in results
            if (reservation := _removable_reservation(result, context.now)) is not None
        ]
        addresses = (
            self.addresses([reservation.recipient_id for reservation in ended_reservations])
            if ended_reservations
            else {}
        )
        by_group = (
            self.by_group([reservation.reservation_id for reservation in ended_reservations])
            if ended_reservations
            else {}
        )
        lost_attempts = dict(leased)
        for reservation in ended_reservations:
            if should_stop() or self.context().now + self.longest_send >= context.now + self.rows.lease:
                break
            channel = by_group.get(reservation.group or "", self.channel.name)
            lost_attempt = lost_attempts[reservation.reservation_id]
            address = addresses.get(reservation.recipient_id)
            outcome = self._remove(reservation, address, channel, lost_attempt, context.now)
            if outcome is not None:
                counts[self._record_outcome(reservation, channel, outcome)] += 1
        self.rows.give_back([each.reservation_id for each in leased], context.now)
        return counts

    def _remove(
        self,
        reservation: Reservation,
        address: EmailAddress | UnverifiedAddress | None,
        channel: str,
        lost_attempt: int | None,
        leased_at: datetime,
    ) -> RemovalOutcome | None:
        """Ask the channel, if it may be asked; return the outcome of the attempt, or None after a lost lease."""
        access = reservation.access
        if access is None or access.ending is None:
            raise AssertionError("only what has ended is removed")
        number = access.removal_attempts + 1
        if lost_attempt == number:
            return LEASE_LOST
        if isinstance(address, UnverifiedAddress):
            # Another person's access might be removed: what becomes of this one is for a person to decide.
            return Rejected(server=channel, reason=ADDRESS_MISMATCH, final=True)
        group, cooldowns = reservation.group, self.cooldowns
        if group is not None and cooldowns is not None and cooldowns.is_active(group):
            return reject_for_now(channel)
        removal = Removal(
            reservation_id=reservation.reservation_id,
            cause=access.ending,
            ended_at=access.ended_at or reservation.reserved_at,
            recipient=address,
            group=group,
            farewell=self.message_factory.farewell(reservation, address)
            if address and access.ending == "expired"
            else None,
        )
        if not self.rows.begin_removal(reservation.reservation_id, number, leased_at):
            return None
        outcome = self.channel.revoke(removal)
        if group is not None and cooldowns is not None:
            cooldowns.record(group, outcome)
        return outcome

    def _record_outcome(self, reservation: Reservation, channel: str, outcome: RemovalOutcome) -> str:
        """Record the outcome of a removal, and return its label."""
        reply, access = None, reservation.access
        if isinstance(outcome, Rejected) and outcome.reply:
            reply = self.draft_text(outcome.reply, reservation.reservation_id)
        command = RecordRemovalOutcome(
            context=self.context(),
            reservation_id=reservation.reservation_id,
            attempt=access.removal_attempts + 1 if access else 1,
            channel=channel,
            outcome=outcome,
            case_id=self.new_id(),
            reply=reply,
        )
        result = self.execute([command])[0]
        recorded = result.require_reservation() if isinstance(result, CommandResult) else None
        if recorded is not None and recorded.access is not None and not is_removal_open(recorded):
            self._wake(recorded.access.replaced_by)
        return (recorded.access.removal if recorded and recorded.access else None) or "removing"

    def _wake(self, waiting_id: UUID | None) -> None:
        """Wake a worker for the invitation that waited for this removal, if there is one."""
        if waiting_id is None:
            return
        try:
            self.publish([waiting_id])
        except Exception as error:  # noqa: BLE001 - whatever a broker raises, the invitation is due and the sweep's
            log.warning("publishing to the broker failed", extra={"why": type(error).__name__})


def _removable_reservation(result: Result, now: datetime) -> Reservation | None:
    """Return a reservation whose access is to be removed now; None if it is not."""
    if not isinstance(result, CommandResult) or result.reservation is None or result.reservation.access is None:
        return None
    is_due = result.reservation.access.is_removal_due(possible_time(now, result.code.last_at))
    return result.reservation if is_due else None
