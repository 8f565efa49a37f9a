"""Relays: up to which position each has passed the log on, and the lease of the process that does so.

The position is stored after the target has acknowledged what is before it, so a relay that ends at any time repeats
events and leaves none out.
"""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from projections.database.store_queries import Database, ReadableStore
from projections.sql.work_queue import WorkQueueSql

LEASE_MAX: Final = timedelta(minutes=5)
"""Longer than every lease: one that ends later was taken before the clock went back."""
COUNTED_MAX: Final = 100_000
"""Most events that a list of relays counts for each."""
ERROR_LENGTH_MAX: Final = 500
AFTER_A_RESTORE: Final = "docs/how-to/relay-events.md#after-a-restore"
"""What to do about a position that is not of this log."""


class RelayRow(NamedTuple):
    """A relay in a list.

    Attributes:
        holder: Host and process id of the process that relays; None while there is none.
        behind: Events that it has not passed on, up to `COUNTED_MAX`.
        is_beyond: Whether its position is after the end of the log, so that it passes on nothing.
    """

    name: str
    target: str
    position: int
    relayed_at: datetime | None
    failures: int
    last_error: str | None
    holder: str | None
    behind: int
    is_beyond: bool


class OtherTargetError(Exception):
    """The relay sends to another target, whose position is of no use for this one.

    Attributes:
        target: The other one.
        position: Up to which it was sent events.
    """

    def __init__(self, target: str, position: int) -> None:
        super().__init__(target, position)
        self.target, self.position = target, position


class RemovedRelayError(Exception):
    """An operator removed the relay."""


class RelayLease:
    """One process's side of the lease of a relay.

    Args:
        storage: The ledger.
        name: Name of the relay.
        target: Where it relays to, without secrets.
        target_id: Digest of the whole target: events that one got were not sent to another.
        holder: Name of this process for operators: host and process id.
        holder_id: Its random id.
        lease_s: Seconds until another process may take over.
    """

    def __init__(
        self,
        storage: ReadableStore,
        *,
        name: str,
        target: str,
        target_id: str,
        holder: str,
        holder_id: UUID,
        lease_s: float,
    ) -> None:
        self._db, self._key = Database(storage), {"name": name, "holder_id": holder_id}
        self._target, self._target_id, self.lease_s = target, target_id, lease_s
        self._row = {
            **self._key, "target_id": target_id, "holder": holder, "lease_s": lease_s, "lease_max": LEASE_MAX
        }  # fmt: skip

    def begin(self, start: int | None = None) -> int | None:
        """Take the lease when a process starts, or create the relay; return its position, or None as `hold` does.

        Args:
            start: Position that replaces the stored one.

        Raises:
            OtherTargetError: The relay has another target, and no position was given.
            StorageUnavailableError: The database is unavailable.
        """
        rows = self._db.fetch_named(WorkQueueSql.begin_relay, **self._row, target=self._target, start=start)
        if rows:
            return int(rows[0][0])
        if start is None:
            self._require_target(self._db.fetch_named(WorkQueueSql.find_relay, name=self._key["name"]))
        return None

    def _require_target(self, rows: list[tuple[Any, ...]]) -> None:
        for target, target_id, position in rows:
            if target_id != self._target_id:
                raise OtherTargetError(target, position)

    def is_new(self) -> bool:
        """Return whether no relay has this name and this target.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        rows = self._db.fetch_named(WorkQueueSql.find_relay, name=self._key["name"])
        return all(target_id != self._target_id for _, target_id, _ in rows)

    def hold(self) -> int | None:
        """Take the lease or renew it; return the position of the relay, or None while another process relays.

        Raises:
            OtherTargetError: Another process has given it another target.
            RemovedRelayError: It was removed.
            StorageUnavailableError: The database is unavailable.
        """
        rows = self._db.fetch_named(WorkQueueSql.hold_relay, **self._row)
        if not rows:
            raise RemovedRelayError
        ((position, has_target),) = rows
        if not has_target:
            self._require_target(self._db.fetch_named(WorkQueueSql.find_relay, name=self._key["name"]))
        return None if position is None else int(position)

    def advance(self, before: int, position: int) -> bool:
        """Store a new position; return False if another process relays, or has moved the position.

        Raises:
            StorageUnavailableError: The database is unavailable; the events before the position may be repeated.
        """
        row = {**self._key, "before": before, "position": position}
        return self._db.execute(WorkQueueSql.advance_relay, row) > 0

    def record_failure(self, why: str) -> None:
        """Store why the target accepted nothing.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        self._db.execute(WorkQueueSql.record_relay_failure, {**self._key, "why": why[:ERROR_LENGTH_MAX]})

    def release(self) -> None:
        """Let another process take over immediately.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        self._db.execute(WorkQueueSql.release_relay, self._key)


def list_relays(storage: ReadableStore) -> list[RelayRow]:
    """Return every relay, by name.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    bounds = {"lease_max": LEASE_MAX, "counted_max": COUNTED_MAX}
    return [RelayRow(*row) for row in Database(storage).fetch_named(WorkQueueSql.list_relays, **bounds)]


def delete_relay(storage: ReadableStore, name: str) -> bool:
    """Delete a relay and its position; return False if there is none, or a process relays.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    return Database(storage).execute(WorkQueueSql.delete_relay, {"name": name, "lease_max": LEASE_MAX}) > 0
