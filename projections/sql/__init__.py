"""SQL is data: named statements of queries.sql, and the numbered migrations beside it."""

import re
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def _load() -> dict[str, LiteralString]:
    """Split the file at its `-- name:` lines; comments between name and statement describe it."""
    text = files(__name__).joinpath("queries.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    return {
        name: cast("LiteralString", statement.strip().rstrip(";"))
        for name, statement in zip(parts[::2], parts[1::2], strict=True)
    }


QUERIES = _load()
"""Statement by name. The text ships with the package, so it is as trusted as a literal."""
