"""The result of one health check."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

Status = Literal["ok", "wrong", "skipped", "reminder"]


class CheckResult(NamedTuple):
    """One row of the health check, and one document of its JSON.

    Attributes:
        name: The subject.
        status: `skipped` if another result prevents the check; a `reminder` is not an error.
        found: What the check found.
        remedy: What to do; empty if nothing has to be done.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""


CheckResults = Iterator[CheckResult]


def format_duration(seconds: float) -> str:
    """Return a duration in words, rounded."""
    if seconds < 100:  # noqa: PLR2004 - at most two digits
        return f"{seconds:.0f} s"
    if seconds < 6000:  # noqa: PLR2004 - the same in minutes
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
