"""`hand_outs`: one row for each hand-out of a campaign's codes, with its state.

Its first event has its terms, and the event of `rate_version`, if there is one, has its rate. `starts_at` is the start
that was planned last: it counts in the state `scheduled` only.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from domain.events.hand_out import (
    HandOutChanged,
    HandOutCreated,
    HandOutEnded,
    HandOutEvent,
    HandOutPaused,
    HandOutResumed,
)
from domain.model.hand_out import state_after
from domain.working_set import Recorded
from projections.definitions.projection import EventPlace, Merge, Projection, Row
from projections.sql.table import Table

TABLE: Final = Table(
    "hand_outs",
    key=("hand_out_id",),
    columns={
        "hand_out_id": "uuid",
        "campaign_id": "uuid",
        "created_version": "bigint",
        "version": "bigint",
        "created_at": "timestamptz",
        "changed_at": "timestamptz",
        "state": "text",
        "rate_version": "bigint",
        "starts_at": "timestamptz",
    },
)
_CREATED_AT: Final = list(TABLE.columns).index("created_at")


class HandOuts(Projection):
    """A row when a hand-out is created, completed when its state changes."""

    table = TABLE
    merge = Merge.COMPLETE
    state = None
    events = frozenset({HandOutCreated, HandOutChanged, HandOutPaused, HandOutResumed, HandOutEnded})
    code_column = "campaign_id"

    def apply(self, before: None, recorded: Recorded, after: None) -> Iterable[Row]:
        """Return the row of a new hand-out, or the columns that a change sets."""
        del before, after
        event = recorded.event
        if not isinstance(event, HandOutEvent):
            return
        columns: dict[str, object] = {}
        if isinstance(event, HandOutCreated):
            columns = {"created_version": recorded.originator_version, "created_at": event.at}
        elif isinstance(event, HandOutChanged):
            columns = {"rate_version": recorded.originator_version}
        elif isinstance(event, HandOutResumed):
            columns = {"starts_at": event.starts_at}
        yield TABLE.row(
            hand_out_id=event.hand_out_id,
            campaign_id=recorded.originator_id,
            version=recorded.originator_version,
            changed_at=event.at,
            state=state_after(event),
            **columns,
        )

    def explain(self, row: Mapping[str, Any]) -> EventPlace:
        """Return the event of the row's version."""
        return UUID(row["campaign_id"]), row["version"]

    def is_whole(self, row: Row) -> bool:
        """Return whether it is the row of a new hand-out."""
        return row[_CREATED_AT] is not None


PROJECTION: Final = HandOuts()
