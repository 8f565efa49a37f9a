"""Writing rows of projections into their tables, as the live path and a rebuild's last steps do."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from psycopg import Connection, Cursor

from domain.working_set import Transition
from projections.database.table_arrays import encode_rows
from projections.definitions.projection import Merge, Projection, Row, RowMerger
from projections.definitions.registry import EVENT_PROJECTIONS


def write_rows(cursor: Cursor[Any] | Connection[Any], projection: Projection, rows: Sequence[Row]) -> None:
    """Merge rows into the projection's table; the connection's search_path says in which schema it is.

    Args:
        cursor: Where the statements are executed.
        projection: Whose rows.
        rows: At most one for each key.
    """
    table = projection.table
    if projection.merge is Merge.COMPLETE:
        whole = [row for row in rows if projection.is_whole(row)]
        rows = [row for row in rows if not projection.is_whole(row)]
        if whole:
            cursor.execute(table.insert, encode_rows(table, whole))
    if rows:
        statement = {Merge.REPLACE: table.upsert, Merge.ADD: table.add, Merge.COMPLETE: table.complete}
        cursor.execute(statement[projection.merge], encode_rows(table, rows))


def insert_rows(cursor: Cursor[Any], projection: Projection, rows: Sequence[Row]) -> None:
    """Insert rows whose keys are new, at two thirds of the cost of `write_rows`; the statement fails if one exists."""
    if rows:
        cursor.execute(projection.table.insert, encode_rows(projection.table, rows))


def merge_event_rows(
    transitions: Iterable[Transition], includes: Callable[[Projection], object] = bool
) -> dict[Projection, RowMerger]:
    """Return the rows that follow from events, by projection and merged by key.

    Args:
        transitions: Events with the states before and after each.
        includes: Whether a projection is wanted.
    """
    mergers: dict[Projection, RowMerger] = {}
    for transition in transitions:
        for projection in EVENT_PROJECTIONS[type(transition.recorded.event)]:
            if includes(projection):
                merger = mergers.setdefault(projection, RowMerger(projection))
                for row in rows_of_transition(projection, transition):
                    merger.add(row)
    return mergers


def rows_of_transition(projection: Projection, transition: Transition) -> Iterable[Row]:
    """Return the rows that a projection makes of one event; none if the state that it uses is not there."""
    before, after = transition.states(projection.state)
    if projection.state is not None and after is None:
        return ()
    return projection.apply(before, transition.recorded, after)
