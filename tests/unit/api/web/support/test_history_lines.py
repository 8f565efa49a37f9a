from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from api.i18n.messages import say_event
from api.web.support.history.folding import (
    FOLDED_MIN,
    BalanceChange,
    FoldedRun,
    PageLines,
    complete_last_run,
    fold_lines,
)
from api.web.support.view_models import EventLine, quotes_email
from domain.events.event import Event
from domain.events.registry import EVENT_TYPES
from domain.events.reservation import InviteFailed, InviteSent, NoteAdded, UseRefunded, UseReserved
from domain.events.waiting_list import LeaveCause, WaitingListLeft
from projections.read_models.stream_entry import Entry
from tests.schema.event_examples import EXAMPLES

AT = datetime(2027, 1, 31, tzinfo=UTC)
CODE = UUID(int=1)
FIRST: dict[str, Any] = {"follows": None, "corrects": None, "waits_for": None}
"""Fields of a reservation that follows from no other one."""


def example(kind: type[Event], **changes: Any) -> Event:
    event = next(each for each in EXAMPLES if type(each) is kind)
    return structs.replace(event, text_id=None, **changes) if "text_id" in kind.__struct_fields__ else event


def line(version: int, kind: type[Event] = InviteSent, *, text: str | None = None, **changes: Any) -> EventLine[Any]:
    event = structs.replace(example(kind), **changes)
    before, after = (SimpleNamespace(used=count, reserved=9) for count in (version - 1, version))
    return EventLine(
        entry=Entry(CODE, version, version + 100, event, before, after),
        sentence=say_event(event, "en"),
        actor_name=None,
        approver_name=None,
        code_id=CODE,
        suffix=None,
        reservation_id=None,
        address=None,
        text=text,
        caused=[],
    )


def shape(lines: list[EventLine[Any]], **more: Any) -> list[int | list[int]]:
    """Versions in the order of the rows; those of a folded run are a list."""
    rows = fold_lines(lines, **more)
    return [[each.version for each in row.lines] if isinstance(row, FoldedRun) else row.version for row in rows]


def test_equal_events_are_folded_from_three_on() -> None:
    run = [line(version) for version in range(1, FOLDED_MIN + 1)]

    assert shape(run) == [[1, 2, 3]]
    assert shape(run[1:]) == [2, 3]
    assert shape([*run, line(4, UseRefunded), line(5), line(6)]) == [[1, 2, 3], 4, 5, 6]
    assert shape([]) == []


def test_events_that_differ_in_numbers_only_are_equal() -> None:
    """Deadlines, servers and attempts differ from event to event; a reason is another word, so it is another event."""
    deadlines = [line(version, UseReserved, deadline=AT + timedelta(hours=version), **FIRST) for version in (1, 2, 3)]
    servers = [line(version, server=f"mx{version}.example.com:25") for version in (1, 2, 3)]
    refused = line(3, InviteFailed, reason="address_refused")

    assert len({each.sentence for each in deadlines}) == len({each.sentence for each in servers}) == 3
    assert shape(deadlines) == shape(servers) == [[1, 2, 3]]
    assert shape([line(1, InviteFailed), line(2, InviteFailed), refused]) == [1, 2, 3]


@pytest.mark.parametrize("kind", sorted((kind for kind in EVENT_TYPES.values() if kind.LANDMARK), key=str), ids=str)
def test_landmarks_are_never_folded(kind: type[Event]) -> None:
    """A reader looks for each of them."""
    assert shape([line(version, kind) for version in (1, 2, 3)]) == [1, 2, 3]


def test_notes_other_actors_and_named_events_are_not_folded() -> None:
    """What staff wrote, and the event that a link names, is visible without a click."""
    run = [line(version) for version in range(1, 7)]

    assert shape([line(1, text="call back"), *run[1:3]]) == [1, 2, 3]
    assert shape([line(version, NoteAdded) for version in (1, 2, 3)]) == [1, 2, 3]
    assert shape([*run[:2], line(3, actor="staff")]) == [1, 2, 3]
    assert shape(run, named=[1]) == [1, [2, 3, 4, 5, 6]]


@pytest.mark.parametrize("is_reversed", [False, True])
def test_folded_run_knows_its_ends_and_what_it_changed(*, is_reversed: bool) -> None:
    lines = [line(version) for version in (4, 5, 6)]
    (run,) = fold_lines(lines[::-1] if is_reversed else lines)

    assert isinstance(run, FoldedRun)
    assert (run.oldest.version, run.newest.version) == (4, 6)
    assert run.changes == [BalanceChange("used", 3, 6)]
    assert [each.version for each in run.lines] == ([6, 5, 4] if is_reversed else [4, 5, 6])


def read_pages(history: list[EventLine[Any]], size: int) -> list[tuple[list[int | list[int]], int | None]]:
    def read(place: int, limit: int) -> PageLines[Any]:
        rest = [each for each in history if each.version > place]
        return PageLines(rest[:limit], rest[limit - 1].version if len(rest) > limit else None)

    pages: list[tuple[list[int | list[int]], int | None]] = []
    place: int | None = 0
    while place is not None:
        page = complete_last_run(read(place, size), read, lambda each: each.version)
        pages.append((shape(page.lines), page.next))
        place = page.next
    return pages


def test_run_at_the_end_of_a_page_is_counted_whole() -> None:
    run = [line(version) for version in range(3, 9)]
    other = [line(version, UseRefunded) for version in (1, 2)]

    assert read_pages([*other, *run, line(9, UseRefunded)], 4) == [([1, 2, [3, 4, 5, 6, 7, 8]], 8), ([9], None)]
    assert read_pages([*other, *run], 3) == [([1, 2, [3, 4, 5, 6, 7, 8]], None)]
    assert read_pages([*other, *run[:2], line(9, UseRefunded)], 3) == [([1, 2, 3], 3), ([4, 9], None)]


def test_run_beyond_the_bound_is_continued_on_the_next_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.web.support.history.folding.RUN_MAX", 4)
    history = [line(version) for version in range(1, 12)]

    page = complete_last_run(
        PageLines(history[:3], 3), lambda place, limit: PageLines(history[place : place + limit], 99), line_place
    )
    (first,) = fold_lines(page.lines, is_cut=page.is_cut)
    rows = fold_lines(history[7:], named=[8], before=page.lines[-1])

    assert (page.next, [each.version for each in page.lines]) == (7, [*range(1, 8)])
    assert isinstance(first, FoldedRun)
    assert (first.is_cut, first.is_continued) == (True, False)
    assert [isinstance(row, FoldedRun) and (row.is_continued, len(row.lines)) for row in rows] == [
        False,
        (True, 3),
    ]


def line_place(each: EventLine[Any]) -> int:
    return each.version


ID = UUID(int=1)


@pytest.mark.parametrize(("cause", "quotes"), [("undeliverable", True), ("removed", False)])
def test_report_about_an_offer_is_no_note_as_is_the_reason_of_staff(cause: LeaveCause, *, quotes: bool) -> None:
    """A report of a bounce may quote the address."""
    event = WaitingListLeft(
        at=datetime(2026, 1, 1, tzinfo=UTC), actor="operator", place_id=ID, recipient_id=ID, cause=cause, text_id=ID
    )

    assert quotes_email(event) is quotes
