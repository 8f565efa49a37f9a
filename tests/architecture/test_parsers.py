"""One parser of timestamps and one of numbers: a second one would drift away from the first, and its bounds too."""

import ast
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PARSERS: Final = frozenset({"fromisoformat", "strptime", "AwareDatetime", "NaiveDatetime"})
INPUTS: Final = ("api", "domain", "workers", "projections/legacy")
"""Where what people and programs write is read."""
ITS_PLACE: Final = "domain/values/timestamps.py"
PARAMETERS: Final = frozenset({"Query", "Header", "Path"})


def trees() -> dict[str, ast.Module]:
    """The sources of what reads input, parsed."""
    paths = [path for folder in INPUTS for path in (ROOT / folder).rglob("*.py")]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in paths}


def test_timestamps_are_parsed_in_one_place() -> None:
    """Everything else calls `domain.values.timestamps`."""
    found = {
        path
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if PARSERS & {getattr(node, "attr", None), getattr(node, "id", None)}
    }

    assert {ITS_PLACE} == found


def test_numbers_in_addresses_and_headers_are_read_strictly() -> None:
    """Each parameter that holds a number says so with `IN_DIGITS`; without it a space, a sign or 1_0 would be one."""
    annotations = [
        (path, ast.unparse(node.slice))
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) and _names(node.value) == {"Annotated"}
    ]
    numbers = [
        (path, text)
        for path, text in annotations
        if text.startswith(("(int,", "(int | None,", "int,", "int | None,"))
        and any(f"{name}(" in text for name in PARAMETERS)
    ]

    assert len(numbers) > 10
    assert [(path, text) for path, text in numbers if "IN_DIGITS" not in text] == []


def _names(node: ast.expr) -> set[str]:
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
