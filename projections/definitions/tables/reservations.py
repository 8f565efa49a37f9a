"""`reservations`: one row for each reservation, with the versions of its events."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from domain.model.reservation import Reservation
from projections.definitions.projection import EventPlace, Row, StateProjection
from projections.sql.table import Table

TABLE: Final = Table(
    "reservations",
    key=("reservation_id",),
    columns={
        "reservation_id": "uuid",
        "code_id": "uuid",
        "recipient_id": "uuid",
        "versions": "bigint[]",
        "status": "text",
        "kind": "text",
        "reserved_at": "timestamptz",
        "deadline": "timestamptz",
        "due_at": "timestamptz",
        "lease_until": "timestamptz",
        "delivery": "smallint",
        "attempts": "smallint",
        "ever_unknown": "boolean",
        "case_id": "uuid",
        "follows": "uuid",
        "sent_at": "timestamptz",
        "accepted_at": "timestamptz",
        "refunded_at": "timestamptz",
        "refund_cause": "text",
        "access_due_at": "timestamptz",
        "is_deferred": "boolean",
    },
    fixed=("code_id", "recipient_id", "kind", "reserved_at", "follows"),
)
_SAME_NAME: Final = [column for column in TABLE.columns if column != "lease_until"]


class Reservations(StateProjection):
    """One row for each reservation."""

    table = TABLE
    state = Reservation

    def row(self, state: Reservation) -> Row:
        """Return the row of a reservation, value by value: a rebuild makes millions of them."""
        return (
            state.reservation_id,
            state.code_id,
            state.recipient_id,
            state.versions,
            state.status,
            state.kind,
            state.reserved_at,
            state.deadline,
            state.due_at,
            None if state.lease is None else state.lease.until,
            state.delivery,
            state.attempts,
            state.ever_unknown,
            state.case_id,
            state.follows,
            state.sent_at,
            state.accepted_at,
            state.refunded_at,
            state.refund_cause,
            state.access_due_at,
            state.is_deferred,
        )

    def explain(self, row: Mapping[str, Any]) -> EventPlace:
        """Return the newest of the row's events."""
        return UUID(row["code_id"]), row["versions"][-1]


PROJECTION: Final = Reservations()
