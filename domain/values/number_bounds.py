"""Bounds of the numbers that requests, forms, files and commands name, and how a text becomes such a number."""

import re
from typing import Final, NamedTuple


class Bounds(NamedTuple):
    """The least and the greatest whole number that is accepted, both included."""

    least: int
    most: int

    def holds(self, number: int) -> bool:
        """Return whether a number lies inside. A boolean is not a number."""
        return type(number) is int and self.least <= number <= self.most


USES: Final = Bounds(1, 2**53)
"""The limit of a code. A code that must not be redeemed is paused. Above it many readers of JSON round numbers."""
USES_SO_FAR: Final = Bounds(0, 2**53)
"""Uses that an imported code has already."""
DAYS: Final = Bounds(1, 36_500)
"""Days of access."""
REMINDER_DAYS: Final = Bounds(1, 30)
"""How many days before its end a campaign reminds of an invitation."""
WAITING_HOURS: Final = Bounds(1, 720)
"""Hours for which a use is offered to a person on a waiting list: 30 days at most."""
MAILS_PER_MINUTE: Final = Bounds(1, 100_000)
"""Emails of a hand-out per minute."""
LINE_CODES: Final = Bounds(1, 1_000)
"""Codes of one line of a hand-out: the file that its email attaches has 120 kB then, which mail servers accept."""
REBINDS: Final = Bounds(0, 1_000)
"""How often an access grant may be moved to another group."""
CHECKPOINTS: Final = Bounds(1, 2**31 - 1)
"""Numbers of checkpoints."""
PORTS: Final = Bounds(1, 65_535)
"""TCP ports."""
JSON_INTEGER_MAX: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8259, section 6)."""
VERSIONS: Final = Bounds(0, JSON_INTEGER_MAX)
"""Versions of a code's stream, as requests name them."""
POSITIONS: Final = Bounds(0, JSON_INTEGER_MAX)
"""Positions of the log, as requests name them."""


class NumberError(ValueError):
    """A text is not an acceptable number. The message is a sentence whose subject, the field, is left out."""

    def __init__(self, bounds: Bounds) -> None:
        super().__init__(f"is not a whole number from {bounds.least} to {bounds.most}")


def parse_number(typed: str, bounds: Bounds) -> int:
    """Read a whole number that a person or a program wrote in digits 0 to 9, without sign, space or point.

    Raises:
        NumberError: It cannot be read, or lies outside the bounds.
    """
    if not (typed.isascii() and typed.isdecimal()):
        raise NumberError(bounds)
    digits = typed.lstrip("0") or "0"
    if len(digits) > len(str(bounds.most)) or not bounds.holds(number := int(digits)):
        raise NumberError(bounds)
    return number


_DAYS: Final = "(?:[1-9][0-9]{0,3}|[12][0-9]{4}|3[0-5][0-9]{3}|36[0-4][0-9]{2}|36500)D"
_WEEKS: Final = "(?:[1-9][0-9]{0,2}|[1-4][0-9]{3}|5[01][0-9]{2}|520[0-9]|521[0-4])W"
DURATION_PATTERN: Final = f"^P(?:{_DAYS}|{_WEEKS})$"
"""Durations within `DAYS`, in days or weeks as ISO 8601 writes them."""
DURATION_LENGTH_MAX: Final = len(f"P{DAYS.most}D")
_DURATION: Final = re.compile(r"P([1-9][0-9]{0,4})([DW])")


class DurationError(ValueError):
    """A text is not a duration in days or weeks. The message is a sentence whose subject, the field, is left out."""

    def __init__(self) -> None:
        super().__init__(f"is not an ISO 8601 duration from P{DAYS.least}D to P{DAYS.most}D, such as P7D or P2W")


def parse_days(typed: str) -> int:
    """Return the days of a duration such as `P7D`, or `P2W` for weeks.

    Raises:
        DurationError: It cannot be read, or lies outside `DAYS`.
    """
    duration = _DURATION.fullmatch(typed)
    days = int(duration[1]) * (7 if duration[2] == "W" else 1) if duration else 0
    if not DAYS.holds(days):
        raise DurationError
    return days


def format_days(days: int) -> str:
    """Return the duration of some days, such as `P7D`."""
    return f"P{days}D"
