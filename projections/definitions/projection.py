"""What a projection is: a table whose rows follow from the event log, and how.

The live path, rebuild, diff, verification, transfer and the simulation use a projection through this interface only. To
add one, put a module into `projections.definitions.tables` and its table into a migration (docs/contributing.md).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, ClassVar, LiteralString
from uuid import UUID

from domain.events.event import Event
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.working_set import Recorded
from projections.sql.table import Table

Row = tuple[Any, ...]
State = RedeemCode | Reservation | Campaign
EventPlace = tuple[UUID, int]
"""Stream and version of an event."""


class Merge(Enum):
    """How rows with one key add up, within a stream and over streams."""

    REPLACE = auto()
    """The newer row replaces the older one."""
    COMPLETE = auto()
    """The newer row sets the columns in which it is not null. Only the first row of a key is whole."""
    ADD = auto()
    """Values outside the key are numbers, and are summed. Rows of several streams may have one key."""


class Projection(ABC):
    """One table that is computed from the event log.

    Attributes:
        table: Declares name, key and columns. Columns of the key are not null.
        merge: How rows with one key add up.
        state: The kind of state that `apply` compares before and after an event; None if it uses the event alone.
        events: Types of events that have rows; all, if there are none here.
        code_column: The column that holds the stream of a row, a code or a campaign; None where a row sums up several.
        explanation_query: A query that takes the columns of a row as parameters and returns stream and version of the
            newest event behind it; None if `explain` knows it from the row.
    """

    table: ClassVar[Table]
    merge: ClassVar[Merge]
    state: ClassVar[type[State] | None]
    events: ClassVar[frozenset[type[Event]]] = frozenset()
    code_column: ClassVar[str | None] = "code_id"
    explanation_query: ClassVar[LiteralString | None] = None

    @property
    def name(self) -> str:
        """The name of its table, which is also its own."""
        return self.table.name

    @abstractmethod
    def apply(self, before: Any, recorded: Recorded, after: Any) -> Iterable[Row]:  # noqa: ANN401 - as `state` says
        """Return the rows that follow from one event.

        Args:
            before: The state before the event; None if the event begins it, or `state` is None.
            recorded: The event with its stream and version.
            after: The state after the event; None if `state` is None.
        """

    def explain(self, row: Mapping[str, Any]) -> EventPlace | None:
        """Return the newest event behind a row, where the row tells it."""
        del row
        return None

    def is_whole(self, row: Row) -> bool:
        """Return whether a row may be inserted as it is; if not, it completes one that exists."""
        del row
        return True


class StateProjection(Projection):
    """A projection with one row for each code or reservation: a function of the newest state.

    A fold of many events asks for the row of the last state only.
    """

    merge = Merge.REPLACE
    state: ClassVar[type[State]]

    @abstractmethod
    def row(self, state: Any) -> Row:  # noqa: ANN401 - as `state` says
        """Return the row of a state."""

    def apply(self, before: Any, recorded: Recorded, after: Any) -> Iterable[Row]:  # noqa: ANN401 - as `state` says
        """Return the row of the state after the event."""
        del before, recorded
        return (self.row(after),)


class RowMerger:
    """Rows of one projection by key, merged as they come."""

    def __init__(self, projection: Projection, rows: Iterable[Row] = ()) -> None:
        positions = [list(projection.table.columns).index(column) for column in projection.table.key]
        self._positions, self._merge = positions, projection.merge
        self.rows: dict[Row, Row] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Merge a row with the one of its key."""
        key = self.key_of(row)
        existing_row = self.rows.get(key)
        self.rows[key] = row if existing_row is None else self._merged(existing_row, row)

    def key_of(self, row: Sequence[Any]) -> Row:
        """Return the values of a row's key."""
        return tuple(row[position] for position in self._positions)

    def take(self) -> list[Row]:
        """Return the rows and drop them."""
        rows = list(self.rows.values())
        self.rows.clear()
        return rows

    def _merged(self, old: Row, new: Row) -> Row:
        if self._merge is Merge.REPLACE:
            return new
        if self._merge is Merge.COMPLETE:
            return tuple(was if value is None else value for was, value in zip(old, new, strict=True))
        pairs = enumerate(zip(old, new, strict=True))
        return tuple(was if place in self._positions else was + value for place, (was, value) in pairs)
