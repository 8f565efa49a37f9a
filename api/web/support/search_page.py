"""The search of the support console. What was typed is never in a URL, which logs may keep."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from api.http.pagination import Page, count_list, format_cursor, parse_cursor
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, Viewer, ViewerWithForm, set_cookie
from api.web.staff_auth.staff import Staff
from api.web.support.charts import draw_balance_bar
from api.web.support.search import SearchResult, search, search_request_id
from api.web.support.view_models import build_cards, name_code_state
from api.web.support.wide_search import search_widely, wait_for_part_searches_s
from domain.values.identifiers import NATIVE_LENGTH, MalformedCodeError, is_native, normalize_code
from domain.values.trace_ids import is_trace_id
from projections.definitions.tables.code_balances import code_from_named_row
from projections.read_models.pagination import NEWEST
from projections.vault.vault import SUFFIX_LENGTH, SealBrokenError

PER_PAGE: Final = 25
SEARCHED_LENGTH_MAX: Final = 30_000
"""Longest text that is searched: a receipt of a reservation with many events."""
REMEMBERED_S: Final = 900
"""Seconds for which *Back* shows the results of a search."""
REMEMBERED_BYTES_MAX: Final = 2_000
"""Longest text that a cookie can hold, encrypted; browsers keep 4,096 bytes (RFC 6265, section 6.1)."""
SEARCH_COOKIE: Final = "ledger_search"
NEWEST_POSITION: Final = 2**62
"""Above every position of the log."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

router = APIRouter(prefix="/support", route_class=SupportRoute)


@router.get("")
def show_home(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Show the search box, and the newest reservations below it."""
    return _render_home(request, support, staff, cursor=cursor)


@router.post("/search")
def search_and_open(
    request: Request, support: SupportContextDep, staff: ViewerWithForm, q: Annotated[str, Form()] = ""
) -> Response:
    """Open the only certain result, or lead to the list of what the text may mean.

    The list is a separate page, so that *Back* comes to it. Its URL has a random id, and the browser keeps the text,
    encrypted, in a cookie for that URL.
    """
    typed = q.strip()[:SEARCHED_LENGTH_MAX]
    results = search(support, typed, get_language(request))
    if len(results) == 1 and results[0].is_certain:
        return see_other(results[0].path)
    if len(typed.encode(errors="replace")) > REMEMBERED_BYTES_MAX:
        return _render_results(request, support, staff, typed)
    search_id = support.services.new_id()
    sealed = support.services.storage.vault.seal("text", search_id, typed)
    response = see_other(f"/support/search/{search_id}")
    value = f"{sealed.key_id}.{urlsafe_b64encode(sealed.sealed).decode()}"
    set_cookie(request, response, SEARCH_COOKIE, value, REMEMBERED_S, path=f"/support/search/{search_id}")
    return response


@router.get("/search/{search_id}")
def show_results(request: Request, support: SupportContextDep, staff: Viewer, search_id: UUID) -> Response:
    """List what was searched for, with reasons; the search box, if the browser no longer has the text."""
    key_id, _, sealed = request.cookies.get(SEARCH_COOKIE, "").partition(".")
    try:
        typed = support.services.storage.vault.open_text(search_id, urlsafe_b64decode(sealed), int(key_id))
    except (ValueError, SealBrokenError):
        return see_other("/support")
    return _render_results(request, support, staff, typed)


@router.post("/search/hits")
def search_as_you_type(
    request: Request, support: SupportContextDep, staff: ViewerWithForm, q: Annotated[str, Form()] = ""
) -> Response:
    """Show the results as a part of the page. Nothing typed is in a URL, which logs may keep."""
    typed = q.strip()[:SEARCHED_LENGTH_MAX]
    results = search(support, typed, get_language(request))
    return support_page(request, "search_results.html", staff, results=results)


@router.get("/codes")
def list_codes_by_suffix(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    ends: Annotated[str, Query(max_length=SUFFIX_LENGTH)] = "",
    after: UUID | None = None,
) -> Response:
    """List codes with this suffix; without one, show the search."""
    if not ends:
        return see_other("/support")
    language = get_language(request)
    ids = support.reader.find_codes_by_suffix(ends, after or UUID(int=0), PER_PAGE + 1) if ends.isprintable() else []
    now = support.services.now()
    page = Page.of(ids, PER_PAGE, lambda code_id: code_id)
    rows = [row for code_id in page.rows if (row := support.reader.find_balance(code_id)) is not None]
    codes = [code_from_named_row(row) for row in rows]
    return support_page(
        request,
        "codes.html",
        staff,
        ends=ends,
        codes=[(code, draw_balance_bar(code), name_code_state(code, now, language)) for code in codes],
        next=page.next,
    )


def _render_results(request: Request, support: SupportContext, staff: Staff, typed: str) -> Response:
    language = get_language(request)
    results, is_limited = search(support, typed, language), wait_for_part_searches_s(support, staff) > 0
    if not results:
        results = search_request_id(support, typed, NEWEST_POSITION) or search_widely(support, staff, typed, language)
    if len(results) == 1 and results[0].is_certain:
        return see_other(results[0].path)
    miss_reason = None if results else _explain_miss(typed, is_limited=is_limited)
    return _render_home(request, support, staff, typed=typed, results=results, miss_reason=miss_reason)


def _render_home(
    request: Request,
    support: SupportContext,
    staff: Staff,
    *,
    cursor: str | None = None,
    typed: str = "",
    results: Sequence[SearchResult] = (),
    miss_reason: str | None = None,
) -> Response:
    rows = support.reader.list_newest_reservations(parse_cursor(cursor, NEWEST), PER_PAGE + 1)
    page = Page.of(rows, PER_PAGE, lambda row: format_cursor(*row))
    now = support.services.now()
    cards = build_cards(support.reader, support.reader.list_summaries([row[1] for row in page.rows]), now)
    return support_page(
        request,
        "home.html",
        staff,
        status=404 if miss_reason else 200,
        typed=typed,
        results=results,
        miss_reason=miss_reason,
        is_first=cursor is None,
        typed_length_max=SEARCHED_LENGTH_MAX,
        cards=cards,
        total=count_list(support.services.storage, "reservation_list", page, is_first=cursor is None),
        next=page.next,
        waiting=support.reader.count_open_cases(),
    )


def _explain_miss(typed: str, *, is_limited: bool) -> str:
    """Return why nothing was found, as the end of a key."""
    if not typed:
        return "empty"
    if typed.startswith("{"):
        return "receipt"
    if "@" in typed:
        return "email"
    if is_trace_id(typed) and "-" not in typed:
        return "request"
    try:
        code = normalize_code(typed)
    except MalformedCodeError:
        return "other"
    if len(code) == NATIVE_LENGTH and not is_native(code):
        return "typo"
    return "limited" if is_limited else "other"
