"""The stream of an open history: the page's parts, rendered again after each new event, as server-sent events."""

import time
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Annotated, Final
from uuid import UUID

import orjson
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from api.auth.session_cookies import COOKIE, digest_of
from api.errors import ApplicationError
from api.http.server.stream_slots import SlotStreamingResponse, StreamSlots
from api.schemas.numbers import IN_DIGITS
from api.web.forms import VERSION_MAX
from api.web.rendering import render_part
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, Viewer
from api.web.staff_auth.staff import Staff
from api.web.support.code_page import build_code_view
from api.web.support.history.history_watch import HistoryView, HistoryViewer, HistoryWatch, News
from api.web.support.statement_query import StatementParams

STREAM_S_MAX: Final = 300
"""Longest time of a stream in seconds; browsers then connect again."""
BEAT_S: Final = 15
"""Longest time in seconds without a comment, so that proxies do not close the connection."""
RETRY_MS: Final = 3_000

router = APIRouter(prefix="/support/codes", route_class=SupportRoute)
Version = Annotated[int, Query(ge=0, le=VERSION_MAX), IN_DIGITS]


class SupportSource:
    """News from the pages of the support console, without anything that belongs to one member of staff."""

    def __init__(self, support: SupportContext) -> None:
        self._support = support

    def read_versions(self, code_ids: Collection[UUID]) -> Mapping[UUID, int]:
        """Return the version of each code's newest event."""
        return self._support.statements.find_newest_versions(code_ids)

    def read_roles(self, sessions: Collection[bytes]) -> Mapping[bytes, str]:
        """Return the role of each of these sessions that has not ended."""
        return self._support.sessions.find_roles(sessions, self._support.services.now())

    def render(self, view: HistoryView) -> News:
        """Return the page of a member of staff with this role, but for what is of one person: forms, saved filters."""
        reader = Staff(staff_id=UUID(int=0), role=view.role, address="", form_token="")
        context = build_code_view(self._support, view.query, reader, view.language)
        text = render_part("support/code.html", view.language, staff=reader, done=None, nonce="", **context)
        return News(context["head"], text)


@router.get("/{code_id}/stream")
async def stream_history(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    code_id: UUID,
    params: Annotated[StatementParams, Query()],
    after: Version = 0,
    seconds: Annotated[int, Query(ge=1, le=STREAM_S_MAX), IN_DIGITS] = STREAM_S_MAX,
    last_event_id: Annotated[int | None, Header(ge=0, le=VERSION_MAX), IN_DIGITS] = None,
) -> StreamingResponse:
    """Send the page's parts when there are new events after a version. A session that ends also ends the stream."""
    query = params.to_query(code_id)
    if not query.is_live:
        raise ApplicationError("MALFORMED")
    if await support.services.run_blocking(support.statements.find_newest_version, code_id) == 0:
        raise ApplicationError("NOT_FOUND")
    slots: StreamSlots = request.app.state.viewers
    view = HistoryView(query, staff.role, get_language(request))
    session = digest_of(request.cookies[COOKIE])
    start = after if last_event_id is None else last_event_id
    return SlotStreamingResponse(
        slots.acquire(), _stream(request.app.state.history_watch, view, session, start, seconds)
    )


async def _stream(
    watch: HistoryWatch, view: HistoryView, session: bytes, after: int, seconds: int
) -> AsyncIterator[bytes]:
    until = time.monotonic() + min(seconds, STREAM_S_MAX)
    with watch.join(view, session, after) as viewer:
        yield b"retry: %d\n\n" % RETRY_MS
        while (left := until - time.monotonic()) > 0:
            yield await _next_message(viewer, min(left, BEAT_S))
            if viewer.has_ended:
                return


async def _next_message(viewer: HistoryViewer, seconds: float) -> bytes:
    news = await viewer.wait(seconds)
    if viewer.has_ended:
        return b"event: ended\ndata: {}\n\n"
    if news is None:
        return b": nothing new\n\n"
    return b"id: %d\nevent: news\ndata: %s\n\n" % (news.version, orjson.dumps(news.text))
