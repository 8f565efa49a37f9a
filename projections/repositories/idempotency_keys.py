"""Idempotency keys of requests that issue codes: which batch of codes each stands for. Primary data beside the log."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from projections.event_store.side_tables import IDEMPOTENCY_DAYS
from projections.read_models.reader import Reader
from projections.sql.repositories import RepositoriesSql


class BatchIdempotencyKey(NamedTuple):
    """Digests of a key in its scope and of the body that came with it, and the random id that the codes' ids follow."""

    scope_digest: bytes
    body_digest: bytes
    batch_id: UUID


class BatchIdempotencyKeyRepository(Reader):
    """Reads and writes the table `issue_keys`."""

    def save(self, key: BatchIdempotencyKey, now: datetime) -> BatchIdempotencyKey:
        """Keep a key for seven days; the one that is kept, which is another's if that came first."""
        until = now + timedelta(days=IDEMPOTENCY_DAYS)
        with self._open_cursor() as cursor:
            row = cursor.execute(
                RepositoriesSql.keep_issue_key, {**key._asdict(), "now": now, "until": until}
            ).fetchone()
        if row is None:
            raise AssertionError("a key is kept or there already")
        return BatchIdempotencyKey(key.scope_digest, bytes(row[0]), row[1])
