"""Where live rows differ from the shadow's, and the event that explains each difference."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple
from uuid import UUID

from psycopg import Connection, sql

from domain.values.batched import batched
from projections.definitions.projection import EventPlace
from projections.definitions.registry import PROJECTIONS
from projections.rebuild.shadow_tables import LiveTable, Shadow, row_of, same_key_of
from projections.sql.rebuild import RebuildSql

Change = Literal["change", "appear", "vanish"]
Row = Mapping[str, Any]

EXPLAINED_AT_ONCE = 500


class ExplainingEvent(NamedTuple):
    """The newest event behind a row."""

    stream: UUID
    version: int
    position: int
    type: str


class Difference(NamedTuple):
    """A row that a rebuild changes, adds or removes.

    Attributes:
        row_id: The value of the key; its columns by name where the key has several.
        code_id: The code of the row; None if the row sums up several codes.
        old: The live row's values that differ (all of a row that vanishes); None if there is no live row.
        new: The same of the row that follows from the log.
        event: The newest event behind the row; None if no event of the log explains it.
    """

    table: str
    row_id: Any
    code_id: UUID | None
    change: Change
    old: Row | None
    new: Row | None
    event: ExplainingEvent | None


class Scope(NamedTuple):
    """What is compared.

    Attributes:
        tables: Live tables.
        only: One code instead of all.
        skipped_codes: Codes to leave out. Rows that sum up several codes are left out if there are any.
    """

    tables: Sequence[LiveTable]
    only: UUID | None
    skipped_codes: Sequence[UUID]

    @property
    def comparable_tables(self) -> list[LiveTable]:
        """The tables whose rows can be compared although some codes are left out."""
        is_partial = self.only is not None or self.skipped_codes
        return [table for table in self.tables if table.code_column is not None or not is_partial]

    @property
    def params(self) -> dict[str, Any]:
        """Parameters of the queries."""
        return {"only": self.only, "skipped": list(self.skipped_codes)}


def find_differences(conn: Connection[Any], shadow: Shadow, scope: Scope, listed_max: int) -> Iterator[Difference]:
    """Compare live tables with their shadows, in the transaction that is open.

    Args:
        conn: The shadow's connection, in a transaction that sees both at the same position.
        shadow: What follows from the log.
        scope: What is compared.
        listed_max: Most differences to return.
    """
    remaining = listed_max
    for table in scope.comparable_tables:
        query = sql.SQL("SELECT {old}, {new}{pairs} LIMIT %(most)s").format(
            old=sql.SQL("CASE WHEN l.{key} IS NOT NULL THEN to_jsonb(l) END").format(key=_first_key(table)),
            new=sql.SQL("CASE WHEN s.{key} IS NOT NULL THEN to_jsonb(s) END").format(key=_first_key(table)),
            pairs=_pairs(table, shadow, scope),
        )
        rows = conn.execute(query, {**scope.params, "most": remaining}).fetchall()
        remaining -= len(rows)
        for batch in batched(rows, EXPLAINED_AT_ONCE):
            yield from _explain(conn, table, batch)


def count_differences(conn: Connection[Any], shadow: Shadow, scope: Scope) -> dict[str, dict[str, int]]:
    """Count the rows of each table that change, appear or vanish; tables without any are left out."""
    counts: dict[str, dict[str, int]] = {}
    for table in scope.comparable_tables:
        query = sql.SQL(
            "SELECT CASE WHEN l.{key} IS NULL THEN 'appear' WHEN s.{key} IS NULL THEN 'vanish' ELSE 'change' END,"
            " count(*){pairs} GROUP BY 1 ORDER BY 1"
        ).format(key=_first_key(table), pairs=_pairs(table, shadow, scope))
        if rows := conn.execute(query, scope.params).fetchall():
            counts[table.name] = dict(rows)
    return counts


def _first_key(table: LiveTable) -> sql.Identifier:
    """Return a column that is null only where the joined row is missing."""
    return sql.Identifier(table.key[0])


def _pairs(table: LiveTable, shadow: Shadow, scope: Scope) -> sql.Composed:
    """Join live and shadow rows by the whole key, where they differ."""
    condition = sql.Composed([])
    if table.code_column is not None:
        compared = " WHERE {} = %(only)s" if scope.only else " WHERE {} <> ALL(%(skipped)s::uuid[])"
        condition = sql.SQL(compared).format(sql.Identifier(table.code_column))
    return sql.SQL(" FROM {live} l FULL JOIN {shadow} s ON {same_key} WHERE {left} IS DISTINCT FROM {right}").format(
        same_key=same_key_of(table, "l", "s"),
        live=sql.SQL("(SELECT * FROM {}{})").format(table.place, condition),
        shadow=sql.SQL("(SELECT * FROM {}{})").format(shadow.place(table), condition),
        left=row_of("l", table),
        right=row_of("s", table),
    )


def _explain(conn: Connection[Any], table: LiveTable, rows: Sequence[Sequence[Any]]) -> Iterator[Difference]:
    """Return the differences of pairs of an old and a new row."""
    places: list[EventPlace | None] = [_place_of(conn, table, new) if new else None for _, new in rows]
    vanished_codes = {code_id for old, new in rows if new is None and (code_id := _code_of(table, old))}
    last = dict(conn.execute(RebuildSql.last_versions_of_codes, (sorted(vanished_codes),)).fetchall())
    for number, (old, new) in enumerate(rows):
        if new is None and (code_id := _code_of(table, old)) is not None and code_id in last:
            places[number] = code_id, last[code_id]
    events = _read_events(conn, {place for place in places if place})
    for place, (old, new) in zip(places, rows, strict=True):
        row = new or old
        event = events.get(place) if place else None
        yield Difference(
            table.name, _row_id(table, row), _code_of(table, row), _change(old, new), *_changed(old, new), event
        )


def _code_of(table: LiveTable, row: Row) -> UUID | None:
    return None if table.code_column is None else UUID(row[table.code_column])


def _row_id(table: LiveTable, row: Row) -> Any:  # noqa: ANN401 - the type of the key
    values = {column: _key_value(table, column, row[column]) for column in table.key}
    return values if len(values) > 1 else values[table.key[0]]


def _key_value(table: LiveTable, column: str, value: Any) -> Any:  # noqa: ANN401 - the type of the column
    return UUID(value) if PROJECTIONS[table.name].table.columns[column] == "uuid" else value


def _place_of(conn: Connection[Any], table: LiveTable, row: Row) -> EventPlace | None:
    """Return stream and version of the newest event behind a row."""
    projection = PROJECTIONS[table.name]
    if projection.explanation_query is None:
        return projection.explain(row)
    place: EventPlace | None = conn.execute(projection.explanation_query, row).fetchone()
    return place


def _read_events(conn: Connection[Any], places: set[EventPlace]) -> dict[EventPlace, ExplainingEvent]:
    if not places:
        return {}
    streams, versions = zip(*sorted(places), strict=True)
    rows = conn.execute(RebuildSql.positions_of_events, (list(streams), list(versions))).fetchall()
    return {
        (stream, version): ExplainingEvent(stream, version, position, topic.partition(":")[0])
        for stream, version, position, topic in rows
    }


def _change(old: Row | None, new: Row | None) -> Change:
    if old is None:
        return "appear"
    return "vanish" if new is None else "change"


def _changed(old: Row | None, new: Row | None) -> tuple[Row | None, Row | None]:
    """Return only the values that differ, where there are both rows."""
    if old is None or new is None:
        return old, new
    names = [name for name in new if old.get(name) != new[name]]
    return {name: old.get(name) for name in names}, {name: new[name] for name in names}


def difference_document(difference: Difference) -> dict[str, Any]:
    """Return a difference as JSON shows it."""
    document = difference._asdict()
    if difference.event is not None:
        document["event"] = difference.event._asdict()
    return document
