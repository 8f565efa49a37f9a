"""Named SQL statements, one file per package that owns the tables, and the numbered migrations.

A statement is an attribute: `EventStoreSql.insert_events` is the text below `-- name: insert_events` in its file.
Where a statement lists the columns of a declared table, it says `{recipients.insert}`, `{recipients.names}` and so on
(`projections.sql.table.Table`). `-- name: newest_codes, oldest_codes` is two statements that read a list from either
end: `{order.beyond}` compares with the last row of the page before, and `{order.turn}` ends each column of ORDER BY.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Final, LiteralString, NamedTuple, cast

from projections.sql.table import Table

_PART = re.compile(r"\{(\w+)\.(\w+)\}")
_NAME = re.compile(r"^-- name: (\w+)(?:, (\w+))?$", re.MULTILINE)


class _Order(NamedTuple):
    """The direction of a statement that reads a list."""

    beyond: str
    turn: str


_DOWN: Final = _Order("<", " DESC")
_UP: Final = _Order(">", "")


class Statements:
    """The statements of one file, which a subclass declares by name.

    The file is read when the subclass is made.

    Raises:
        ValueError: A statement is declared and not in the file, is in the file and not declared, or is there twice.
        LookupError: A statement names a table or a part of it that is not declared.
    """

    def __init_subclass__(cls, *, file: str, tables: Sequence[Table] = ()) -> None:
        """Set each declared attribute to the statement of that name, with the parts of tables that it names."""
        super().__init_subclass__()
        by_name = {table.name: table for table in tables}
        statements = list(_statements(files(__name__).joinpath(file).read_text(encoding="utf-8")))
        names = [name for name, _ in statements]
        if wrong := {*names} ^ {*cls.__annotations__} or {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{file} and its class do not agree on {', '.join(sorted(wrong))}")
        for name, statement in statements:
            setattr(cls, name, _PART.sub(lambda part: _part_of(by_name, file, part[1], part[2]), statement))


def _part_of(tables: Mapping[str, Table], file: str, table: str, part: str) -> str:
    if (text := getattr(tables.get(table), part, None)) is None:
        raise LookupError(f"{file}: no {table}.{part} is declared")
    return str(text)


def _statements(text: str) -> Iterator[tuple[str, LiteralString]]:
    """Split a file at its `-- name:` lines; comments between name and statement describe it.

    The text ships with the package, so it is as trusted as a literal.
    """
    parts = _NAME.split(text)[1:]
    for name, turned, statement in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        for each, order in ((name, _DOWN), (turned, _UP)):
            if each is not None:
                directed = statement.replace("{order.beyond}", order.beyond).replace("{order.turn}", order.turn)
                yield each, cast("LiteralString", directed.strip().rstrip(";"))
