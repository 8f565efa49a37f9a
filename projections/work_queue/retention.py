"""Deletion of rows that are kept for a limited time."""

from datetime import datetime, timedelta

from projections.repositories.approvals import RETENTION, ApprovalRepository
from projections.repositories.webhook_deliveries import WebhookDeliveryRepository
from projections.repositories.webhook_secrets import delete_expired
from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore

CALLBACK_RETENTION = timedelta(hours=24)
"""How long callbacks are stored. After five minutes their timestamp alone is refused; no clock is that wrong."""
DELIVERED_RETENTION = timedelta(days=7)
"""How long webhook messages are listed after they were delivered."""
FAILED_RETENTION = timedelta(days=30)
"""How long webhook messages are listed, and can be sent again, after they failed."""
ROWS_MAX = 10_000
"""Rows per run and kind, so that a run stays short; the next one follows in a minute."""


def prune(storage: LedgerStore, now: datetime, refusals_days: int) -> dict[str, int]:
    """Delete rows past their retention; return how many by kind.

    Args:
        storage: The ledger.
        now: Database time.
        refusals_days: Days for which rejected requests and the counts of unknown codes are kept.
    """
    old = now - timedelta(days=refusals_days)
    secrets = delete_expired(storage, now)
    deliveries = WebhookDeliveryRepository(storage).delete_expired(
        now - DELIVERED_RETENTION, now - FAILED_RETENTION, ROWS_MAX
    )
    approvals = ApprovalRepository(storage).prune(now - RETENTION, ROWS_MAX)
    with storage.datastore.get_connection() as conn:
        conn.execute(WorkQueueSql.prune_access_marks, (now - timedelta(minutes=10),))
        conn.execute(WorkQueueSql.prune_test_emails, (now - timedelta(minutes=10),))
        conn.execute(WorkQueueSql.prune_dispatches, (now - timedelta(minutes=10),))
        return {
            "idempotency_key": conn.execute(WorkQueueSql.prune_idempotency_keys, (now, ROWS_MAX)).rowcount
            + conn.execute(WorkQueueSql.prune_issue_keys, (now, ROWS_MAX)).rowcount,
            "refusal": conn.execute(WorkQueueSql.prune_refusals, (old, ROWS_MAX)).rowcount,
            "unknown_code_try": conn.execute(WorkQueueSql.prune_unknown_code_requests, (old,)).rowcount,
            "callback": conn.execute(WorkQueueSql.prune_callbacks, (now - CALLBACK_RETENTION, ROWS_MAX)).rowcount
            + conn.execute(WorkQueueSql.prune_callback_refusals, (old, ROWS_MAX)).rowcount,
            "approval": approvals,
            "webhook_secret": secrets,
            "webhook_delivery": deliveries,
        }
