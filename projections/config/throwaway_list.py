"""The list of throw-away domains: that of this version, changed by a file of the operator."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator

from domain.values.persons.throwaway_domains import read_names

VENDORED: Final = Path(__file__).parent / "throwaway_domains.txt"
LISTS_CACHED_MAX: Final = 4
"""Lists that a process keeps: one in production, some more in tests."""


@lru_cache(maxsize=LISTS_CACHED_MAX)
def load_throwaway_domains(file: Path | None) -> frozenset[str]:
    """Return the names of throw-away domains. A process reads each file once.

    Args:
        file: Of the operator, which adds names to those of this version or removes some; None: only those.

    Raises:
        ValueError: The file cannot be read, or a line of it is not a domain name.
    """
    listed = read_names(VENDORED.read_text().splitlines())
    if file is None:
        return listed
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    try:
        return read_names(lines, listed)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _check_file(file: Path) -> Path:
    load_throwaway_domains(file)
    return file


ThrowawayFile = Annotated[Path, AfterValidator(_check_file)]
"""A file that changes the list; one that cannot be read is an error of the settings."""
