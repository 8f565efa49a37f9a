from datetime import UTC, datetime
from uuid import UUID

import pytest

import api.http.pagination
from api.errors import ApplicationError
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
