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
        "reserved_at": "timestamptz",
        "deadline": "timestamptz",
        "due_at": "timestamptz",
        "lease_until": "timestamptz",
        "sent_at": "timestamptz",
        "accepted_at": "timestamptz",
        "refunded_at": "timestamptz",
        "access_due_at": "timestamptz",
        "case_id": "uuid",
        "follows": "uuid",
        "delivery": "smallint",
        "attempts": "smallint",
        "ever_unknown": "boolean",
        "is_deferred": "boolean",
        "versions": "bigint[]",
        "status": "text",
        "kind": "text",
        "refund_cause": "text",
    },
    fixed=("code_id", "recipient_id", "kind", "reserved_at", "follows"),
)


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
            state.reserved_at,
            state.deadline,
            state.due_at,
            None if state.lease is None else state.lease.until,
            state.sent_at,
            state.accepted_at,
            state.refunded_at,
            state.access_due_at,
            state.case_id,
            state.follows,
            state.delivery,
            state.attempts,
            state.ever_unknown,
            state.is_deferred,
            state.versions,
            state.status,
            state.kind,
            state.refund_cause,
        )

    def explain(self, row: Mapping[str, Any]) -> EventPlace:
        """Return the newest of the row's events."""
        return UUID(row["code_id"]), row["versions"][-1]


PROJECTION: Final = Reservations()
