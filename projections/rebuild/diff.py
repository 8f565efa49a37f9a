"""Where the live rows differ from the shadow's, and the event that explains each difference."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple
from uuid import UUID

from psycopg import Connection, sql

from projections.event_store.codec import decode
from projections.rebuild.shadow_tables import Shadow, Table, row_of
from projections.sql.event_store import EventStoreSql
from projections.sql.rebuild import RebuildSql

Change = Literal["change", "appear", "vanish"]
Row = Mapping[str, Any]

EXPLAINED_AT_ONCE = 500


class Explanation(NamedTuple):
    """The event that a row follows from: the last one of its code, reservation or case."""

    stream: UUID
    version: int
    position: int
    type: str


class Difference(NamedTuple):
    """A row that a rebuild changes, makes or removes.

    Attributes:
        old: The live row's values that differ (all of a row that vanishes); None if it isn't there.
        new: The same of the log's row.
        event: None if no event of the log says anything about it.
    """

    table: str
    row_id: UUID
    code_id: UUID
    change: Change
    old: Row | None
    new: Row | None
    event: Explanation | None


def differences(
    conn: Connection[Any], shadow: Shadow, only: UUID | None, skip: Sequence[UUID], most: int
) -> Iterator[Difference]:
    """Compare live tables with their shadows, in the transaction that is open.

    Args:
        conn: The shadow's connection, in a transaction that sees both at the same position.
        shadow: What the log says.
        only: One code instead of all.
        skip: Codes to leave out.
        most: How many to give, at most.
    """
    for table in shadow.tables:
        query = sql.SQL("SELECT coalesce(l.{key}, s.{key}), {old}, {new}{pairs} LIMIT %(most)s")
        parts = {
            "key": _key(table),
            "old": sql.SQL("CASE WHEN l.{key} IS NOT NULL THEN to_jsonb(l) END").format(key=_key(table)),
            "new": sql.SQL("CASE WHEN s.{key} IS NOT NULL THEN to_jsonb(s) END").format(key=_key(table)),
            "pairs": _pairs(table, shadow, only),
        }
        rows = conn.execute(query.format(**parts), {"only": only, "skip": skip, "most": most}).fetchall()
        most -= len(rows)
        for start in range(0, len(rows), EXPLAINED_AT_ONCE):
            yield from _explained(conn, table, rows[start : start + EXPLAINED_AT_ONCE])


def count_differences(
    conn: Connection[Any], shadow: Shadow, only: UUID | None, skip: Sequence[UUID]
) -> dict[str, dict[str, int]]:
    """How many rows of each table change, appear or vanish; tables without any are left out."""
    counts: dict[str, dict[str, int]] = {}
    for table in shadow.tables:
        query = sql.SQL(
            "SELECT CASE WHEN l.{key} IS NULL THEN 'appear' WHEN s.{key} IS NULL THEN 'vanish' ELSE 'change' END,"
            " count(*){pairs} GROUP BY 1 ORDER BY 1"
        ).format(key=_key(table), pairs=_pairs(table, shadow, only))
        if found := conn.execute(query, {"only": only, "skip": skip}).fetchall():
            counts[table.name] = dict(found)
    return counts


def _key(table: Table) -> sql.Identifier:
    return sql.Identifier(table.columns[0])


def _pairs(table: Table, shadow: Shadow, only: UUID | None) -> sql.Composed:
    """Live and shadow rows side by side where they differ."""
    one = sql.SQL(" WHERE code_id = %(only)s" if only else " WHERE code_id <> ALL(%(skip)s::uuid[])")
    return sql.SQL(
        " FROM {live} l FULL JOIN {shadow} s ON l.{key} = s.{key} WHERE {left} IS DISTINCT FROM {right}"
    ).format(
        key=_key(table),
        live=sql.SQL("(SELECT * FROM {}{})").format(table.place, one),
        shadow=sql.SQL("(SELECT * FROM {}{})").format(shadow.place(table), one),
        left=row_of("l", table),
        right=row_of("s", table),
    )


def _explained(conn: Connection[Any], table: Table, rows: Sequence[Sequence[Any]]) -> Iterator[Difference]:
    places = {row[0]: _place(conn, table, row[2]) if row[2] else None for row in rows}
    lost = {UUID(row[1]["code_id"]) for row in rows if row[2] is None}
    last = dict(conn.execute(RebuildSql.last_versions_of_codes, (sorted(lost),)).fetchall()) if lost else {}
    for row in rows:
        if row[2] is None and (code_id := UUID(row[1]["code_id"])) in last:
            places[row[0]] = (code_id, last[code_id])
    events = _events(conn, {place for place in places.values() if place})
    for key, old, new in rows:
        place = places[key]
        code_id = UUID((new or old)["code_id"])
        explanation = events.get(place) if place else None
        yield Difference(table.name, key, code_id, _change(old, new), *_changed(old, new), explanation)


def _place(conn: Connection[Any], table: Table, new: Row) -> tuple[UUID, int] | None:
    """Stream and version of the last event that made a row."""
    code_id = UUID(new["code_id"])
    if table.name == "code_balances":
        return code_id, new["version"]
    if table.name == "reservations":
        return code_id, new["versions"][-1]
    found = conn.execute(EventStoreSql.events_of_reservations, ([UUID(new["reservation_id"])],)).fetchall()
    of_case = [row[2] for row in found if str(getattr(decode(row[3], bytes(row[4])), "case_id", "")) == new["case_id"]]
    return (code_id, of_case[-1]) if of_case else None


def _events(conn: Connection[Any], places: set[tuple[UUID, int]]) -> dict[tuple[UUID, int], Explanation]:
    if not places:
        return {}
    streams, versions = zip(*sorted(places), strict=True)
    rows = conn.execute(RebuildSql.positions_of_events, (list(streams), list(versions))).fetchall()
    return {
        (stream, version): Explanation(stream, version, position, topic.partition(":")[0])
        for stream, version, position, topic in rows
    }


def _change(old: Row | None, new: Row | None) -> Change:
    if old is None:
        return "appear"
    return "vanish" if new is None else "change"


def _changed(old: Row | None, new: Row | None) -> tuple[Row | None, Row | None]:
    """Only the values that differ, where both rows are there."""
    if old is None or new is None:
        return old, new
    names = [name for name in new if old.get(name) != new[name]]
    return {name: old.get(name) for name in names}, {name: new[name] for name in names}


def difference_document(found: Difference) -> dict[str, Any]:
    """A difference as JSON shows it."""
    document = found._asdict()
    if found.event is not None:
        document["event"] = found.event._asdict()
    return document
