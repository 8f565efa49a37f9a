"""`handed_out_codes`: one row for each code that a hand-out issued, with the outcome of its newest email."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from domain.events.hand_out import (
    CodeHandedOut,
    HandedOutCodeEvent,
    HandOutBounced,
    HandOutFailed,
    HandOutReminded,
    HandOutResendRequested,
    HandOutSent,
    HandOutSkipped,
    HandOutUnknown,
)
from domain.model.hand_out import HandedOutCode, changes_of
from domain.working_set import Recorded
from projections.definitions.projection import EventPlace, Merge, Projection, Row
from projections.sql.table import Table

TABLE: Final = Table(
    "handed_out_codes",
    key=("code_id",),
    columns={
        "code_id": "uuid",
        "hand_out_id": "uuid",
        "recipient_id": "uuid",
        "mail": "smallint",
        "mail_state": "text",
        "reminder": "smallint",
        "version": "bigint",
        "handed_out_at": "timestamptz",
        "changed_at": "timestamptz",
        "codes": "smallint",
        "line_id": "uuid",
    },
)
_HANDED_OUT_AT: Final = list(TABLE.columns).index("handed_out_at")
_STATE_COLUMNS: Final = HandedOutCode.__struct_fields__


class HandedOutCodes(Projection):
    """A row when a code is handed out, completed by what becomes of its emails."""

    table = TABLE
    merge = Merge.COMPLETE
    state = None
    events = frozenset(
        {
            CodeHandedOut,
            HandOutSent,
            HandOutFailed,
            HandOutUnknown,
            HandOutSkipped,
            HandOutBounced,
            HandOutResendRequested,
            HandOutReminded,
        }
    )

    def apply(self, before: None, recorded: Recorded, after: None) -> Iterable[Row]:
        """Return the row of a code that was handed out, or the columns that its next event sets."""
        del before, after
        event = recorded.event
        if isinstance(event, HandedOutCodeEvent):
            yield TABLE.row(
                code_id=recorded.originator_id,
                version=recorded.originator_version,
                handed_out_at=event.at if isinstance(event, CodeHandedOut) else None,
                changed_at=event.at,
                **changes_of(event),
            )

    def explain(self, row: Mapping[str, Any]) -> EventPlace:
        """Return the event of the row's version."""
        return UUID(row["code_id"]), row["version"]

    def is_whole(self, row: Row) -> bool:
        """Return whether it is the row of a code that was handed out now."""
        return row[_HANDED_OUT_AT] is not None

    def read_back(self, row: Sequence[Any]) -> HandedOutCode:
        """Return the state that a row was made of, from the values in the order of its columns."""
        values = dict(zip(TABLE.columns, row, strict=True))
        return HandedOutCode(**{name: values[name] for name in _STATE_COLUMNS})


PROJECTION: Final = HandedOutCodes()
