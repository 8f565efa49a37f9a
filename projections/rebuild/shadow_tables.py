"""Shadow tables: copies of the projections' tables, filled by COPY and swapped in one short transaction.

They follow the catalog of the live tables, so a column, index or grant that a migration adds needs no change here. They
have the same names in a separate schema: their indexes and constraints keep the names that later migrations know, and
the live path's statements work on them with another search_path.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection, sql

from projections.database.errors import SchemaMismatchError
from projections.database.migrations import check_schema_on
from projections.definitions.projection import Merge, Projection, StateProjection
from projections.definitions.registry import PROJECTIONS
from projections.replay.copy_writer import HEADER, TRAILER
from projections.replay.row_buffer import RowBuffer, RowPiece, row_encoder
from projections.sql.rebuild import RebuildSql

SHADOW_SCHEMA = "ledger_rebuild"
OLD_SCHEMA = "ledger_rebuild_old"
TEMPORARY = "pg_temp"

DELETE_DIFFERING = (
    "DELETE FROM {live} l WHERE l.{code_column} = {code} AND NOT EXISTS (SELECT FROM {shadow} s WHERE {both})"
)
INSERT_MISSING = (
    "INSERT INTO {live} SELECT * FROM {shadow} s"
    " WHERE s.{code_column} = {code} AND NOT EXISTS (SELECT FROM {live} l WHERE {key})"
)


class LiveTable(NamedTuple):
    """A projection's live table, as the catalog has it.

    Attributes:
        columns: Names in the order in which the projection declares them; the table may have another.
        key: Columns of the primary key.
        code_column: The column with the code of a row; None where a row sums up several codes.
        options: Storage parameters, such as `fillfactor=50`.
        constraints: Statements' tails for constraints that have an index.
        indexes: Statements of all other indexes.
        grants: Who else may do what.
    """

    name: str
    schema: str
    owner: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    code_column: str | None
    types: tuple[int, ...]
    options: tuple[str, ...]
    constraints: tuple[tuple[str, str], ...]
    indexes: tuple[str, ...]
    grants: tuple[tuple[str, str, bool], ...]

    @property
    def place(self) -> sql.Identifier:
        """Its qualified name."""
        return sql.Identifier(self.schema, self.name)


def tables_of(conn: Connection[Any], projection_names: Iterable[str]) -> list[LiveTable]:
    """Return the live tables of projections, in the order in which they are locked.

    Raises:
        SchemaMismatchError: A table does not have the columns that its projection declares.
    """
    requested_names = set(projection_names)
    return [_read_table(conn, name) for name in PROJECTIONS if name in requested_names]


def check_swappable(conn: Connection[Any], tables: Iterable[LiveTable]) -> None:
    """Check that a swap loses nothing.

    Raises:
        SchemaMismatchError: A view, trigger, foreign key, policy or publication depends on a table.
    """
    names = [table.name for table in tables]
    if dependents := [row[0] for row in conn.execute(RebuildSql.dependents_of_tables, (names,))]:
        raise SchemaMismatchError(
            f"a rebuild cannot swap tables that other objects depend on: first remove {', '.join(dependents)}"
        )


def _read_table(conn: Connection[Any], name: str) -> LiveTable:
    row = conn.execute(RebuildSql.table_of_name, (name,)).fetchone()
    if row is None:
        check_schema_on(conn)
        raise SchemaMismatchError(f"no migration creates the table {name}: add one to projections/sql/migrations/")
    oid, schema, owner, options = row
    types = dict(conn.execute(RebuildSql.columns_of_table, (oid,)).fetchall())
    projection = PROJECTIONS[name]
    columns = tuple(projection.table.columns)
    if types.keys() != {*columns}:
        raise _mismatch_of_columns(conn, name, declared={*columns}, existing={*types})
    column_types = tuple(types[column] for column in columns)
    try:
        row_encoder(projection, column_types)
    except ValueError as error:
        raise SchemaMismatchError(str(error)) from error
    return LiveTable(
        name,
        schema,
        owner,
        columns,
        projection.table.key,
        projection.code_column,
        column_types,
        tuple(options or ()),
        tuple(conn.execute(RebuildSql.index_constraints_of_table, (oid,)).fetchall()),
        tuple(row[0] for row in conn.execute(RebuildSql.plain_indexes_of_table, (oid,))),
        tuple(conn.execute(RebuildSql.grants_of_table, (oid,)).fetchall()),
    )


def _mismatch_of_columns(
    conn: Connection[Any], name: str, *, declared: set[str], existing: set[str]
) -> SchemaMismatchError:
    """Return the error that says which side is behind, unless the version of the schema says so."""
    check_schema_on(conn)
    if missing := sorted(declared - existing):
        advice = "add them by a migration in projections/sql/migrations/, or restore a backup if they were dropped"
        return SchemaMismatchError(f"the table {name} lacks {', '.join(missing)}: {advice}")
    unknown = ", ".join(sorted(existing - declared))
    advice = "declare them in projections/definitions/tables/, or drop them if they were added manually"
    return SchemaMismatchError(f"this version knows no {unknown} of the table {name}: {advice}")


class Shadow:
    """Shadow tables of some projections, on one connection.

    Args:
        conn: In autocommit mode, used for nothing else.
        tables: What to shadow.
        temporary: Names of the tables whose shadows belong to this session and are never swapped. Nothing of them is
            logged or left behind, and they have primary keys only.
    """

    def __init__(self, conn: Connection[Any], tables: Sequence[LiveTable], *, temporary: frozenset[str]) -> None:
        self._conn = conn
        self.tables = tables
        self._by_name = {table.name: table for table in tables}
        self._temporary = temporary
        self.column_types = {table.name: table.types for table in tables}
        self._buffer = RowBuffer(self.column_types, self._take)
        self._deferred: list[RowPiece] = []
        self.rows = self._buffer.rows
        """By projection, what takes one of its rows, for the next `flush`."""

    @property
    def names(self) -> frozenset[str]:
        """Names of the tables."""
        return frozenset(self.column_types)

    def place(self, table: LiveTable) -> sql.Identifier:
        """Return the qualified name of a table's shadow."""
        return sql.Identifier(TEMPORARY if table.name in self._temporary else SHADOW_SCHEMA, table.name)

    def create(self) -> None:
        """Create them, empty and without indexes; what an earlier run left behind is dropped first."""
        if not self._is_temporary:
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
            if table.name not in self._temporary:
                self._copy_grants(table)
            if not isinstance(PROJECTIONS[table.name], StateProjection):
                # Rows that wait to be merged may lack columns, so this copies the types and not the constraints.
                self._run("CREATE TEMPORARY TABLE {} AS SELECT * FROM {} WITH NO DATA", _staging(table), table.place)
        schemas = [] if self._is_temporary else [sql.Identifier(SHADOW_SCHEMA)]
        path = sql.SQL(", ").join([sql.Identifier(TEMPORARY), *schemas, sql.Identifier(self.tables[0].schema)])
        self._run("SET search_path = {}", path)

    @property
    def _is_temporary(self) -> bool:
        """Whether all shadows are this session's own."""
        return self.names <= self._temporary

    def _copy_grants(self, table: LiveTable) -> None:
        self._run("ALTER TABLE {} OWNER TO {}", self.place(table), sql.Identifier(table.owner))
        for grantee, privilege, may_grant in table.grants:
            self._run(
                "GRANT {} ON {} TO {}{}",
                _literal(privilege),
                self.place(table),
                sql.Identifier(grantee) if grantee else _literal("PUBLIC"),
                _literal(" WITH GRANT OPTION" if may_grant else ""),
            )

    def flush(self) -> None:
        """Bring buffered rows into their tables, one COPY for each table."""
        self._buffer.flush()
        while self._deferred:
            self.copy(self._deferred.pop(0))

    def _take(self, piece: RowPiece) -> None:
        """Copy rows; temporary tables take them with `flush`, for their one connection may be reading a page now."""
        if self._is_temporary:
            self._deferred.append(piece)
        else:
            self.copy(piece)

    def copy(self, piece: RowPiece) -> None:
        """Bring rows into a table that `projections.replay.copy_writer` has encoded."""
        table = self._by_name[piece.name]
        place = _staging(table) if piece.is_staged else self.place(table)
        columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(place, columns)
        with self._conn.cursor().copy(statement) as copy:
            copy.write(HEADER + piece.rows + TRAILER)

    def index(self, step: Callable[[str], None], run: Callable[[Callable[[], object]], None]) -> None:
        """Merge staged rows, build primary keys and indexes under the names of the live ones, and analyze the tables.

        Args:
            step: Called with the name of each table.
            run: Runs each piece of work that is passed to it.
        """
        for table in self.tables:
            step(table.name)
            for statement in self._indexing(table):
                run(partial(self._conn.execute, statement))

    def _indexing(self, table: LiveTable) -> Iterator[sql.Composed]:
        for name, definition in table.constraints:
            parts = (self.place(table), sql.Identifier(name), _literal(definition))
            yield _literal("ALTER TABLE {} ADD CONSTRAINT {} {}").format(*parts)
        if not isinstance(projection := PROJECTIONS[table.name], StateProjection):
            yield merge_staged(projection, _staging(table), self.place(table))
        if table.name not in self._temporary:
            yield from self._plain_indexes(table)
        yield _literal("ANALYZE {}").format(self.place(table))

    def _plain_indexes(self, table: LiveTable) -> Iterator[sql.Composed]:
        for definition in table.indexes:
            live, shadow = table.place.as_string(None), self.place(table).as_string(None)
            unquoted = f"{table.schema}.{table.name}"
            before, _, after = definition.partition(" USING ")
            named = before.replace(f" ON {live}", f" ON {shadow}").replace(f" ON {unquoted}", f" ON {shadow}")
            yield sql.Composed([_literal(f"{named} USING {after}")])

    def keep_vacuums_out(self) -> None:
        """Wait until no vacuum, ANALYZE or building of an index works on the live tables, and let none begin.

        Reads and writes of them continue, also while this waits.
        """
        self._lock("SHARE UPDATE EXCLUSIVE")

    @property
    def _swapped(self) -> list[LiveTable]:
        return [table for table in self.tables if table.name not in self._temporary]

    def swap(self) -> None:
        """Put the shadows in the place of the live tables, in the transaction that is open."""
        self._lock("ACCESS EXCLUSIVE")
        for table in self._swapped:
            self._run("ALTER TABLE {} SET SCHEMA {}", table.place, sql.Identifier(OLD_SCHEMA))
            if not any(option.startswith("autovacuum_enabled=") for option in table.options):
                self._run("ALTER TABLE {} RESET (autovacuum_enabled)", self.place(table))
            self._run("ALTER TABLE {} SET SCHEMA {}", self.place(table), sql.Identifier(table.schema))

    def replace_rows(self, tables: Sequence[LiveTable], code_id: UUID) -> None:
        """Make one code's live rows in some tables those of the shadow; rows that are equal are left alone."""
        for table in tables:
            same_key = same_key_of(table, "s", "l")
            parts = {
                "key": same_key,
                "live": table.place,
                "shadow": self.place(table),
                "code": sql.Literal(code_id),
                "code_column": sql.Identifier(table.code_column or ""),
                "both": sql.SQL("{} AND {} IS NOT DISTINCT FROM {}").format(
                    same_key, row_of("l", table), row_of("s", table)
                ),
            }
            self._conn.execute(_literal(DELETE_DIFFERING).format(**parts))
            self._conn.execute(_literal(INSERT_MISSING).format(**parts))

    def _lock(self, mode: str) -> None:
        names = sql.SQL(", ").join(table.place for table in self._swapped)
        self._run("LOCK TABLE {} IN {} MODE", names, _literal(mode))

    def _run(self, statement: str, *parts: sql.Composable) -> None:
        self._conn.execute(_literal(statement).format(*parts))


