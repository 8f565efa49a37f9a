"""Codes and campaigns that have reached a threshold before their end, as the sweep finds them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore

ENDS_MAX: Final = 200
"""Codes, and campaigns, of one sweep; the next sweep continues. Codes that were issued together may end together."""


class NearEnds(NamedTuple):
    """Ids of codes and campaigns, each longest due first."""

    codes: Sequence[UUID]
    campaigns: Sequence[UUID]


def list_near_ends(storage: LedgerStore, now: datetime) -> NearEnds:
    """Return codes and campaigns that have reached a threshold before their end, which no event has reported."""
    with storage.datastore.get_connection() as conn:
        rows: Any = conn.execute(WorkQueueSql.near_ends, {"now": now, "limit": ENDS_MAX}).fetchall()
    codes, campaigns = ([row[key] for row in rows if row[key]] for key in ("code_id", "campaign_id"))
    return NearEnds(codes, campaigns)
