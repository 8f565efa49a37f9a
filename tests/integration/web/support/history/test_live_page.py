"""An open history is sent new events: to all who may read it, at the cost of one, until the session ends."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from starlette.datastructures import State

from api.auth.session_cookies import COOKIE, digest_of
from api.http.server.stream_slots import HISTORY_VIEWERS_MAX
from api.web.support.history import history_watch, live_page
from api.web.support.history.history_watch import HistoryView, HistoryWatch, News
from api.web.support.history.live_page import SupportSource
from api.web.support.statement_query import StatementParams
from tests.support.clients.app_client import AppClient
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff, code_id_of
from tests.support.ledger.code_template import make_template
from tests.support.waiting import WAIT_S_MAX

SignIn = Callable[[str], StaffBrowser]


@pytest.fixture(autouse=True)
def short_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_page, "STREAM_S_MAX", 1)
    monkeypatch.setattr(history_watch, "LOOK_S", 0.05)
    monkeypatch.setattr(history_watch, "SESSIONS_S", 0)


def state_of(app: AppClient) -> State:
    state: State = app.client.app.state  # type: ignore[attr-defined]  # Starlette types it as any ASGI application
    return state


def read_stream(browser: StaffBrowser, path: str) -> list[dict[str, str]]:
    answer = browser.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    return [dict(line.split(": ", 1) for line in part.split("\n")) for part in answer.text.strip().split("\n\n")]


@pytest.fixture
def code_id(app: AppClient) -> UUID:
    code = app.issue(make_template(max_uses=9, bound=False))
    for number in range(2):
        app.redeem(code, f"live{number}@example.com")
    return code_id_of(app, code)


def test_stream_has_the_page_of_the_role_without_personal_parts(sign_in: SignIn, code_id: UUID) -> None:
    browser = sign_in("support")
    browser.submit(f"/support/codes/{code_id}/views", name="my view")
    first, news = read_stream(browser, f"/support/codes/{code_id}/stream?after=1&level=noise")[:2]
    viewer_news = read_stream(sign_in("viewer"), f"/support/codes/{code_id}/stream?after=2")[1]
    page, part = browser.get(f"/support/codes/{code_id}?level=noise").text, json.loads(news["data"])

    assert first == {"retry": "3000"}
    assert (news["event"], news["id"]) == ("news", "3")
    assert "my view" in page
    assert "my view" not in part
    assert browser.token() in page
    assert browser.token() not in part
    assert "support@staff.example.com" not in part
    for pattern in (r'<ol class="lines" id="flat">.*?</ol>', r'<dl class="figures".*?</dl>', r'id="offered".*?</span>'):
        (shown,) = re.findall(pattern, page, re.DOTALL)
        assert re.findall(pattern, part, re.DOTALL) == [shown]
    assert 'id="chart-over"' in part
    assert 'id="figures"' in json.loads(viewer_news["data"])
    assert 'id="offered"' not in json.loads(viewer_news["data"])


def test_stream_continues_after_the_last_event_of_the_browser(sign_in: SignIn, code_id: UUID) -> None:
    path = f"/support/codes/{code_id}/stream?after=1"
    messages = read_stream(sign_in("viewer"), f"/support/codes/{code_id}/stream?after=3")
    continued = sign_in("viewer")._request("GET", path, headers={"last-event-id": "3"})

    assert [message.get("event") for message in messages] == [None, None]
    assert "event: news" not in continued.text
    assert "retry: 3000" in continued.text


def test_viewers_cost_the_database_no_more_than_one(
    app: AppClient, sign_in: SignIn, code_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queries of three looks, one of which finds a new event and renders the page: the same for 1 and for 200."""
    support = state_of(app).support
    session = digest_of(sign_in("viewer").cookies[COOKIE])
    view = HistoryView(StatementParams().to_query(code_id), "viewer", "en")
    monkeypatch.setattr(history_watch, "SESSIONS_S", WAIT_S_MAX)
    counted: ContextVar[list[str] | None] = ContextVar("counted", default=None)
    execute = psycopg.Cursor.execute

    def count(cursor: psycopg.Cursor, query: str, *arguments: Any, **more: Any) -> psycopg.Cursor:
        if (queries := counted.get()) is not None:
            queries.append(str(query))
        return execute(cursor, query, *arguments, **more)

    async def watch_as(viewers: int) -> list[str]:
        queries: list[str] = []
        watch = HistoryWatch(SupportSource(support), asyncio.to_thread)
        with ExitStack() as stack:
            joined = [stack.enter_context(watch.join(view, session, 2)) for _ in range(viewers)]
            watch._looking.cancel()  # type: ignore[union-attr]  # joining began it; the test looks
            counted.set(queries)  # threads that this task starts have it too, and no others
            for _ in range(3):
                await watch.look()
            news = [await viewer.wait(WAIT_S_MAX) for viewer in joined]
        assert [each and each.version for each in news] == [3] * viewers
        assert len({each and each.text for each in news}) == 1
        return queries

    monkeypatch.setattr(psycopg.Cursor, "execute", count)
    of_one, of_many = (asyncio.run(asyncio.wait_for(watch_as(viewers), WAIT_S_MAX)) for viewers in (1, 200))

    assert sorted(of_many) == sorted(of_one)
    assert Counter("FROM code_balances WHERE code_id = ANY" in query for query in of_many)[True] == 3
    assert 4 < len(of_many) < 30, "three looks, one check of sessions, and the queries of one page"


def test_stream_ends_with_its_session(app: AppClient, code_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_page, "STREAM_S_MAX", WAIT_S_MAX)
    add_staff(app, "leaves@staff.example.com", "viewer", PASSWORD)
    browser = StaffBrowser(app)
    browser.sign_in("leaves@staff.example.com", PASSWORD)
    support = state_of(app).support
    render = SupportSource.render

    def sign_out(source: SupportSource, view: HistoryView) -> News:
        support.sessions.delete(digest_of(browser.cookies[COOKIE]))
        return render(source, view)

    monkeypatch.setattr(SupportSource, "render", sign_out)
    messages = read_stream(browser, f"/support/codes/{code_id}/stream?after=1")

    assert [message.get("event") for message in messages] == [None, "news", "ended"]
    assert browser.get(f"/support/codes/{code_id}/stream").headers["location"].startswith("/support/sign-in")
    assert len(state_of(app).viewers) == 0


def test_streams_are_bounded_counted_and_only_of_live_pages(app: AppClient, sign_in: SignIn, code_id: UUID) -> None:
    """A page of the past, or with a filter, has no news; a full process refuses."""
    browser, slots = sign_in("viewer"), state_of(app).viewers
    statuses = [
        browser.get(f"/support/codes/{path}").status_code
        for path in (
            f"{code_id}/stream?kind=InviteSent",
            f"{code_id}/stream?as_of=2026-01-01T00:00:00",
            f"{uuid4()}/stream",
        )
    ]
    open_slots = [slots.acquire() for _ in range(HISTORY_VIEWERS_MAX)]
    full = browser.get(f"/support/codes/{code_id}/stream")
    for slot in open_slots:
        slot.release()

    assert statuses == [422, 422, 404]
    assert (full.status_code, full.headers["retry-after"]) == (503, "5")
    assert len(read_stream(browser, f"/support/codes/{code_id}/stream?after=1")) >= 2
    assert (len(slots), len(state_of(app).history_watch)) == (0, 0)
