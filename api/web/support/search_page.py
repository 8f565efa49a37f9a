"""Finding a code or a person by what a customer says. What was typed is never in an address, which logs may keep."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from api.errors import ApplicationError
from api.http.pagination import LATEST, cursor_of, place_of
from api.schemas.numbers import IN_DIGITS
from api.web.staff_auth.context import Desk
from api.web.staff_auth.rendering import language_of, support_page
from api.web.staff_auth.sessions import ActingViewer, Staff, SupportRoute, TheDesk, Viewer
from api.web.support.actions.unmask import unmasked_until
from api.web.support.balance_bar import picture_of
from api.web.support.search import SearchResult, find, find_request, tries_of
from api.web.support.view_models import card_view, masked, state_name
from domain.values.identifiers import NATIVE_LENGTH, TYPED_LENGTH_MAX, MalformedCodeError, is_native, normalize_code
from domain.values.trace_ids import is_trace_id
from projections.event_store.row_mapping import code_from_named_row
from projections.vault.vault import SUFFIX_LENGTH

PER_PAGE: Final = 25
NEWEST: Final = 2**62
"""Above every position of the log."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

router = APIRouter(prefix="/support", route_class=SupportRoute)


@router.get("")
async def home(
    request: Request,
    desk: TheDesk,
    staff: Viewer,
    before: Annotated[int | None, Query(ge=1, le=NEWEST), IN_DIGITS] = None,
) -> Response:
    """The search box, and the newest reservations below it."""
    return await _home(request, desk, staff, before=before)


@router.post("/search")
async def search(request: Request, desk: TheDesk, staff: ActingViewer, q: Annotated[str, Form()] = "") -> Response:
    """Go to what was meant; where that may be several things, choose; a request id is looked for last."""
    typed = q.strip()[:TYPED_LENGTH_MAX]
    hits = await desk.services.read(lambda: find(desk, typed, language_of(request)))
    if not hits:
        hits = await desk.services.read(lambda: find_request(desk, typed, NEWEST))
    if len(hits) == 1:
        return RedirectResponse(hits[0].path, 303, {"Cache-Control": "no-store"})
    return await _home(request, desk, staff, typed=typed, hits=hits, missed=None if hits else _missed(typed))


@router.post("/search/hits")
async def search_as_one_types(
    request: Request, desk: TheDesk, staff: ActingViewer, q: Annotated[str, Form()] = ""
) -> Response:
    """The same, as a part of the page. Nothing typed is in an address, which logs may keep."""
    typed = q.strip()[:TYPED_LENGTH_MAX]
    hits = await desk.services.read(lambda: find(desk, typed, language_of(request)))
    return support_page(request, "hits.html", staff, hits=hits)


@router.get("/people/{recipient_id}")
async def person(
    request: Request,
    desk: TheDesk,
    staff: Viewer,
    recipient_id: UUID,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """One person's reservations on all codes."""
    before, language = LATEST if cursor is None else place_of(cursor), language_of(request)

    def look() -> dict[str, Any]:
        places = desk.find.list_reservations_of_recipient(recipient_id, before, PER_PAGE + 1)
        cards = desk.find.list_summaries([place[1] for place in places[:PER_PAGE]])
        if not cards and cursor is None:
            raise ApplicationError("NOT_FOUND")
        now, address = desk.services.now(), desk.find.find_email_address(recipient_id)
        shown_until = unmasked_until(desk, staff, "unmasked_email", recipient_id, now)
        return {
            "cards": [card_view(card, now) for card in cards],
            "address": address if shown_until else masked(address),
            "path": None if address is None else f"/support/people/{recipient_id}",
            "shown_until": shown_until if address else None,
            "is_forgotten": done == "forgotten" and address is None,
            "tries": tries_of(desk, desk.find.list_digests(recipient_id), now, language),
            "next": cursor_of(*places[PER_PAGE - 1]) if len(places) > PER_PAGE else None,
        }

    return support_page(request, "person.html", staff, **await desk.services.read(look))


@router.get("/tries/{digest}")
async def tries(request: Request, desk: TheDesk, staff: Viewer, digest: str) -> Response:
    """Refused tries of an address that never reserved anything; the address itself is not in ours."""
    if not _DIGEST.fullmatch(digest):
        raise ApplicationError("NOT_FOUND")
    language, now = language_of(request), desk.services.now()
    found = await desk.services.read(lambda: tries_of(desk, [bytes.fromhex(digest)], now, language))
    if not found:
        raise ApplicationError("NOT_FOUND")
    return support_page(
        request,
        "person.html",
        staff,
        cards=[],
        address=None,
        tries=found,
        next=None,
        path=None,
        is_forgotten=False,
    )


@router.get("/codes")
async def codes_ending(
    request: Request,
    desk: TheDesk,
    staff: Viewer,
    ends: Annotated[str, Query(max_length=SUFFIX_LENGTH)] = "",
    after: UUID | None = None,
) -> Response:
    """Codes whose text ends with these letters; without any, the search."""
    if not ends:
        return RedirectResponse("/support", 303)
    language = language_of(request)

    def look() -> dict[str, Any]:
        ids = desk.find.find_codes_by_suffix(ends, after or UUID(int=0), PER_PAGE + 1) if ends.isprintable() else []
        now = desk.services.now()
        rows = [row for code_id in ids[:PER_PAGE] if (row := desk.find.find_balance(code_id)) is not None]
        codes = [code_from_named_row(row) for row in rows]
        return {
            "codes": [(code, picture_of(code), state_name(code, now, language)) for code in codes],
            "next": ids[PER_PAGE - 1] if len(ids) > PER_PAGE else None,
        }

    return support_page(request, "codes.html", staff, ends=ends, **await desk.services.read(look))


async def _home(
    request: Request,
    desk: Desk,
    staff: Staff,
    *,
    before: int | None = None,
    typed: str = "",
    hits: Sequence[SearchResult] = (),
    missed: str | None = None,
) -> Response:
    def look() -> dict[str, Any]:
        recent = desk.find.list_recent(before or NEWEST, PER_PAGE)
        now = desk.services.now()
        cards = [card_view(card, now) for card in desk.find.list_summaries(recent.ids)]
        return {"cards": cards, "next": recent.next_position, "waiting": desk.find.count_open_cases()}

    return support_page(
        request,
        "home.html",
        staff,
        status=404 if missed else 200,
        typed=typed,
        hits=hits,
        missed=missed,
        is_first=before is None,
        typed_length_max=TYPED_LENGTH_MAX,
        **await desk.services.read(look),
    )


def _missed(typed: str) -> str:
    """Why nothing was found, as the end of a key."""
    if not typed:
        return "empty"
    if "@" in typed:
        return "email"
    if is_trace_id(typed) and "-" not in typed:
        return "request"
    try:
        code = normalize_code(typed)
    except MalformedCodeError:
        return "other"
    return "typo" if len(code) == NATIVE_LENGTH and not is_native(code) else "other"
