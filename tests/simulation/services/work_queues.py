"""What waits in the store in memory: reservations that are due, and emails of the outbox. As the SQL takes them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain.model.reservation import Reservation
from projections.event_store.side_tables import REMINDER
from projections.work_queue.due_access import BUSY_S, LeasedAccess
from projections.work_queue.due_access import TAKEN_MAX as TAKEN_ACCESSES_MAX
from projections.work_queue.due_reservations import DOUBLINGS_MAX, GRACE_S, LONGEST, REPEAT_S, TAKEN_MAX, Due
from projections.work_queue.impossible_times import find_bounds
from projections.work_queue.outbox import LEASE_S, PUT_OFF, DueNotice
from tests.simulation.services.store import MemoryStore


@dataclass
class DispatchMark:
    """A wake-up call that a sweep gave for one due moment."""

    due_at: datetime
    next_at: datetime
    times: int = 1


class MemoryDueReservations:
    """`workers.sending.due_sweep.DueReservations`: the statements `take_due` and `forget_dispatches`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.marks: dict[UUID, DispatchMark] = {}

    def bring_back(self, now: datetime) -> dict[str, int]:
        """The part of `bring_back_times` that is about emails."""
        bounds = find_bounds(now)
        ahead = [
            row
            for (_, template), row in self._store.outbox.items()
            if row.due_at is not None
            and row.due_at > bounds["longest_wait"]
            and (
                max(row.written_at, row.attempted_at or row.written_at) > bounds["impossible"]
                or (template != REMINDER and row.outcome != "deferred")
                or row.due_at > bounds["longest_postponement"]
            )
        ]
        for row in ahead:
            row.due_at = now
        return {"outbox": len(ahead)} if ahead else {}

    def take(self, now: datetime, limit: int = TAKEN_MAX) -> list[Due]:
        before = now - timedelta(seconds=GRACE_S)
        due = [
            (reservation.due_at, reservation)
            for reservation in self._store.reservations.values()
            if reservation.due_at is not None
            and (reservation.due_at <= before or self._is_ahead(reservation, now))
            and self._is_free(reservation.reservation_id, reservation.due_at, now)
        ]
        due.sort(key=lambda pair: pair[0])
        for due_at, reservation in due[:limit]:
            self._mark(reservation.reservation_id, due_at, now)
        return [
            Due(
                reservation.reservation_id,
                settle=reservation.lease is not None or reservation.deadline <= now,
                alone=reservation.ever_unknown or reservation.lease is not None,
            )
            for _, reservation in due[:limit]
        ]

    def give_back(self, reservation_ids: Sequence[UUID]) -> None:
        """Forget the marks of calls that were not given."""
        for key in reservation_ids:
            self.marks.pop(key, None)

    def _is_ahead(self, reservation: Reservation, now: datetime) -> bool:
        bounds, due_at = find_bounds(now), reservation.due_at
        is_far = due_at is not None and due_at > bounds["longest_wait"]
        return is_far and self._store.codes[reservation.code_id].last_at > bounds["impossible"]

    def _is_free(self, key: UUID, due_at: datetime, now: datetime) -> bool:
        mark = self.marks.get(key)
        return mark is None or not now < mark.next_at <= now + LONGEST or mark.due_at != due_at

    def _mark(self, key: UUID, due_at: datetime, now: datetime) -> None:
        repeat, old = timedelta(seconds=REPEAT_S), self.marks.get(key)
        if old is None or old.due_at != due_at:
            self.marks[key] = DispatchMark(due_at, now + repeat)
        else:
            self.marks[key] = DispatchMark(due_at, now + repeat * 2**old.times, min(old.times + 1, DOUBLINGS_MAX))


class MemoryDueAccess:
    """`removals.DueAccessQueue`: the statements `take_due_access` and `give_back_access`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._marks: dict[UUID, datetime] = {}
        self._attempts: dict[UUID, int] = {}
        self.lease = timedelta(seconds=BUSY_S)

    def take(self, now: datetime, limit: int = TAKEN_ACCESSES_MAX) -> list[LeasedAccess]:
        due = [
            (reservation.access_due_at, key)
            for key, reservation in self._store.reservations.items()
            if reservation.access_due_at
        ]
        longest = find_bounds(now + self.lease)["impossible"]
        free = sorted((at, key) for at, key in due if at <= now and not now < self._marks.get(key, now) <= longest)
        due_ids = [key for _, key in free[:limit]]
        return self.hold(due_ids, now)

    def hold(self, reservation_ids: Sequence[UUID], now: datetime) -> list[LeasedAccess]:
        """Mark those that are not marked until a time that can be."""
        longest = find_bounds(now + self.lease)["impossible"]
        free = [key for key in reservation_ids if not now < self._marks.get(key, now) <= longest]
        self._marks |= dict.fromkeys(free, now + self.lease)
        return [LeasedAccess(key, self._attempts.get(key)) for key in free]

    def begin_removal(self, reservation_id: UUID, attempt: int, leased_at: datetime) -> bool:
        """Note which removal is asked for, unless the lease was lost."""
        has_lease = self._marks.get(reservation_id) == leased_at + self.lease
        if has_lease:
            self._attempts[reservation_id] = attempt
        return has_lease

    def find_impossible(self, now: datetime) -> list[UUID]:
        """What may have been stored before the clock went back."""
        impossible = find_bounds(now)["impossible"]
        return [
            key
            for key, reservation in self._store.reservations.items()
            if (reservation.access_due_at or now) > now and self._store.codes[reservation.code_id].last_at > impossible
        ]

    def give_back(self, reservation_ids: Sequence[UUID], leased_at: datetime, recorded_ids: Collection[UUID]) -> None:
        """Forget the marks, and the removals whose outcome is recorded."""
        for key in reservation_ids:
            if self._marks.get(key) == leased_at + self.lease:
                del self._marks[key]
                if key in recorded_ids:
                    self._attempts.pop(key, None)


class MemoryOutbox:
    """`notices.Outbox`: the statements `take_outbox`, `close_outbox` and `put_off_outbox`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def take(self, now: datetime) -> DueNotice | None:
        """The one that is due longest."""
        due = [(row.due_at, key) for key, row in self._store.outbox.items() if row.due_at and row.due_at <= now]
        if not due:
            return None
        _, key = min(due)
        row = self._store.outbox[key]
        row.due_at = row.leased_until = now + timedelta(seconds=LEASE_S)
        row.attempts, row.attempted_at = row.attempts + 1, now
        last_outcome, row.outcome = row.outcome, None
        return DueNotice(*key, row.written_at, row.attempts, last_outcome=last_outcome, leased_until=row.leased_until)

    def close(self, notice: DueNotice, due_at: datetime | None, outcome: str) -> None:
        """Keep what became of it, unless the lease was lost."""
        row = self._store.outbox[notice.reservation_id, notice.template]
        if row.leased_until == notice.leased_until:
            row.due_at, row.leased_until, row.outcome = due_at, None, outcome

    def put_off(self, notice: DueNotice, due_at: datetime) -> None:
        """Give it back as if it had not been taken, unless the lease was lost."""
        row = self._store.outbox[notice.reservation_id, notice.template]
        if row.leased_until == notice.leased_until:
            row.due_at, row.leased_until = due_at, None
            row.outcome, row.attempts = PUT_OFF, row.attempts - 1
