"""Reading reservations: a list by cursor, and one with all that is told of it."""

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
from domain.model.reservation import PublicState, Reservation, fold_reservation
from projections.read_models.pagination import OLDEST
from projections.read_models.reservation_list import ReservationListEntry, ReservationListReader

PAGE_MAX = 200
STRETCH = 2_000
"""Reservations that are looked through for one page of a filtered list."""

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/reservations",
    tags=["reservations"],
    responses=PROTECTED,
)


class ReservationView(BaseModel):
    """A reservation as integrators see it; who it is for is an id without a name.

    `detail_code`: why it was given back. `follows`: the reservation that it continues, where one does.
    """

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
    """A page of reservations in the order in which they were made; `next` is the cursor of the following page."""

    reservations: list[ReservationView]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationFilter:
    """Which reservations a list is asked for."""

    code_id: Annotated[UUID | None, Query(description="Of one code.")] = None
    status: Annotated[
        Literal["live", "sent", "refunded"] | None, Query(description="live: neither sent nor given back.")
    ] = None
    reserved_from: Annotated[Timestamp | None, Query(description="Made at this time or later.")] = None
    reserved_to: Annotated[Timestamp | None, Query(description="Made before this time.")] = None


@router.get("", summary="List reservations in the order in which they were made")
def list_reservations(
    services: TheServices,
    _: MayReadReservations,
    wish: Annotated[ReservationFilter, Depends()],
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX), IN_DIGITS] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> ReservationPage:
    """One page. `next` of the answer is the cursor of the following page.

    With a status a page looks through 2,000 reservations at most: it may be short, or empty, and still have a `next`.
    """
    place = max(parse_cursor(cursor), (wish.reserved_from or OLDEST[0], OLDEST[1]))
    wanted = STRETCH if wish.status else limit + 1
    rows = ReservationListReader(services.storage).list_page(place, wanted, wish.code_id)
    stretch = _picked(rows, wish, limit, is_full=len(rows) == wanted)
    histories = services.reader.read_reservation_events(stretch.page)
    views = [
        view_of_reservation(fold_reservation(histories[key].code_id, histories[key].events))
        for key in stretch.page
        if key in histories
    ]
    return ReservationPage(reservations=views, next=stretch.next)


@router.get("/{reservation_id}", responses=problem_responses("NOT_FOUND"), summary="One reservation")
def one_reservation(reservation_id: UUID, services: TheServices, _: MayReadReservations) -> ReservationView:
    """How it stands. Whose it is, only its page at the desk tells."""
    return view_of_reservation(services.reservation(reservation_id))


def view_of_reservation(item: Reservation) -> ReservationView:
    """A reservation as integrators see it."""
    return ReservationView(
        reservation_id=item.reservation_id,
        code_id=item.code_id,
        recipient_id=item.recipient_id,
        state=item.public_state,
        kind=item.kind,
        detail_code=item.refund_cause,
        reserved_at=item.reserved_at,
        deadline=item.deadline,
        attempts=item.attempts,
        sent_at=item.sent_at,
        accepted_at=item.accepted_at,
        refunded_at=item.refunded_at,
        follows=item.follows,
        group=item.group,
    )


def _picked(
    found: list[ReservationListEntry], wish: ReservationFilter, limit: int, *, is_full: bool
) -> BoundedPage[UUID]:
    stretch: BoundedPage[UUID] = BoundedPage(limit, is_full=is_full)
    for row in found:
        if wish.reserved_to is not None and row.reserved_at >= wish.reserved_to:
            stretch.end()
            break
        is_asked_for = wish.status in {None, row.status}
        if not stretch.take(row.reservation_id if is_asked_for else None, (row.reserved_at, row.reservation_id)):
            break
    return stretch
