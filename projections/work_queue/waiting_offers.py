"""Campaigns on whose waiting lists someone waits, and the emails of offers, each sent under a lease."""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore

CAMPAIGNS_MAX: Final = 50
"""Campaigns of one sweep; the next sweep continues behind them, and begins again after the last one."""
FIRST: Final = UUID(int=0)


class DueOffer(NamedTuple):
    """The email of an offer that a worker has leased.

    Attributes:
        place_id: The place on the waiting list.
        campaign_id: Its campaign.
        code_id: The code by which the person joined.
        recipient_id: Who has the place.
        offered_at: When the use was offered.
        attempts: Number of this attempt, from 1.
        leased_until: End of the lease.
        last_outcome: Outcome of the attempt before; None for the first one, or if its worker stored none.
        code_suffix: Last characters of the code; None if its text is not stored.
    """

    place_id: UUID
    campaign_id: UUID
    code_id: UUID
    recipient_id: UUID
    offered_at: datetime
    attempts: int
    leased_until: datetime
    last_outcome: str | None = None
    code_suffix: str | None = None


class WaitingRows:
    """The waiting lists in PostgreSQL. A lease, of `lease_s`, is longer than any message takes."""

    def __init__(self, storage: LedgerStore, lease_s: float) -> None:
        self._datastore, self._lease = storage.datastore, timedelta(seconds=lease_s)

    def list_campaigns(self, after: UUID) -> list[UUID]:
        """Return the next campaigns on whose lists someone waits, `CAMPAIGNS_MAX` at most."""
        with self._datastore.get_connection() as conn:
            rows: Any = conn.execute(WorkQueueSql.campaigns_that_wait, (after, CAMPAIGNS_MAX)).fetchall()
        return [row["campaign_id"] for row in rows]

    def take(self, now: datetime) -> DueOffer | None:
        """Lease the email that is due longest; None if none is due."""
        with self._datastore.get_connection() as conn:
            row: Any = conn.execute(
                WorkQueueSql.take_waiting_offer, {"now": now, "leased_until": now + self._lease}
            ).fetchone()
        return None if row is None else DueOffer(**row)

    def close(self, offer: DueOffer, due_at: datetime | None, outcome: str, *, counts: bool = True) -> None:
        """Store the outcome.

        Args:
            offer: The email.
            due_at: When it is sent again; None: never.
            outcome: What became of the attempt.
            counts: Whether the attempt counts.
        """
        attempts = offer.attempts if counts else offer.attempts - 1
        with self._datastore.get_connection() as conn:
            conn.execute(
                WorkQueueSql.close_waiting_offer, (due_at, outcome, attempts, offer.place_id, offer.leased_until)
            )
