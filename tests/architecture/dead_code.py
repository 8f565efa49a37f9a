"""Dead code by vulture, less the fields of records: `python -m tests.architecture.dead_code`.

A field is read by a codec, a template or a client, so vulture can't see its use; everything else that only a
framework calls is named, with the framework, in pyproject.toml.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from vulture import Vulture
from vulture.config import make_config

from tests.architecture.sources import find, parse


def unused_code(folder: Path) -> list[str]:
    """What nothing in the packages uses, one line for each.

    Args:
        folder: Where the packages and pyproject.toml are.
    """
    with (folder / "pyproject.toml").open("rb") as settings:
        config = make_config([], settings)
    scan = Vulture(ignore_names=config["ignore_names"], ignore_decorators=config["ignore_decorators"])
    scan.scavenge([str(folder / path) for path in config["paths"]])
    return [
        f"{unused_item.filename.relative_to(folder)}:{unused_item.first_lineno}: {unused_item.message}"
        for unused_item in scan.get_unused_code(min_confidence=config["min_confidence"])
        if unused_item.first_lineno not in set(_fields(Path(unused_item.filename)))
    ]


def _fields(path: Path) -> Iterator[int]:
    """Lines that declare a field: an annotated name in the body of a class."""
    for node in find(parse(path.read_text("utf-8")), ast.ClassDef):
        yield from (field.lineno for field in node.body if isinstance(field, ast.AnnAssign))


if __name__ == "__main__":
    sys.exit("\n".join(unused_code(Path.cwd())) or None)
