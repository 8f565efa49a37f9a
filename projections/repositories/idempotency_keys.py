"""Idempotency keys of requests that issue codes, and the batch of codes that each names."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from projections.event_store.side_tables import IDEMPOTENCY_DAYS
from projections.read_models.reader import Reader
from projections.sql.repositories import RepositoriesSql


class BatchIdempotencyKey(NamedTuple):
    """Digests of a key and of its request's body, and the random id from which the codes' ids are derived."""

    scope_digest: bytes
    body_digest: bytes
    batch_id: UUID


class BatchIdempotencyKeyRepository(Reader):
    """Reads and writes the table `issue_keys`."""

    def save(self, key: BatchIdempotencyKey, now: datetime) -> BatchIdempotencyKey:
        """Store a key for seven days; return the stored one, which an earlier request may have written."""
        until = now + timedelta(days=IDEMPOTENCY_DAYS)
        with self._open_cursor() as cursor:
            row = cursor.execute(
                RepositoriesSql.keep_issue_key, {**key._asdict(), "now": now, "until": until}
            ).fetchone()
        if row is None:
            raise AssertionError("an idempotency key is inserted, or there already")
        return BatchIdempotencyKey(key.scope_digest, bytes(row[0]), row[1])
