"""SQL is data: named statements of the `.sql` files here, and the numbered migrations beside them."""

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def _load() -> dict[str, LiteralString]:
    """The statements of all files.

    Raises:
        ValueError: Two have one name.
    """
    found: dict[str, LiteralString] = {}
    for entry in sorted(files(__name__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".sql"):
            for name, statement in _statements(entry.read_text(encoding="utf-8")):
                if name in found:
                    raise ValueError(f"two statements are named {name}")
                found[name] = statement
    return found


def _statements(text: str) -> Iterator[tuple[str, LiteralString]]:
    """Split a file at its `-- name:` lines; comments between name and statement describe it."""
    parts = _NAME.split(text)[1:]
    for name, statement in zip(parts[::2], parts[1::2], strict=True):
        yield name, cast("LiteralString", statement.strip().rstrip(";"))


QUERIES = _load()
"""Statement by name. The text ships with the package, so it is as trusted as a literal."""
