"""What a check-up says of one thing."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

Status = Literal["ok", "wrong", "skipped", "reminder"]


class CheckResult(NamedTuple):
    """One line of the check-up.

    Attributes:
        name: What was looked at.
        status: skipped where it could not be looked at because of another finding; a reminder is no fault.
        found: What is the case.
        remedy: What to do; empty if nothing has to be done.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""


CheckResults = Iterator[CheckResult]


def format_duration(seconds: float) -> str:
    """A length of time in words, rounded."""
    if seconds < 100:  # noqa: PLR2004 - two digits are read at a glance
        return f"{seconds:.0f} s"
    if seconds < 6000:  # noqa: PLR2004 - the same in minutes
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
