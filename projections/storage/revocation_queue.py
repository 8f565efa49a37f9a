"""The codes that are revoked and still have pending reservations, as the sweep settles them.

A code may have very many reservations and a transaction must end soon, so the table `revocations` lists the work. It
only decides how soon that happens: a command on one of the reservations settles it too.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from projections.sql.event_store import EventStoreSql
from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore

CODES_PER_ROUND: Final = 10
REPEAT_S: Final = 30.0
"""Seconds after which another process repeats the round of one that died."""


def settle_next_revocations(storage: LedgerStore, now: datetime, settle: Callable[[UUID], bool]) -> int:
    """Run one round of the sweep over revoked codes with pending reservations; return how many codes it covered.

    Args:
        storage: Where the codes are listed.
        now: Database time.
        settle: Settles a code, and returns whether only reservations remain that are being sent or need manual review.
    """
    bounds = {"now": now, "again_at": now + timedelta(seconds=REPEAT_S), "limit": CODES_PER_ROUND}
    with storage.datastore.get_connection() as conn:
        code_ids = [row["code_id"] for row in conn.execute(WorkQueueSql.claim_revocations, bounds).fetchall()]
    for code_id in code_ids:
        is_done = settle(code_id)
        with storage.datastore.get_connection() as conn:
            if is_done:
                conn.execute(WorkQueueSql.finish_revocation, (code_id,))
            else:
                conn.execute(EventStoreSql.insert_revocations, ([code_id], [now]))
    return len(code_ids)
