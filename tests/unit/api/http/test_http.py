import asyncio
import logging
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from starlette.types import Message, Receive, Scope, Send

import api.http.pagination
from api.errors import ApplicationError
from api.http.dependency_status import START_S, DependencyStatus
from api.http.head_requests import AnswerHead
from api.http.pagination import Page, fill_page, format_cursor, parse_cursor
from projections.read_models.pagination import NEWEST, OLDEST

CURSOR = (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), UUID(int=7))


@pytest.mark.parametrize(
    ("rows", "page", "following"), [([], [], None), ([1, 2], [1, 2], None), ([1, 2, 3], [1, 2], 2)]
)
def test_page_is_followed_when_one_row_more_was_read(rows: list[int], page: list[int], following: int | None) -> None:
    cut = Page.of(rows, 2, lambda row: row)

    assert (page, following) == (cut.rows, cut.next)


def test_cursor_names_the_row_it_was_made_of() -> None:
    assert parse_cursor(format_cursor(*CURSOR)) == CURSOR
    assert (parse_cursor(None), parse_cursor(None, NEWEST)) == (OLDEST, NEWEST)
    assert parse_cursor(format_cursor(*NEWEST)) == NEWEST


def test_cursor_of_another_form_is_malformed() -> None:
    with pytest.raises(ApplicationError, match="MALFORMED"):
        parse_cursor("bm90IG91cnM")


def read_numbers(after: int, number: int) -> range:
    return range(after + 1, min(after + number, 30) + 1)


def walk(divisor: int, limit: int) -> list[list[int]]:
    """The pages of the multiples of a number."""
    pages, after = [], 0
    while True:
        page = fill_page(read_numbers, lambda row: row if row % divisor == 0 else None, lambda row: row, after, limit)
        pages.append(page.rows)
        if page.next is None:
            return pages
        after = page.next


@pytest.mark.parametrize("chunk", [1, 2, 3, 50])
def test_filtered_pages_are_full(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(api.http.pagination, "CHUNK", chunk)
    monkeypatch.setattr(api.http.pagination, "CHUNKS_MAX", 50)

    assert walk(7, 2) == [[7, 14], [21, 28]]
    assert walk(7, 3) == [[7, 14, 21], [28]]
    assert walk(1, 10) == [[*range(1, 11)], [*range(11, 21)], [*range(21, 31)]]
    assert walk(31, 5) == [[]]


def test_filtered_page_ends_early_after_the_most_rows_that_it_may_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.http.pagination, "CHUNK", 2)
    monkeypatch.setattr(api.http.pagination, "CHUNKS_MAX", 2)

    pages = walk(14, 1)

    assert [row for page in pages for row in page] == [14, 28]
    assert [] in pages


async def _endless(scope: Scope, receive: Receive, send: Send) -> None:
    del receive
    scope["route"] = scope["method"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    for _ in range(3):
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})


def ask(method: str, path: str) -> tuple[dict[str, Any], list[Message]]:
    scope, sent = {"type": "http", "method": method, "path": path}, []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(AnswerHead(_endless)(scope, None, send))  # type: ignore[arg-type]  # nothing is received
    return scope, sent


def test_head_of_a_page_is_get_without_a_body() -> None:
    scope, sent = ask("HEAD", "/invite")

    assert (scope["method"], scope["route"]) == ("HEAD", "GET")
    assert sent[0]["headers"] == [(b"content-length", b"2")]
    assert sent[1:] == [{"type": "http.response.body"}]


@pytest.mark.parametrize(("method", "path"), [("GET", "/invite"), ("HEAD", "/api/v1/codes")])
def test_other_requests_pass_unchanged(method: str, path: str) -> None:
    """The API has the methods that its document lists."""
    scope, sent = ask(method, path)

    assert (scope["method"], scope["route"]) == (method, method)
    assert [message.get("body") for message in sent[1:]] == [b"ab"] * 3


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr("api.http.dependency_status.time", SimpleNamespace(monotonic=lambda: clock.seconds))
    return clock


@pytest.fixture
def status(clock: SimpleNamespace) -> DependencyStatus:
    """Of a process that started long enough ago for worker and beat to run."""
    dependency_status = DependencyStatus("Redis")
    clock.seconds = START_S
    return dependency_status


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    return [(line.levelname, line.getMessage(), vars(line)["component"]) for line in caplog.records]


def test_unavailable_mail_server_is_logged_once_with_a_remedy(
    status: DependencyStatus, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for missing in ([], ["mail_server"], ["mail_server"], [], []):
            status.log_changes(missing)

    assert logged(caplog) == [
        ("ERROR", "component unavailable", "mail_server"),
        ("WARNING", "component available again", "mail_server"),
    ]
    assert "LEDGER_SMTP_URL" in vars(caplog.records[0])["why"]


def test_unavailable_broker_is_the_only_component_that_is_logged(
    status: DependencyStatus, caplog: pytest.LogCaptureFixture
) -> None:
    """Heartbeats are in the broker, so their absence then says nothing about workers."""
    with caplog.at_level(logging.INFO):
        status.log_changes(["broker", "worker", "beat"])

    assert logged(caplog) == [("ERROR", "component unavailable", "broker")]


def test_worker_and_beat_may_still_be_starting_when_the_process_has_just_started(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    starting = DependencyStatus("Redis")
    with caplog.at_level(logging.INFO):
        starting.log_changes(["worker", "beat", "mail_server"])
        early = logged(caplog)
        clock.seconds = START_S
        starting.log_changes(["worker", "mail_server"])

    assert early == [("ERROR", "component unavailable", "mail_server")]
    assert logged(caplog)[1:] == [("ERROR", "component unavailable", "worker")]
