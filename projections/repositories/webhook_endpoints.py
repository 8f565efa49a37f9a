"""Webhook endpoints: URL, event types, position in the log, and backoff."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

from psycopg.rows import tuple_row

from domain.events.registry import EVENT_TYPES
from domain.values.number_bounds import Bounds
from domain.webhooks.cloud_events import MessageFormat
from projections.database.store_queries import Database, ReadableStore
from projections.read_models.pagination import ListCursor, ListOrder
from projections.repositories.webhook_secrets import rotate_secret
from projections.sql.repositories import RepositoriesSql

CONCURRENCY: Final = Bounds(1, 8)
EVENT_NAMES: Final = tuple(EVENT_TYPES)
"""Event types that an endpoint can receive."""

EndpointState = Literal["enabled", "disabled"]
DisabledReason = Literal["by_staff", "gone", "failing"]
"""An admin disabled it; the endpoint answered 410; it accepted no message for three days."""


class WebhookEndpoint(NamedTuple):
    """One endpoint.

    Attributes:
        event_types: Names of events; empty for all.
        concurrency: Most messages that are sent to it at the same time.
        format: How its messages are written.
        position: Position of the log up to which deliveries are queued.
        failures: Failed attempts in a row.
        resting_until: End of its backoff; None if it is not in backoff.
        pending: Pending deliveries.
        behind: Positions of the log that are not read yet.
    """

    endpoint_id: UUID
    url: str
    event_types: list[str]
    concurrency: int
    format: MessageFormat
    state: EndpointState
    reason: DisabledReason | None
    created_at: datetime
    position: int
    failures: int
    resting_until: datetime | None
    succeeded_at: datetime | None
    pending: int
    behind: int


class WebhookEndpointRepository:
    """Reads and writes the table `webhook_endpoints`."""

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def insert(
        self,
        endpoint_id: UUID,
        url: str,
        event_types: Sequence[str],
        concurrency: int,
        text_id: UUID,
        now: datetime,
        *,
        position: int | None = None,
        message_format: MessageFormat = "standard",
    ) -> str | None:
        """Insert an endpoint; return its secret, which is shown this once, or None if it exists already.

        Args:
            endpoint_id: A new random id.
            url: A validated target.
            event_types: Names of events; none for all.
            concurrency: Most messages that are sent to it at the same time.
            text_id: A new random id for the secret.
            now: Database time.
            position: It receives events after this position; None: events from now on.
            message_format: How its messages are written.
        """
        row = {
            "endpoint_id": endpoint_id,
            "url": url,
            "event_types": list(event_types),
            "concurrency": concurrency,
            "format": message_format,
        }
        pool = self._storage.datastore
        with pool.get_connection() as conn, conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            inserted = cursor.execute(
                RepositoriesSql.insert_endpoint, {**row, "now": now, "position": position}
            ).fetchall()
            if not inserted:
                return None
            return rotate_secret(cursor, self._storage.vault, endpoint_id, text_id, now)

    def find(self, endpoint_id: UUID) -> WebhookEndpoint | None:
        """Return an endpoint by its id."""
        rows = self._db.fetch_all(RepositoriesSql.endpoint_of_id, endpoint_id)
        return WebhookEndpoint(*rows[0]) if rows else None

    def list_page(self, place: ListCursor, limit: int, order: ListOrder = "oldest") -> list[WebhookEndpoint]:
        """Return endpoints behind a place, by the time of their creation."""
        statements = {"newest": RepositoriesSql.newest_endpoints, "oldest": RepositoriesSql.list_endpoints}
        return [WebhookEndpoint(*row) for row in self._db.fetch_all(statements[order], *place, limit)]

    def update(
        self,
        endpoint_id: UUID,
        now: datetime,
        *,
        url: str | None = None,
        event_types: Sequence[str] | None = None,
        concurrency: int | None = None,
        message_format: MessageFormat | None = None,
    ) -> bool:
        """Update the fields that are given; return False if there is no such endpoint."""
        types = None if event_types is None else list(event_types)
        return bool(
            self._db.fetch_named(
                RepositoriesSql.change_endpoint,
                endpoint_id=endpoint_id,
                url=url,
                event_types=types,
                concurrency=concurrency,
                format=message_format,
                now=now,
            )
        )

    def enable(self, endpoint_id: UUID, now: datetime) -> bool:
        """Enable it from its last position; return False if it is enabled already."""
        return self._set_state(endpoint_id, "enabled", None, now)

    def disable(self, endpoint_id: UUID, reason: DisabledReason, now: datetime) -> bool:
        """Disable it; return False if it is disabled already."""
        return self._set_state(endpoint_id, "disabled", reason, now)

    def delete(self, endpoint_id: UUID, now: datetime) -> bool:
        """Delete it permanently and end its secrets; its deliveries are deleted gradually."""
        is_done = self._set_state(endpoint_id, "removed", None, now)
        self._db.execute(RepositoriesSql.end_secrets_of_owner, (now, endpoint_id))
        return is_done

    def _set_state(self, endpoint_id: UUID, state: str, reason: DisabledReason | None, now: datetime) -> bool:
        return bool(
            self._db.fetch_named(
                RepositoriesSql.set_endpoint_state, endpoint_id=endpoint_id, state=state, reason=reason, now=now
            )
        )
