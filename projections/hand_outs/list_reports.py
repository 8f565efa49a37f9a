"""Reports about lists: what was checked or added, for the page to which the form of a list leads.

The table `list_reports` has the last report of each member of staff for each hand-out.
"""

from datetime import datetime
from uuid import UUID

from projections.database.store_queries import Database, ReadableStore
from projections.sql.hand_outs import HandOutsSql


def save_encoded_report(
    storage: ReadableStore, hand_out_id: UUID, staff_id: UUID, report_id: UUID, report: bytes, now: datetime
) -> None:
    """Store a report in the place of the one before."""
    row = {"hand_out_id": hand_out_id, "staff_id": staff_id, "report_id": report_id, "report": report, "now": now}
    Database(storage).execute(HandOutsSql.save_list_report, row)


def read_encoded_report(storage: ReadableStore, hand_out_id: UUID, report_id: UUID) -> bytes | None:
    """Return a report; None if a newer one is in its place."""
    rows = Database(storage).fetch_all(HandOutsSql.list_report, hand_out_id, report_id)
    return bytes(rows[0][0]) if rows else None
