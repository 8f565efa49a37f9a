"""Codes and campaigns that have reached a threshold before their end, as the sweep finds them."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from domain.values.timestamps import FIRST
from projections.definitions.tables.campaigns import PROJECTION as CAMPAIGNS
from projections.definitions.tables.campaigns import TABLE
from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore

ENDS_MAX: Final = 200
"""Codes of one sweep, and campaigns of one page. The next sweep continues behind them, and begins again after the last
one, so that one that cannot be reported delays no other."""
CAMPAIGN_PAGES_MAX: Final = 10
"""Pages of campaigns that one sweep looks at, unless one of them has reached a threshold."""
BEFORE_ALL: Final = UUID(int=0)


class NearEndRows:
    """The codes and campaigns in PostgreSQL, from the place that the search before reached."""

    def __init__(self, storage: LedgerStore) -> None:
        self._datastore = storage.datastore
        self._after_code = (FIRST, BEFORE_ALL)
        self._after_campaign = BEFORE_ALL

    def find_codes(self, now: datetime) -> list[UUID]:
        """Return the next codes that have reached a threshold which no event has reported, longest due first."""
        after_at, after_id = self._after_code
        bounds = {"now": now, "after_at": after_at, "after_id": after_id, "limit": ENDS_MAX}
        with self._datastore.get_connection() as conn:
            rows: Any = conn.execute(WorkQueueSql.near_ends, bounds).fetchall()
        is_more = len(rows) == ENDS_MAX
        self._after_code = (rows[-1]["next_report_at"], rows[-1]["code_id"]) if is_more else (FIRST, BEFORE_ALL)
        return [row["code_id"] for row in rows]

    def find_campaigns(self, now: datetime) -> list[UUID]:
        """Return those of the next campaigns that have reached a threshold which no event has reported."""
        for _ in range(CAMPAIGN_PAGES_MAX):
            due = self._find_campaigns_of_page(now)
            if due or self._after_campaign == BEFORE_ALL:
                return due
        return []

    def _find_campaigns_of_page(self, now: datetime) -> list[UUID]:
        with self._datastore.get_connection() as conn:
            rows: Any = conn.execute(WorkQueueSql.campaigns_with_ends, (self._after_campaign, ENDS_MAX)).fetchall()
        self._after_campaign = rows[-1]["campaign_id"] if len(rows) == ENDS_MAX else BEFORE_ALL
        campaigns = [CAMPAIGNS.read_back([row[column] for column in TABLE.columns]) for row in rows]
        return [
            campaign.campaign_id
            for campaign in campaigns
            if (report_at := campaign.next_report_at) is not None and report_at <= now
        ]
