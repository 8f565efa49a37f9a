"""Shadow tables: as the read models are, filled by COPY, and put in their place in one short transaction.

They follow the catalogue of the tables that are there, so a column, index or grant that a migration adds needs no
word here. They live in a schema of their own, under the same names: so their indexes and constraints keep the names
that later migrations know, and the live path's own statements work on them with another search_path.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection, sql

from projections.database.errors import SchemaMismatchError
from projections.event_store.row_mapping import PROJECTIONS
from projections.replay.copy_writer import HEADER, TRAILER, WriteRow, binary_row_encoder
from projections.sql.rebuild import RebuildSql

SHADOW_SCHEMA = "ledger_rebuild"
OLD_SCHEMA = "ledger_rebuild_old"
TEMPORARY = "pg_temp"

DELETE_DIFFERING = "DELETE FROM {live} l WHERE l.code_id = {code} AND NOT EXISTS (SELECT FROM {shadow} s WHERE {both})"
INSERT_MISSING = (
    "INSERT INTO {live} SELECT * FROM {shadow} s"
    " WHERE s.code_id = {code} AND NOT EXISTS (SELECT FROM {live} l WHERE {key})"
)

ROWS_AT_ONCE = 5_000
"""Rows kept for one COPY."""


class Table(NamedTuple):
    """A live table, as the catalogue has it.

    Attributes:
        columns: Names in order; the first one is the primary key.
        options: Storage parameters, such as `fillfactor=50`.
        constraints: Statements' tails for constraints that have an index.
        indexes: Statements of all other indexes.
        grants: Who else may do what.
    """

    name: str
    schema: str
    owner: str
    columns: tuple[str, ...]
    types: tuple[int, ...]
    options: tuple[str, ...]
    constraints: tuple[tuple[str, str], ...]
    indexes: tuple[str, ...]
    grants: tuple[tuple[str, str, bool], ...]

    @property
    def place(self) -> sql.Identifier:
        """Its qualified name."""
        return sql.Identifier(self.schema, self.name)


def tables_of(conn: Connection[Any], names: Iterable[str]) -> list[Table]:
    """Read models by name, in the order in which they are locked.

    Raises:
        SchemaMismatchError: A table is not as `projections.event_store.row_mapping` makes its rows.
    """
    wanted = set(names)
    return [_read_table(conn, name) for name in PROJECTIONS if name in wanted]


def check_swappable(conn: Connection[Any], tables: Iterable[Table]) -> None:
    """Make sure that a swap loses nothing.

    Raises:
        SchemaMismatchError: A view, trigger, foreign key, policy or publication hangs on a table.
    """
    names = [table.name for table in tables]
    if hanging := [row[0] for row in conn.execute(RebuildSql.dependents_of_tables, (names,))]:
        raise SchemaMismatchError(f"a rebuild can't swap tables on which something else hangs: {', '.join(hanging)}")


def _read_table(conn: Connection[Any], name: str) -> Table:
    row = conn.execute(RebuildSql.table_of_name, (name,)).fetchone()
    if row is None:
        raise SchemaMismatchError(f"the database has no table {name}: run `ledger migrate`")
    oid, schema, owner, options = row
    columns = conn.execute(RebuildSql.columns_of_table, (oid,)).fetchall()
    if binary_row_encoder(PROJECTIONS[name], [column[1] for column in columns]) is None:
        raise SchemaMismatchError(f"the columns of {name} are not those that this version writes")
    return Table(
        name,
        schema,
        owner,
        tuple(column[0] for column in columns),
        tuple(column[1] for column in columns),
        tuple(options or ()),
        tuple(conn.execute(RebuildSql.index_constraints_of_table, (oid,)).fetchall()),
        tuple(row[0] for row in conn.execute(RebuildSql.plain_indexes_of_table, (oid,))),
        tuple(conn.execute(RebuildSql.grants_of_table, (oid,)).fetchall()),
    )


class Shadow:
    """Shadow tables of some read models, on one connection.

    Args:
        conn: In autocommit mode, used by nobody else.
        tables: What to shadow.
        temporary: Whether they are this session's own and never swapped: then nothing of them is logged or left
            behind, and they have primary keys only.
    """

    def __init__(self, conn: Connection[Any], tables: Sequence[Table], *, temporary: bool) -> None:
        self._conn = conn
        self.tables = tables
        self.schema = TEMPORARY if temporary else SHADOW_SCHEMA
        self._kept: dict[str, list[bytes]] = {table.name: [] for table in tables}
        self.rows = {table.name: partial(self._keep, table.name, _writer_of(table)) for table in tables}
        """By table, what takes a row as `projections.event_store.row_mapping` gives it, for the next `flush`."""

    @property
    def names(self) -> frozenset[str]:
        """Names of the tables."""
        return frozenset(self._kept)

    def place(self, table: Table) -> sql.Identifier:
        """Qualified name of a table's shadow."""
        return sql.Identifier(self.schema, table.name)

    def create(self) -> None:
        """Make them, empty and without indexes; what an earlier run left behind is dropped first."""
        if self.schema == SHADOW_SCHEMA:
            drop_leftovers(self._conn)
            self._run("CREATE SCHEMA {}", sql.Identifier(SHADOW_SCHEMA))
            self._run("CREATE SCHEMA {}", sql.Identifier(OLD_SCHEMA))
        for table in self.tables:
            options = [*table.options]
            if not any(option.startswith("autovacuum_enabled=") for option in options):
                # An autovacuum of the shadow would make the swap wait.
                options.append("autovacuum_enabled=false")
            self._run(
                "CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES) WITH ({})",
                self.place(table),
                table.place,
                sql.SQL(", ").join(map(_literal, options)),
            )
            if self.schema == SHADOW_SCHEMA:
                self._give_rights(table)
        self._run("SET search_path = {}, {}", sql.Identifier(self.schema), sql.Identifier(self.tables[0].schema))

    def _give_rights(self, table: Table) -> None:
        self._run("ALTER TABLE {} OWNER TO {}", self.place(table), sql.Identifier(table.owner))
        for grantee, privilege, may_grant in table.grants:
            self._run(
                "GRANT {} ON {} TO {}{}",
                _literal(privilege),
                self.place(table),
                sql.Identifier(grantee) if grantee else _literal("PUBLIC"),
                _literal(" WITH GRANT OPTION" if may_grant else ""),
            )

    def _keep(self, table: str, write: WriteRow, row: Sequence[Any]) -> None:
        kept = self._kept[table]
        kept.append(write(row))
        if len(kept) >= ROWS_AT_ONCE:
            self.copy(table, b"".join(kept))
            kept.clear()

    def flush(self) -> None:
        """Bring kept rows into their tables, one COPY for each table."""
        for table, kept in self._kept.items():
            if kept:
                self.copy(table, b"".join(kept))
                kept.clear()

    def copy(self, table: str, rows: bytes) -> None:
        """Bring rows into a table that `projections.replay.copy_writer` has written."""
        place = sql.Identifier(self.schema, table)
        with self._conn.cursor().copy(sql.SQL("COPY {} FROM STDIN (FORMAT BINARY)").format(place)) as copy:
            copy.write(HEADER + rows + TRAILER)

    def index(self, step: Callable[[str], None], during: Callable[[Callable[[], object]], None]) -> None:
        """Build primary keys and indexes, under the names of the live ones, and let the planner know the tables.

        Args:
            step: Told the name of each table.
            during: Does each piece of work that is given to it.
        """
        for table in self.tables:
            step(table.name)
            for statement in self._indexing(table):
                during(partial(self._conn.execute, statement))

    def _indexing(self, table: Table) -> Iterator[sql.Composed]:
        for name, definition in table.constraints:
            parts = (self.place(table), sql.Identifier(name), _literal(definition))
            yield _literal("ALTER TABLE {} ADD CONSTRAINT {} {}").format(*parts)
        if self.schema == SHADOW_SCHEMA:
            yield from self._plain_indexes(table)
        yield _literal("ANALYZE {}").format(self.place(table))

    def _plain_indexes(self, table: Table) -> Iterator[sql.Composed]:
        for definition in table.indexes:
            live, shadow = table.place.as_string(None), self.place(table).as_string(None)
            unquoted = f"{table.schema}.{table.name}"
            before, _, after = definition.partition(" USING ")
            named = before.replace(f" ON {live}", f" ON {shadow}").replace(f" ON {unquoted}", f" ON {shadow}")
            yield sql.Composed([_literal(f"{named} USING {after}")])

    def keep_vacuums_out(self) -> None:
        """Wait until no vacuum, ANALYZE or building of an index is at the live tables, and let none begin.

        Reading and writing them goes on, also while this waits.
        """
        self._lock("SHARE UPDATE EXCLUSIVE")

    def swap(self) -> None:
        """Put the shadows in the place of the live tables, in the transaction that is open."""
        self._lock("ACCESS EXCLUSIVE")
        for table in self.tables:
            self._run("ALTER TABLE {} SET SCHEMA {}", table.place, sql.Identifier(OLD_SCHEMA))
            if not any(option.startswith("autovacuum_enabled=") for option in table.options):
                self._run("ALTER TABLE {} RESET (autovacuum_enabled)", self.place(table))
            self._run("ALTER TABLE {} SET SCHEMA {}", self.place(table), sql.Identifier(table.schema))

    def replace_rows(self, code_id: UUID) -> None:
        """Make one code's live rows those of the shadow; rows that are equal are left alone."""
        for table in self.tables:
            key = sql.Identifier(table.columns[0])
            same_key = sql.SQL("s.{} = l.{}").format(key, key)
            parts = {
                "key": same_key,
                "live": table.place,
                "shadow": self.place(table),
                "code": sql.Literal(code_id),
                "both": sql.SQL("{} AND {} IS NOT DISTINCT FROM {}").format(
                    same_key, row_of("l", table), row_of("s", table)
                ),
            }
            self._conn.execute(_literal(DELETE_DIFFERING).format(**parts))
            self._conn.execute(_literal(INSERT_MISSING).format(**parts))

    def _lock(self, mode: str) -> None:
        names = sql.SQL(", ").join(table.place for table in self.tables)
        self._run("LOCK TABLE {} IN {} MODE", names, _literal(mode))

    def _run(self, statement: str, *parts: sql.Composable) -> None:
        self._conn.execute(_literal(statement).format(*parts))


def row_of(alias: str, table: Table) -> sql.Composed:
    """All columns of one of two joined tables, for comparing rows as they are (NULL equals NULL)."""
    return sql.SQL("ROW({})").format(sql.SQL(", ").join(sql.Identifier(alias, name) for name in table.columns))


def lock_to_read(conn: Connection[Any], tables: Sequence[Table]) -> None:
    """Keep the tables from being swapped until the transaction ends.

    To be called before the transaction's first query: a snapshot older than a swap would see the new tables empty.
    """
    conn.execute(
        sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.SQL(", ").join(table.place for table in tables))
    )


def drop_leftovers(conn: Connection[Any]) -> None:
    """Drop what any run, ended or killed, left behind; the live tables are elsewhere."""
    for schema in (SHADOW_SCHEMA, OLD_SCHEMA):
        conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def _writer_of(table: Table) -> WriteRow:
    write = binary_row_encoder(PROJECTIONS[table.name], table.types)
    if write is None:
        raise AssertionError("a table is read only if its rows can be written")
    return write


def _literal(text: str) -> sql.SQL:
    """A piece of a statement that the catalogue itself gave."""
    return sql.SQL(text)
