"""The columns of a table, declared once, and the lists of columns in statements that follow from them."""

from collections.abc import Mapping
from typing import Any, LiteralString


class Table:
    """A table that we write.

    Args:
        name: Of the table.
        key: Columns of the primary key, in order.
        columns: Types by name, in the order in which rows hold their values.
        fixed: Columns besides the key that an upsert leaves as they are, since they never change.

    Attributes:
        names: All names, as a statement lists them.
        named: A placeholder for the value of each column, by its name.
        arrays: A placeholder for the array of each column, with its type.
        rows: A SELECT that turns those arrays into rows.
        insert: A statement that inserts them.
        upsert: The same, and rows that exist get the new values.
        add: The same, and the new values are added to those of rows that exist.
        complete: A statement that sets what is not null in the new rows, in rows that exist.
    """

    def __init__(
        self, name: LiteralString, key: tuple[str, ...], columns: Mapping[str, str], fixed: tuple[str, ...] = ()
    ) -> None:
        if unknown := {*key, *fixed} - columns.keys():
            raise ValueError(f"{name} has no column {', '.join(sorted(unknown))}")
        self.name, self.key, self.columns = name, key, dict(columns)
        values = [column for column in columns if column not in key]
        self.names = ", ".join(columns)
        self.named = ", ".join(f"%({column})s" for column in columns)
        self.arrays = ", ".join(f"%s::{_array_type(kind)}" for kind in columns.values())
        self.rows = f"SELECT * FROM unnest({self.arrays})"
        if any(kind.endswith("[]") for kind in columns.values()):
            casts = ", ".join(f"n.{column}" + f"::{kind}" * kind.endswith("[]") for column, kind in columns.items())
            self.rows = f"SELECT {casts} FROM unnest({self.arrays}) AS n ({self.names})"
        self.insert = f"INSERT INTO {name} AS old ({self.names}) {self.rows}"
        conflict = f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET "
        changing = [column for column in values if column not in fixed]
        self.upsert = self.insert + conflict + ", ".join(f"{column} = excluded.{column}" for column in changing)
        self.add = (
            self.insert + conflict + ", ".join(f"{column} = old.{column} + excluded.{column}" for column in values)
        )
        coalesced = ", ".join(f"{column} = coalesce(n.{column}, old.{column})" for column in values)
        same_key = " AND ".join(f"old.{column} = n.{column}" for column in key)
        self.complete = f"UPDATE {name} AS old SET {coalesced} FROM ({self.rows}) AS n ({self.names}) WHERE {same_key}"

    def select(self, condition: LiteralString) -> LiteralString:
        """Return a statement that reads whole rows in the order of the declaration."""
        return f"SELECT {self.names} FROM {self.name} WHERE {condition}"

    def row(self, **values: Any) -> tuple[Any, ...]:
        """Return a row from values by name; columns that are not named are null.

        Raises:
            TypeError: The table has no such column.
        """
        if unknown := values.keys() - self.columns.keys():
            raise TypeError(f"{self.name} has no column {', '.join(sorted(unknown))}")
        return tuple(values.get(column) for column in self.columns)


def _array_type(kind: str) -> str:
    """Return the array type of a column's values. unnest takes nested arrays apart, so an array travels as text."""
    return "text[]" if kind.endswith("[]") else f"{kind}[]"
