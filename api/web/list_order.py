"""The order of a list on a page: a heading of its table has the link to the other order, and every page keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Final, get_args
from urllib.parse import urlencode

from fastapi import Query

from api.http.pagination import parse_cursor
from projections.read_models.pagination import BEGINNINGS, ListCursor, ListOrder

ORDERS: Final[tuple[ListOrder, ...]] = get_args(ListOrder)


@dataclass(frozen=True, slots=True, kw_only=True)
class SortedBy:
    """The column of times by which a list is sorted, and which end of it comes first.

    Attributes:
        column: Name of the column.
        default: Which row comes first if the URL names no order.
        chosen: The order that it names.
        filters: The other fields of the URL, which the links keep.
    """

    column: str
    default: ListOrder
    chosen: ListOrder | None = None
    filters: Mapping[str, object] = field(default_factory=dict)

    async def choose(self, order: Annotated[str, Query(max_length=10)] = "") -> "SortedBy":
        """Return the order that a URL names; another text is none."""
        return replace(self, chosen=next((each for each in ORDERS if each == order), None))

    def keep(self, filters: Mapping[str, object]) -> "SortedBy":
        """Return the same order with other fields of the URL, which the links keep."""
        return replace(self, filters=filters)

    @property
    def order(self) -> ListOrder:
        """Which row comes first on this page."""
        return self.chosen or self.default

    @property
    def other(self) -> ListOrder:
        """The order to which the heading leads."""
        return "oldest" if self.order == "newest" else "newest"

    @property
    def other_url(self) -> str:
        """The first page in the other order: a place of this one is none of it."""
        return self._url(self.other, {})

    def url(self, **place: object) -> str:
        """Return the URL of a page in this order; of the first one without a place."""
        return self._url(self.order, place)

    def find_place(self, cursor: str | None) -> ListCursor:
        """Return the place that a cursor names; the beginning of the list without one.

        Raises:
            ApplicationError: MALFORMED, it is not one of our cursors.
        """
        return parse_cursor(cursor, BEGINNINGS[self.order])

    def _url(self, order: ListOrder, place: Mapping[str, object]) -> str:
        chosen = {} if order == self.default else {"order": order}
        return "?" + urlencode({**self.filters, **chosen, **place})
