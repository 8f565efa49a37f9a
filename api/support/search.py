"""Finding a code or a person by what a customer says. What was typed is never in an address, which logs may keep."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from api.history import code_of
from api.paging import cursor_of, place_of
from api.problems import ProblemError
from api.support.access import ActingViewer, Staff, SupportRoute, TheDesk, Viewer
from api.support.desk import Desk
from api.support.picture import picture_of
from api.support.rendering import language_of, support_page
from api.support.views import card_view, masked, state_name
from domain.values import NATIVE_LENGTH, TYPED_LENGTH_MAX, EmailAddress, MalformedEmailError, is_native, normal_code
from domain.values import MalformedCodeError as _Malformed
from projections.vault import HINT_LETTERS

PER_PAGE: Final = 25
NEWEST: Final = 2**62
"""Above every position of the log."""
LATEST: Final = (datetime(9999, 12, 31, tzinfo=UTC), UUID(int=2**128 - 1))
"""Above every reservation's time and id."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)

router = APIRouter(prefix="/support", route_class=SupportRoute)


@router.get("")
async def home(
    request: Request, desk: TheDesk, staff: Viewer, before: Annotated[int | None, Query(ge=1, le=NEWEST)] = None
) -> Response:
    """The search box, and the newest reservations below it."""
    return await _home(request, desk, staff, before=before)


@router.post("/search")
async def search(request: Request, desk: TheDesk, staff: ActingViewer, q: Annotated[str, Form()] = "") -> Response:
    """Go to what was meant: a code, a person, a reservation, or codes with these last letters."""
    typed = q.strip()[:TYPED_LENGTH_MAX]
    address = await desk.services.read(lambda: _address_of(desk, typed)) if typed else None
    if address is None:
        return await _home(request, desk, staff, typed=typed, missed=_missed(typed))
    return RedirectResponse(address, 303, {"Cache-Control": "no-store"})


@router.get("/people/{recipient_id}")
async def person(
    request: Request,
    desk: TheDesk,
    staff: Viewer,
    recipient_id: UUID,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """One person's reservations on all codes."""
    before = LATEST if cursor is None else place_of(cursor)

    def find() -> dict[str, Any]:
        places = desk.find.of_recipient(recipient_id, before, PER_PAGE + 1)
        cards = desk.find.cards([place[1] for place in places[:PER_PAGE]])
        if not cards and cursor is None:
            raise ProblemError("NOT_FOUND")
        now = desk.services.now()
        return {
            "cards": [card_view(card, now) for card in cards],
            "address": masked(desk.find.recipient_address(recipient_id)),
            "next": cursor_of(*places[PER_PAGE - 1]) if len(places) > PER_PAGE else None,
        }

    return support_page(request, "person.html", staff, **await desk.services.read(find))


@router.get("/codes")
async def codes_ending(
    request: Request,
    desk: TheDesk,
    staff: Viewer,
    ends: Annotated[str, Query(max_length=HINT_LETTERS)] = "",
    after: UUID | None = None,
) -> Response:
    """Codes whose text ends with these letters."""
    language = language_of(request)

    def find() -> dict[str, Any]:
        ids = desk.find.codes_ending(ends, after or UUID(int=0), PER_PAGE + 1) if ends.isprintable() else []
        now = desk.services.now()
        rows = [row for code_id in ids[:PER_PAGE] if (row := desk.find.code(code_id)) is not None]
        codes = [code_of(row) for row in rows]
        return {
            "codes": [(code, picture_of(code), state_name(code, now, language)) for code in codes],
            "next": ids[PER_PAGE - 1] if len(ids) > PER_PAGE else None,
        }

    return support_page(request, "codes.html", staff, ends=ends, **await desk.services.read(find))


async def _home(
    request: Request,
    desk: Desk,
    staff: Staff,
    *,
    before: int | None = None,
    typed: str = "",
    missed: str | None = None,
) -> Response:
    def find() -> dict[str, Any]:
        recent = desk.find.recent(before or NEWEST, PER_PAGE)
        now = desk.services.now()
        return {"cards": [card_view(card, now) for card in desk.find.cards(recent.ids)], "next": recent.next}

    found = await desk.services.read(find)
    status = 404 if missed else 200
    return support_page(
        request,
        "home.html",
        staff,
        status=status,
        typed=typed,
        missed=missed,
        is_first=before is None,
        typed_length_max=TYPED_LENGTH_MAX,
        **found,
    )


def _address_of(desk: Desk, typed: str) -> str | None:
    """The page of what was typed; None if there is none."""
    if (number := _UUID.search(typed)) is not None:  # alone, in a link, or as the beginning of a Message-ID
        return _page_of_id(desk, UUID(number[0]))
    if "@" in typed:
        try:
            recipient_id = desk.find.recipient_of(EmailAddress.parse(typed))
        except MalformedEmailError:
            return None
        return f"/support/people/{recipient_id}" if recipient_id else None
    if (code_id := desk.find.find_code(typed)) is not None:
        return f"/support/codes/{code_id}"
    return _page_of_hint(desk, typed)


def _page_of_id(desk: Desk, found: UUID) -> str | None:
    if desk.find.code_of_reservation(found) is not None:
        return f"/support/reservations/{found}"
    return f"/support/codes/{found}" if desk.statements.head(found) else None


def _page_of_hint(desk: Desk, typed: str) -> str | None:
    """The only code with this ending, or the list of them."""
    try:
        ending = normal_code(typed)
    except _Malformed:
        return None
    if len(ending) > HINT_LETTERS:
        return None
    ids = desk.find.codes_ending(ending, UUID(int=0), 2)
    if len(ids) == 1:
        return f"/support/codes/{ids[0]}"
    return f"/support/codes?{urlencode({'ends': ending})}" if ids else None


def _missed(typed: str) -> str:
    """Why nothing was found, as the end of a key."""
    if not typed:
        return "empty"
    if "@" in typed:
        return "email"
    try:
        code = normal_code(typed)
    except _Malformed:
        return "other"
    return "typo" if len(code) == NATIVE_LENGTH and not is_native(code) else "other"
