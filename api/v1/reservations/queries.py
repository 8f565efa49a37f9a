"""Read reservations: a list by cursor, and one by its id."""

from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayReadReservations, TheServices
from api.http.offered_reads import offer_as_tool
from api.http.openapi import PROTECTED, problem_responses
from api.http.pagination import fill_page, format_cursor, parse_cursor
from api.schemas.numbers import IN_DIGITS
from api.schemas.timestamps import Timestamp
from domain.model.reservation import PublicState, Reservation
from domain.model.reservation_transitions import fold_reservation
from projections.read_models.pagination import OLDEST, ListCursor
from projections.read_models.reservation_list import ReservationListEntry, read_reservation_page

PAGE_MAX = 200

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/reservations",
    tags=["reservations"],
    responses=PROTECTED,
)


class ReservationView(BaseModel):
    """A reservation, as integrators see it. The recipient is an ID without a name."""

    reservation_id: UUID
    code_id: UUID
    recipient_id: UUID
    state: PublicState
    kind: str
    detail_code: str | None
    reserved_at: datetime
    deadline: datetime
    attempts: int
    sent_at: datetime | None
    accepted_at: datetime | None
    refunded_at: datetime | None
    follows: UUID | None
    group: str | None


class ReservationPage(BaseModel):
    """A page of reservations, oldest first."""

    reservations: list[ReservationView]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationFilter:
    """The filter of a list of reservations."""

    code_id: Annotated[UUID | None, Query(description="Only reservations of this code.")] = None
    status: Annotated[
        Literal["live", "sent", "refunded"] | None,
        Query(description="Only reservations in this state; `live`: pending, that is, neither sent nor refunded."),
    ] = None
    reserved_from: Annotated[Timestamp | None, Query(description="Only reservations made at this time or later.")] = (
        None
    )
    reserved_to: Annotated[Timestamp | None, Query(description="Only reservations made before this time.")] = None

    def is_before_end(self, row: ReservationListEntry) -> bool:
        """Return whether a reservation was made before the end of the time range."""
        return self.reserved_to is None or row.reserved_at < self.reserved_to


@router.get("", summary="List reservations, oldest first")
@offer_as_tool()
def list_reservations(
    services: TheServices,
    _: MayReadReservations,
    reservation_filter: Annotated[ReservationFilter, Depends()],
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX), IN_DIGITS] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> ReservationPage:
    """Returns one page. `next` is the cursor of the next page.

    With a status, a page scans about 50,000 reservations at most: if too few of them match, it is short or empty and
    still has a `next`.
    """
    start = max(parse_cursor(cursor), (reservation_filter.reserved_from or OLDEST[0], OLDEST[1]))

    def read(after: ListCursor, number: int) -> list[ReservationListEntry]:
        rows = read_reservation_page(services.storage, after, number, reservation_filter.code_id)
        return list(takewhile(reservation_filter.is_before_end, rows))

    page = fill_page(
        read,
        lambda row: row.reservation_id if reservation_filter.status in {None, row.status} else None,
        lambda row: (row.reserved_at, row.reservation_id),
        start,
        limit,
    )
    histories = services.reader.read_reservation_events(page.rows)
    views = [
        view_of_reservation(fold_reservation(histories[key].code_id, histories[key].events))
        for key in page.rows
        if key in histories
    ]
    return ReservationPage(reservations=views, next=page.next and format_cursor(*page.next))


@router.get("/{reservation_id}", responses=problem_responses("NOT_FOUND"), summary="Get a reservation")
@offer_as_tool()
def one_reservation(reservation_id: UUID, services: TheServices, _: MayReadReservations) -> ReservationView:
    """Returns the state of a reservation. Only the support console shows the recipient."""
    return view_of_reservation(services.reservation(reservation_id))


def view_of_reservation(reservation: Reservation) -> ReservationView:
    """Return a reservation as integrators see it."""
    return ReservationView(
        reservation_id=reservation.reservation_id,
        code_id=reservation.code_id,
        recipient_id=reservation.recipient_id,
        state=reservation.public_state,
        kind=reservation.kind,
        detail_code=reservation.refund_cause,
        reserved_at=reservation.reserved_at,
        deadline=reservation.deadline,
        attempts=reservation.attempts,
        sent_at=reservation.sent_at,
        accepted_at=reservation.accepted_at,
        refunded_at=reservation.refunded_at,
        follows=reservation.follows,
        group=reservation.group,
    )
