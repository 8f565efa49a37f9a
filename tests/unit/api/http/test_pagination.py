"""Pages: the following one begins after the last row of the one before, and the last page has none."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from api.errors import ApplicationError
from api.http.pagination import BoundedPage, Page, format_cursor, parse_cursor
from projections.read_models.pagination import NEWEST, OLDEST

CURSOR = (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), UUID(int=7))


@pytest.mark.parametrize(
    ("rows", "page", "following"), [([], [], None), ([1, 2], [1, 2], None), ([1, 2, 3], [1, 2], 2)]
)
def test_a_page_is_followed_when_one_row_more_was_read(rows: list[int], page: list[int], following: int | None) -> None:
    """The row too many is the next page's first."""
    cut = Page.of(rows, 2, lambda row: row)

    assert (page, following) == (cut.rows, cut.next)


def test_a_cursor_names_the_row_it_was_made_of() -> None:
    """Without one a list begins at its start."""
    assert parse_cursor(format_cursor(*CURSOR)) == CURSOR
    assert (parse_cursor(None), parse_cursor(None, NEWEST)) == (OLDEST, NEWEST)
    assert parse_cursor(format_cursor(*NEWEST)) == NEWEST


def test_a_cursor_of_another_form_is_malformed() -> None:
    """It is opaque to clients, and safe to make up."""
    with pytest.raises(ApplicationError, match="MALFORMED"):
        parse_cursor("bm90IG91cnM")


def test_a_filtered_page_goes_on_after_the_last_row_that_was_read() -> None:
    """Also when the filter left it out."""
    page: BoundedPage[int] = BoundedPage(2, is_full=True)

    assert [page.take(1, OLDEST), page.take(None, CURSOR)] == [True, True]
    assert ([1], format_cursor(*CURSOR)) == (page.page, page.next)
