"""Read reservations: a list by cursor, and one by its id."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayReadReservations, TheServices
from api.http.openapi import PROTECTED, problem_responses
from api.http.pagination import BoundedPage, parse_cursor
from api.schemas.numbers import IN_DIGITS
from api.schemas.timestamps import Timestamp
from domain.model.reservation import PublicState, Reservation
from domain.model.reservation_transitions import fold_reservation
from projections.read_models.pagination import OLDEST
from projections.read_models.reservation_list import ReservationListEntry, ReservationListReader

PAGE_MAX = 200
SCAN_LIMIT = 2_000
"""Most reservations that one page of a filtered list reads."""

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


@router.get("", summary="List reservations, oldest first")
def list_reservations(
    services: TheServices,
    _: MayReadReservations,
    reservation_filter: Annotated[ReservationFilter, Depends()],
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX), IN_DIGITS] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> ReservationPage:
    """Returns one page. `next` is the cursor of the next page.

    With a status, a page scans at most 2,000 reservations: it may be short or empty and still have a `next`.
    """
    place = max(parse_cursor(cursor), (reservation_filter.reserved_from or OLDEST[0], OLDEST[1]))
    row_limit = SCAN_LIMIT if reservation_filter.status else limit + 1
    rows = ReservationListReader(services.storage).list_page(place, row_limit, reservation_filter.code_id)
    page = _picked(rows, reservation_filter, limit, is_full=len(rows) == row_limit)
    histories = services.reader.read_reservation_events(page.page)
    views = [
        view_of_reservation(fold_reservation(histories[key].code_id, histories[key].events))
        for key in page.page
        if key in histories
    ]
    return ReservationPage(reservations=views, next=page.next)


@router.get("/{reservation_id}", responses=problem_responses("NOT_FOUND"), summary="Get a reservation")
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


def _picked(
    rows: list[ReservationListEntry], reservation_filter: ReservationFilter, limit: int, *, is_full: bool
) -> BoundedPage[UUID]:
    page: BoundedPage[UUID] = BoundedPage(limit, is_full=is_full)
    for row in rows:
        if reservation_filter.reserved_to is not None and row.reserved_at >= reservation_filter.reserved_to:
            page.end()
            break
        is_asked_for = reservation_filter.status in {None, row.status}
        if not page.take(row.reservation_id if is_asked_for else None, (row.reserved_at, row.reservation_id)):
            break
    return page
