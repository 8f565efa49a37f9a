"""Idempotency keys of requests that issue codes, and the batch of codes that each names."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from projections.database.store_queries import Database, ReadableStore
from projections.event_store.side_tables import IDEMPOTENCY_DAYS
from projections.sql.repositories import RepositoriesSql


class BatchIdempotencyKey(NamedTuple):
    """Digests of a key and of its request's body, and the random id from which the codes' ids are derived."""

    scope_digest: bytes
    body_digest: bytes
    batch_id: UUID


def save_key(storage: ReadableStore, key: BatchIdempotencyKey, now: datetime) -> BatchIdempotencyKey:
    """Store a key for seven days; return the stored one, which an earlier request may have written."""
    until = now + timedelta(days=IDEMPOTENCY_DAYS)
    ((body_digest, batch_id),) = Database(storage).fetch_named(
        RepositoriesSql.keep_issue_key, **key._asdict(), now=now, until=until
    )
    return BatchIdempotencyKey(key.scope_digest, bytes(body_digest), batch_id)
