"""Webhook deliveries: events queued per endpoint by position, due messages, and their results.

A worker leases an endpoint, so two processes do not send its messages at the same time, unless a lease expired while
its worker still ran. Delivery is at least once; each message has one id, by which the receiver recognizes a repeat.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID, uuid5

from psycopg import Cursor
from psycopg.rows import tuple_row

from domain.webhooks.cloud_events import MessageFormat
from projections.database.store_queries import Database, ReadableStore
from projections.sql.repositories import RepositoriesSql
from projections.sql.work_queue import WorkQueueSql

POSITIONS_MAX: Final = 1_000
"""Most positions of the log that one transaction reads."""
PENDING_MAX: Final = 1_000
"""Most pending deliveries of one endpoint: an unreachable endpoint does not fill the table."""
REDELIVERED_MAX: Final = 1_000
TEST_TYPE: Final = "webhook.test"
"""Type of the test message, by which an admin checks whether sending works."""

DeliveryState = Literal["pending", "delivered", "failed"]


class LeasedEndpoint(NamedTuple):
    """An endpoint that this process has leased."""

    endpoint_id: UUID
    url: str
    event_types: frozenset[str]
    concurrency: int
    format: MessageFormat


class DueDelivery(NamedTuple):
    """A message to send, and the stored event that it is about."""

    delivery_id: UUID
    attempts: int
    first_at: datetime | None
    position: int
    stream_id: UUID
    version: int
    topic: str
    state: bytes


class DeliveryResult(NamedTuple):
    """Result of one attempt. `due_at`: when the next attempt is due; None if it was the last one."""

    delivery_id: UUID
    state: DeliveryState
    due_at: datetime | None
    at: datetime
    outcome: str
    status: int | None
    ms: int


class EndpointProgress(NamedTuple):
    """Position and failures of an endpoint, as its lease holder reads them."""

    position: int
    failures: int
    succeeded_at: datetime | None


class DeliveryRow(NamedTuple):
    """A delivery in a list. `position` is None for a test message."""

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


class WebhookDeliveryRepository:
    """Reads and writes the table `webhook_deliveries`, and the position of each endpoint."""

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def lease(self, runner: UUID, now: datetime, lease_until: datetime) -> LeasedEndpoint | None:
        """Lease an endpoint with due messages or new events; return None if there is none."""
        rows = self._db.fetch_named(RepositoriesSql.take_endpoint, runner=runner, now=now, lease_until=lease_until)
        return LeasedEndpoint(*rows[0])._replace(event_types=frozenset(rows[0][2])) if rows else None

    def release(self, endpoint_id: UUID, runner: UUID) -> None:
        """Let other processes lease the endpoint."""
        self._db.execute(RepositoriesSql.release_endpoint, (endpoint_id, runner))

    def enqueue_new_events(self, endpoint: LeasedEndpoint, runner: UUID, now: datetime) -> int | None:
        """Queue deliveries of the next events, and store the new position in the same transaction.

        Returns:
            How many positions were read; 0 at the end of the log, or if too many are pending. None without the lease.
        """

        def step(cursor: Cursor[Any], progress: EndpointProgress) -> int:
            (pending,) = cursor.execute(RepositoriesSql.count_pending, (endpoint.endpoint_id,)).fetchall()[0]
            room = min(POSITIONS_MAX, PENDING_MAX - pending)
            if room <= 0:
                return 0
            events = cursor.execute(RepositoriesSql.next_positions, (progress.position, room)).fetchall()
            if not events:
                return 0
            subscribed = [row for row in events if not endpoint.event_types or row[1] in endpoint.event_types]
            rows = {
                "ids": [derive_delivery_id(endpoint.endpoint_id, position) for position, _ in subscribed],
                "positions": [position for position, _ in subscribed],
                "types": [name for _, name in subscribed],
            }
            cursor.execute(RepositoriesSql.insert_deliveries, {**rows, "endpoint_id": endpoint.endpoint_id, "now": now})
            cursor.execute(RepositoriesSql.advance_endpoint, (events[-1][0], endpoint.endpoint_id))
            return len(events)

        return self._while_leased(endpoint.endpoint_id, runner, step)

    def list_due(self, endpoint_id: UUID, now: datetime, limit: int) -> list[DueDelivery]:
        """Return due messages, the longest due first, in the order of the log."""
        rows = self._db.fetch_named(RepositoriesSql.due_deliveries, endpoint_id=endpoint_id, now=now, limit=limit)
        return [DueDelivery(*row)._replace(state=bytes(row[7])) for row in rows]

    def save_results(
        self,
        endpoint_id: UUID,
        runner: UUID,
        results: Sequence[DeliveryResult],
        decide_update: Callable[[EndpointProgress], "EndpointUpdate"],
    ) -> bool:
        """Store results of attempts, and the endpoint's state after them; return False without the lease.

        The results are stored in any case; without the lease the endpoint stays as another process has set it.
        """

        def step(cursor: Cursor[Any], progress: EndpointProgress) -> bool:
            update = decide_update(progress)
            row = {
                "failures": update.failures,
                "resting_until": update.resting_until,
                "succeeded_at": update.succeeded_at,
            }
            cursor.execute(RepositoriesSql.note_endpoint, {**row, "endpoint_id": endpoint_id})
            if progress.failures and update.succeeded_at is not None:
                cursor.execute(
                    RepositoriesSql.hurry_deliveries, (update.succeeded_at, endpoint_id, update.succeeded_at)
                )
            return True

        pool = self._storage.datastore
        with pool.get_connection() as conn, conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(RepositoriesSql.record_deliveries, [list(column) for column in zip(*results, strict=True)])
        return bool(self._while_leased(endpoint_id, runner, step))

    def insert_test(self, endpoint_id: UUID, event_type: str, result: DeliveryResult) -> None:
        """Insert a test message that was sent immediately."""
        row = result._asdict() | {"id": result.delivery_id, "endpoint_id": endpoint_id, "type": event_type}
        self._db.execute(RepositoriesSql.insert_test_delivery, row)

    def list_page(
        self, endpoint_id: UUID, before: tuple[datetime, UUID], limit: int, state: DeliveryState | None
    ) -> list[DeliveryRow]:
        """Return deliveries of an endpoint, newest first, created before a time and id."""
        rows = self._db.fetch_named(
            RepositoriesSql.list_deliveries,
            endpoint_id=endpoint_id,
            at=before[0],
            id=before[1],
            state=state,
            limit=limit,
        )
        return [DeliveryRow(*row) for row in rows]

    def redeliver(self, endpoint_id: UUID, delivery: UUID, now: datetime) -> bool:
        """Queue a delivery again; return False if there is none, it was a test, or the endpoint is disabled."""
        return bool(
            self._db.fetch_named(RepositoriesSql.redeliver, endpoint_id=endpoint_id, delivery_id=delivery, now=now)
        )

    def count_failed(self, endpoint_id: UUID) -> int:
        """Return how many deliveries `redeliver_failed` would queue again, since the endpoint exists."""
        return int(self._db.fetch_all(RepositoriesSql.count_failed, endpoint_id, REDELIVERED_MAX)[0][0])

    def redeliver_failed(self, endpoint_id: UUID, since: datetime, now: datetime) -> int:
        """Queue again up to 1,000 deliveries that failed since a time, the oldest first; return how many."""
        return len(
            self._db.fetch_named(
                RepositoriesSql.redeliver_failed, endpoint_id=endpoint_id, since=since, now=now, limit=REDELIVERED_MAX
            )
        )

    def delete_expired(self, delivered_before: datetime, failed_before: datetime, limit: int) -> int:
        """Delete old deliveries, and the rows of removed endpoints; return how many deliveries."""
        ages = {"delivered_before": delivered_before, "failed_before": failed_before, "limit": limit}
        with self._db.open_cursor() as cursor:
            pruned = cursor.execute(WorkQueueSql.prune_deliveries, ages).rowcount
            pruned += cursor.execute(WorkQueueSql.prune_deliveries_of_removed, (limit,)).rowcount
            cursor.execute(WorkQueueSql.prune_removed_endpoints)
        return pruned

    def _while_leased(
        self, endpoint_id: UUID, runner: UUID, step: Callable[[Cursor[Any], EndpointProgress], int]
    ) -> int | None:
        """Run a step while the endpoint is locked; return None if this runner has lost the lease."""
        pool = self._storage.datastore
        with pool.get_connection() as conn, conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            progress = cursor.execute(RepositoriesSql.own_endpoint, (endpoint_id, runner)).fetchone()
            return None if progress is None else step(cursor, EndpointProgress(*progress))


class EndpointUpdate(NamedTuple):
    """New state of an endpoint after some attempts. `succeeded_at`: None if the endpoint accepted none of them."""

    failures: int
    resting_until: datetime | None
    succeeded_at: datetime | None


def derive_delivery_id(endpoint_id: UUID, position: int) -> UUID:
    """Return the id of a delivery, which depends on its endpoint and event only."""
    return uuid5(endpoint_id, str(position))
