"""Access expiry: notifies recipients in time, ends expired access, and has the channel remove it.

Everything that is due is found in the database and recorded as events; a mark keeps two workers from the same access. A
worker that dies between asking the channel and recording its answer has spent an attempt, and the access is asked for
again.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from domain.command_bus import Command
from domain.commands.access.settle_access import RecordRemovalOutcome, SettleAccess
from domain.commands.context import CommandContext
from domain.judgment import LEASE_LOST
from domain.model.invariants import is_removal_open
from domain.model.reservation import Reservation
from domain.ports import ADDRESS_MISMATCH, Channel, Rejected, Removal, RemovalOutcome, TextDraft, UnverifiedAddress
from domain.results import CommandResult, Result
from domain.values.identifiers import EmailAddress
from domain.values.timestamps import possible_time
from projections.work_queue.due_access import TAKEN_MAX, LeasedAccess
from workers.channels.group_router import Cooldowns
from workers.sending.delivery_steps import Addresses, reject_for_now
from workers.sending.loop import Ended, send_at_once, send_due
from workers.sending.message_factory import MessageFactory

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

    def give_back(self, reservation_ids: Sequence[UUID], leased_at: datetime, recorded_ids: Collection[UUID]) -> None:
        """End leases that began at a time; a removal without a recorded outcome keeps its number."""

    def find_impossible(self, now: datetime) -> list[UUID]:
        """Return reservations whose access may have a due time that was stored before the clock went back."""


class _DueRemoval(NamedTuple):
    """An ended access that a channel is asked to remove, under a lease.

    Attributes:
        address: Its recipient's; None if that was erased.
        channel: Name of the channel of its group.
        lost_attempt: As of `LeasedAccess`.
        leased_at: When the lease began.
    """

    reservation: Reservation
    address: EmailAddress | UnverifiedAddress | None
    channel: str
    lost_attempt: int | None
    leased_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
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
        cooldowns: Which groups' systems are in backoff: they are not asked.
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
    cooldowns: Cooldowns = field(default_factory=Cooldowns)

    def work(self, should_stop: Callable[[], bool]) -> Counter[str]:
        """Do what is due until nothing is, or the time is over.

        Returns:
            How many accesses were looked at, and the outcomes of removals by label.

        Raises:
            StorageUnavailableError: The database is unavailable; what was committed stays.
        """
        run = _RemovalRun(self, self.rows.take)
        send_due(run, should_stop)
        counts = run.counts + Counter(due=run.leased_count)
        if should_stop():
            return counts
        return counts + self._settle_those(self.rows.find_impossible(self.context().now), should_stop)

    def remove(self, reservation_ids: Sequence[UUID], should_stop: Callable[[], bool]) -> Counter[str]:
        """Remove access now for which an invitation waits; access that is not due is left alone.

        What the task that runs every minute has leased is left to it.

        Returns:
            The number of removals by outcome.

        Raises:
            StorageUnavailableError: The database is unavailable; what was committed stays.
        """
        return self._settle_those(list(reservation_ids)[:TAKEN_MAX], should_stop)

    def _settle_those(self, reservation_ids: Sequence[UUID], should_stop: Callable[[], bool]) -> Counter[str]:
        remaining = [reservation_ids] if reservation_ids else []
        run = _RemovalRun(self, lambda now: self.rows.hold(remaining.pop(), now) if remaining else [])
        send_due(run, should_stop)
        return run.counts

    def settle(self, leased: Sequence[LeasedAccess], context: CommandContext) -> Iterator[_DueRemoval]:
        """Remind, warn or end; return what is to be removed now."""
        lost_attempts = dict(leased)
        results = self.execute(
            [SettleAccess(context=context, reservation_id=reservation_id) for reservation_id in lost_attempts]
        )
        removable = [
            reservation
            for result in results
            if (reservation := _removable_reservation(result, context.now)) is not None
        ]
        if not removable:
            return
        addresses = self.addresses([reservation.recipient_id for reservation in removable])
        by_group = self.by_group([reservation.reservation_id for reservation in removable])
        for reservation in removable:
            yield _DueRemoval(
                reservation,
                addresses.get(reservation.recipient_id),
                by_group.get(reservation.group or "", self.channel.name),
                lost_attempts[reservation.reservation_id],
                context.now,
            )

    def ask(self, due: _DueRemoval) -> RemovalOutcome | None:
        """Ask the channel, if it may be asked; return the outcome of the attempt, or None after a lost lease."""
        reservation, address, channel, lost_attempt, leased_at = due
        access, group = reservation.access, reservation.group
        if access is None or access.ending is None:
            raise AssertionError("only what has ended is removed")
        number = access.removal_attempts + 1
        if lost_attempt == number:
            return LEASE_LOST
        if isinstance(address, UnverifiedAddress):
            # Another person's access might be removed: what becomes of this one is for a person to decide.
            return Rejected(server=channel, reason=ADDRESS_MISMATCH, final=True)
        if group is not None and self.cooldowns.is_active(group):
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
        if group is not None:
            self.cooldowns.record(group, outcome)
        return outcome

    def record(self, reservation: Reservation, channel: str, outcome: RemovalOutcome) -> str:
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


@dataclass(slots=True)
class _RemovalRun:
    """`SendingKind`: removals, one after the other. They are leased by many, since most need no channel.

    Attributes:
        lease: Leases what is due next, at a time.
        leased_count: How many accesses were leased in all.
        counts: Removals by outcome.
    """

    expirer: AccessExpirer
    lease: Callable[[datetime], Sequence[LeasedAccess]]
    leased_count: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    slots: int = field(default=1, init=False)
    _leased: Sequence[LeasedAccess] = ()
    _leased_at: datetime | None = None
    _due: deque[_DueRemoval] = field(default_factory=deque)
    _recorded_ids: set[UUID] = field(default_factory=set)

    def turn(
        self, ended: Sequence[Ended[_DueRemoval, RemovalOutcome | None]], free: int
    ) -> Sequence[_DueRemoval] | None:
        for (reservation, _, channel, *_), outcome in ended:
            if outcome is not None:
                self.counts[self.expirer.record(reservation, channel, outcome)] += 1
                self._recorded_ids.add(reservation.reservation_id)
        context = self.expirer.context()
        if not free or not self._due:
            self._give_back()
        if not free:
            return None
        if not self._due:
            self._leased, self._leased_at = self.lease(context.now), context.now
            if not self._leased:
                return None
            self.leased_count += len(self._leased)
            self._due.extend(self.expirer.settle(self._leased, context))
        if not self._due:
            return []
        if not self._has_time():
            self._give_back()
            return None
        return [self._due.popleft()]

    def start(self, leased: Sequence[_DueRemoval]) -> Mapping[Future[RemovalOutcome | None], _DueRemoval]:
        """Ask the channel in this thread."""
        return {send_at_once(self.expirer.ask, each): each for each in leased}

    def _has_time(self) -> bool:
        expirer, leased_at = self.expirer, self._leased_at
        return leased_at is not None and expirer.context().now + expirer.longest_send < leased_at + expirer.rows.lease

    def _give_back(self) -> None:
        if self._leased and self._leased_at is not None:
            leased_ids = [each.reservation_id for each in self._leased]
            self.expirer.rows.give_back(leased_ids, self._leased_at, self._recorded_ids)
        self._recorded_ids.clear()
        self._due.clear()
        self._leased = ()


def _removable_reservation(result: Result, now: datetime) -> Reservation | None:
    """Return a reservation whose access is to be removed now; None if it is not."""
    if not isinstance(result, CommandResult) or result.reservation is None or result.reservation.access is None:
        return None
    is_due = result.reservation.access.is_removal_due(possible_time(now, result.code.last_at))
    return result.reservation if is_due else None
