"""`cases`: one row for each item of the manual review queue, open or closed."""

from collections.abc import Iterable
from typing import Final

from domain.events.reservation import CaseClosed, CaseOpened
from domain.working_set import Recorded
from projections.definitions.projection import Merge, Projection, Row
from projections.sql.table import Table

TABLE: Final = Table(
    "cases",
    key=("case_id",),
    columns={
        "case_id": "uuid",
        "code_id": "uuid",
        "reservation_id": "uuid",
        "delivery": "smallint",
        "cause": "text",
        "opened_at": "timestamptz",
        "closed_at": "timestamptz",
        "closed_how": "text",
    },
)
_OPENED_AT: Final = list(TABLE.columns).index("opened_at")


class Cases(Projection):
    """A row when a case is opened, completed when it is closed."""

    table = TABLE
    merge = Merge.COMPLETE
    state = None
    events = frozenset({CaseOpened, CaseClosed})
    explanation_query = """
        SELECT e.originator_id, max(e.originator_version)
        FROM reservations r
        JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
        WHERE r.reservation_id = %(reservation_id)s
            AND (position(uuid_send(%(case_id)s::uuid) IN e.state) > 0
                OR position(convert_to(%(case_id)s::text, 'UTF8') IN e.state) > 0)
        GROUP BY e.originator_id
    """

    def apply(self, before: None, recorded: Recorded, after: None) -> Iterable[Row]:
        """Return the row of an opened case, or the columns that its end sets."""
        del before, after
        event = recorded.event
        if isinstance(event, CaseOpened):
            yield TABLE.row(
                case_id=event.case_id,
                code_id=recorded.originator_id,
                reservation_id=event.reservation_id,
                delivery=event.delivery,
                cause=event.cause,
                opened_at=event.at,
            )
        elif isinstance(event, CaseClosed):
            yield TABLE.row(case_id=event.case_id, closed_at=event.at, closed_how=event.how)

    def is_whole(self, row: Row) -> bool:
        """Return whether it is the row of an opened case."""
        return row[_OPENED_AT] is not None


PROJECTION: Final = Cases()
