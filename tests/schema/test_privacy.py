"""The data map in docs/reference/data-map.md is complete: each table and column of the schema stands there once."""

import re
from pathlib import Path

from projections.sql.term_columns import TERM_COLUMNS

ROOT = Path(__file__).parents[2]
SCHEMA = (ROOT / "tests" / "schema" / "approved_schema.sql").read_text("utf-8")
TERMS = "the terms of codes"
"""Stands for the columns of all terms: none of them is about a person."""
PAGE = (ROOT / "docs" / "reference" / "data-map.md").read_text("utf-8")


def in_schema() -> dict[str, set[str]]:
    return {
        name: set(re.findall(r'^    "?(\w+)"? (?!KEY|\()', body, re.MULTILINE)) - {"CONSTRAINT"}
        for name, body in re.findall(r"CREATE (?:UNLOGGED )?TABLE public\.(\w+) \((.*?)\n\)", SCHEMA, re.DOTALL)
    }


def on_page() -> dict[str, list[str]]:
    columns_by_table: dict[str, list[str]] = {}
    for row in re.findall(r"^\| `([a-z_]+)` \|(.*)\|$", PAGE, re.MULTILINE):
        cells = row[1].split(" | ")
        columns = re.findall(r"`(\w+)`", " ".join(cells[1:3]))
        columns_by_table.setdefault(row[0], []).extend([*columns, *TERM_COLUMNS] if TERMS in row[1] else columns)
    return columns_by_table


def test_every_table_and_column_is_mapped() -> None:
    """A new one needs its place in docs/reference/data-map.md: what it holds, why, how long, and how it is erased."""
    real, documented = in_schema(), on_page()
    unmapped = {name: missing for name in real if (missing := real[name] - {*documented.get(name, ())})}
    removed = {name: gone for name in documented if (gone := {*documented[name]} - real.get(name, set()))}

    assert unmapped == {}, "add what it holds, why, how long, and how it is erased to docs/reference/data-map.md"
    assert removed == {}, "remove it from docs/reference/data-map.md, or run `make approve` if a migration adds it"
    assert real.keys() == documented.keys()
    assert {name: columns for name, columns in documented.items() if len(columns) != len(set(columns))} == {}