def merge_staged(projection: Projection, staging: sql.Identifier, target: sql.Identifier) -> sql.Composed:
    """Return a statement that merges staged rows with one another and into a table."""
    table, is_sum = projection.table, projection.merge is Merge.ADD
    values = [column for column in table.columns if column not in table.key]
    merged = "sum({0})::{1} AS {0}" if is_sum else "(array_agg({0}) FILTER (WHERE {0} IS NOT NULL))[1] AS {0}"
    columns: list[sql.Composable] = [*map(sql.Identifier, table.key)]
    columns += [_literal(merged).format(sql.Identifier(name), _literal(table.columns[name])) for name in values]
    rows = _literal("SELECT {} FROM {} GROUP BY {}").format(
        sql.SQL(", ").join(columns), staging, sql.SQL(", ").join(map(sql.Identifier, table.key))
    )
    if is_sum:
        names = sql.SQL(", ").join(map(sql.Identifier, [*table.key, *values]))
        return _literal("INSERT INTO {} ({}) {}").format(target, names, rows)
    changes = [_literal("{0} = coalesce(n.{0}, old.{0})").format(sql.Identifier(name)) for name in values]
    same_key = [_literal("old.{0} = n.{0}").format(sql.Identifier(name)) for name in table.key]
    return _literal("UPDATE {} AS old SET {} FROM ({}) AS n WHERE {}").format(
        target, sql.SQL(", ").join(changes), rows, sql.SQL(" AND ").join(same_key)
    )


def same_key_of(table: LiveTable, left: str, right: str) -> sql.Composed:
    """Return the condition that rows of two joined tables have the same key."""
    pairs = [sql.SQL("{} = {}").format(sql.Identifier(left, name), sql.Identifier(right, name)) for name in table.key]
    return sql.SQL(" AND ").join(pairs)


def _staging(table: LiveTable) -> sql.Identifier:
    """Return the name of this session's table of rows that wait to be merged."""
    return sql.Identifier(TEMPORARY, f"staged_{table.name}")


def row_of(alias: str, table: LiveTable) -> sql.Composed:
    """Return all columns of one of two joined tables, for comparing whole rows (NULL equals NULL)."""
    return sql.SQL("ROW({})").format(sql.SQL(", ").join(sql.Identifier(alias, name) for name in table.columns))


def drop_leftovers(conn: Connection[Any]) -> None:
    """Drop what any run, ended or killed, left behind; the live tables are in another schema."""
    for schema in (SHADOW_SCHEMA, OLD_SCHEMA):
        conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def _literal(text: str) -> sql.SQL:
    """Return a part of a statement that comes from the catalog or from this package."""
    return sql.SQL(text)
