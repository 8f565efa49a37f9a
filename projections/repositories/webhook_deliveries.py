"""Deliveries of webhooks: the log turned into messages by position, what is due, and what became of each.

Whoever works on an endpoint holds it under a lease, so no message of it is sent by two processes at once, unless one
was thought dead: that is at least once, with one id for each message, by which the other side tells a repeat.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, LiteralString, NamedTuple
from uuid import UUID, uuid5

from psycopg import Cursor
from psycopg.rows import tuple_row

from projections.read_models.reader import Reader
from projections.sql.repositories import RepositoriesSql
from projections.sql.work_queue import WorkQueueSql

WINDOW: Final = 1_000
"""Positions of the log that one transaction looks at."""
PENDING_MAX: Final = 1_000
"""Deliveries of one endpoint that wait. Beyond that the log waits: an endpoint that is away fills no table."""
DELIVERED_KEPT: Final = timedelta(days=7)
FAILED_KEPT: Final = timedelta(days=30)
REDELIVERED_MAX: Final = 1_000
TEST_TYPE: Final = "webhook.test"
"""The type of a message about nothing, by which an admin looks whether sending works."""

DeliveryState = Literal["pending", "delivered", "failed"]


class Taken(NamedTuple):
    """An endpoint that this process works on."""

    endpoint_id: UUID
    url: str
    event_types: frozenset[str]
    concurrency: int


class DueDelivery(NamedTuple):
    """A message to be sent, and the event that it is about, as it is stored."""

    delivery_id: UUID
    attempts: int
    first_at: datetime | None
    position: int
    code_id: UUID
    version: int
    topic: str
    state: bytes


class Tried(NamedTuple):
    """What became of a try. `due_at`: when the next one is; None if it was the last."""

    delivery_id: UUID
    state: DeliveryState
    due_at: datetime | None
    at: datetime
    outcome: str
    status: int | None
    ms: int


class Standing(NamedTuple):
    """How an endpoint stands, for who has it."""

    position: int
    failures: int
    succeeded_at: datetime | None


class DeliveryLine(NamedTuple):
    """A delivery as a list tells it. `position` is None of a test."""

    delivery_id: UUID
    position: int | None
    event_type: str
    state: DeliveryState
    made_at: datetime
    due_at: datetime | None
    attempts: int
    last_at: datetime | None
    last_outcome: str | None
    last_status: int | None
    last_ms: int | None


class Deliveries(Reader):
    """Reads and writes the table `webhook_deliveries`, and how far each endpoint is."""

    def take(self, runner: UUID, now: datetime, lease_until: datetime) -> Taken | None:
        """An endpoint that has something to do, under a lease; None if there is none."""
        rows = self._named(RepositoriesSql.take_endpoint, runner=runner, now=now, lease_until=lease_until)
        return Taken(rows[0][0], rows[0][1], frozenset(rows[0][2]), rows[0][3]) if rows else None

    def release(self, endpoint_id: UUID, runner: UUID) -> None:
        """Somebody else may have it."""
        with self._cursor() as cursor:
            cursor.execute(RepositoriesSql.release_endpoint, (endpoint_id, runner))

    def follow(self, taken: Taken, runner: UUID, now: datetime) -> int | None:
        """Turn the next stretch of the log into deliveries, with its new position in one transaction.

        Returns:
            How many positions were looked at; 0 at the log's end, and while too many wait. None if it is not ours.
        """

        def step(cursor: Cursor[Any], standing: Standing) -> int:
            (pending,) = cursor.execute(RepositoriesSql.count_pending, (taken.endpoint_id,)).fetchall()[0]
            room = min(WINDOW, PENDING_MAX - pending)
            if room <= 0:
                return 0
            found = cursor.execute(RepositoriesSql.next_positions, (standing.position, room)).fetchall()
            if not found:
                return 0
            wanted = [row for row in found if not taken.event_types or row[1] in taken.event_types]
            rows = {
                "ids": [delivery_id(taken.endpoint_id, position) for position, _ in wanted],
                "positions": [position for position, _ in wanted],
                "types": [name for _, name in wanted],
            }
            cursor.execute(RepositoriesSql.insert_deliveries, {**rows, "endpoint_id": taken.endpoint_id, "now": now})
            cursor.execute(RepositoriesSql.advance_endpoint, (found[-1][0], taken.endpoint_id))
            return len(found)

        return self._while_leased(taken.endpoint_id, runner, step)

    def due(self, endpoint_id: UUID, now: datetime, limit: int) -> list[DueDelivery]:
        """What is to be sent now, that longest due first, in the log's order."""
        rows = self._named(RepositoriesSql.due_deliveries, endpoint_id=endpoint_id, now=now, limit=limit)
        return [DueDelivery(*row)._replace(state=bytes(row[7])) for row in rows]

    def record(
        self, endpoint_id: UUID, runner: UUID, tried: Sequence[Tried], judge: Callable[[Standing], "Note"]
    ) -> bool:
        """Keep what became of tries, and how the endpoint stands after them; False if it is no longer ours.

        Then the tries are kept all the same, and the endpoint is as whoever changed it wants it.
        """

        def step(cursor: Cursor[Any], standing: Standing) -> bool:
            note = judge(standing)
            row = {"failures": note.failures, "resting_until": note.resting_until, "succeeded_at": note.succeeded_at}
            cursor.execute(RepositoriesSql.note_endpoint, {**row, "endpoint_id": endpoint_id})
            if standing.failures and note.succeeded_at is not None:
                cursor.execute(RepositoriesSql.hurry_deliveries, (note.succeeded_at, endpoint_id, note.succeeded_at))
            return True

        pool = self._storage.datastore
        with pool.get_connection() as conn, conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(RepositoriesSql.record_deliveries, [list(column) for column in zip(*tried, strict=True)])
        return bool(self._while_leased(endpoint_id, runner, step))

    def keep_test(self, endpoint_id: UUID, event_type: str, tried: Tried) -> None:
        """Enter a test that was sent at once."""
        row = tried._asdict() | {"id": tried.delivery_id, "endpoint_id": endpoint_id, "type": event_type}
        with self._cursor() as cursor:
            cursor.execute(RepositoriesSql.insert_test_delivery, row)

    def page(
        self, endpoint_id: UUID, before: tuple[datetime, UUID], limit: int, state: DeliveryState | None
    ) -> list[DeliveryLine]:
        """Deliveries of an endpoint, newest first, from a time and id down."""
        rows = self._named(
            RepositoriesSql.list_deliveries,
            endpoint_id=endpoint_id,
            at=before[0],
            id=before[1],
            state=state,
            limit=limit,
        )
        return [DeliveryLine(*row) for row in rows]

    def redeliver(self, endpoint_id: UUID, delivery: UUID, now: datetime) -> bool:
        """Send one once more; False if there is none, it was a test, or the endpoint is disabled."""
        return bool(self._named(RepositoriesSql.redeliver, endpoint_id=endpoint_id, delivery_id=delivery, now=now))

    def redeliver_failed(self, endpoint_id: UUID, since: datetime, now: datetime) -> int:
        """Send those once more that failed for good since a moment, 1,000 at most, the oldest first; how many."""
        return len(
            self._named(
                RepositoriesSql.redeliver_failed, endpoint_id=endpoint_id, since=since, now=now, limit=REDELIVERED_MAX
            )
        )

    def prune(self, now: datetime, limit: int) -> int:
        """Delete what is old, and what is left of endpoints that were removed; how many deliveries."""
        ages = {"delivered_before": now - DELIVERED_KEPT, "failed_before": now - FAILED_KEPT, "limit": limit}
        with self._cursor() as cursor:
            pruned = cursor.execute(WorkQueueSql.prune_deliveries, ages).rowcount
            pruned += cursor.execute(WorkQueueSql.prune_deliveries_of_removed, (limit,)).rowcount
            cursor.execute(WorkQueueSql.prune_removed_endpoints)
        return pruned

    def _while_leased(
        self, endpoint_id: UUID, runner: UUID, step: Callable[[Cursor[Any], Standing], int]
    ) -> int | None:
        """Do something while nobody else can change the endpoint; None if it is not this runner's any more."""
        pool = self._storage.datastore
        with pool.get_connection() as conn, conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            own = cursor.execute(RepositoriesSql.own_endpoint, (endpoint_id, runner)).fetchone()
            return None if own is None else step(cursor, Standing(*own))

    def _named(self, query: LiteralString, **params: object) -> list[tuple[Any, ...]]:
        with self._cursor() as cursor:
            return cursor.execute(query, params).fetchall()


class Note(NamedTuple):
    """How an endpoint stands after some tries. `succeeded_at`: None if none of them was taken."""

    failures: int
    resting_until: datetime | None
    succeeded_at: datetime | None


def delivery_id(endpoint_id: UUID, position: int) -> UUID:
    """The same for the same event and endpoint, whoever makes the delivery and however often."""
    return uuid5(endpoint_id, str(position))
