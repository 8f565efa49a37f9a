"""The registry alone says which tables are projections: no other code names one to write or compare it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import projections
from projections.definitions.registry import PROJECTIONS
from tests.architecture.sources import nodes_of, parse

ROOT = Path(projections.__file__).parent
DEFINITIONS = ROOT / "definitions" / "tables"
WRITES = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM|COPY|LOCK TABLE|TRUNCATE)\s+([a-z_, ]+)")


def named_tables() -> Iterator[str]:
    """Places in Python that hold the name of a projection's table as a text of its own."""
    for path in ROOT.rglob("*.py"):
        if DEFINITIONS not in path.parents:
            for node in nodes_of(parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in PROJECTIONS:
                    yield f"{path.relative_to(ROOT)}:{node.lineno} {node.value}"


def written_tables() -> Iterator[str]:
    """Statements in SQL files that write or lock the table of a projection."""
    for path in (ROOT / "sql").glob("*.sql"):
        for match in WRITES.finditer(path.read_text(encoding="utf-8")):
            if {*re.split(r"[ ,]+", match[1])} & PROJECTIONS.keys():
                yield f"{path.name}: {match[0].strip()}"


def test_no_projection_is_wired_in_by_name() -> None:
    """Use `projections.definitions.registry.PROJECTIONS` instead of the name of a table."""
    assert [*named_tables()] == []


def test_no_statement_writes_a_projection() -> None:
    """Rows of projections are written by the statements that their declaration generates."""
    assert [*written_tables()] == []
