"""Times and numbers at the ends of what a machine can hold, and things that only look like times or numbers."""

from typing import Any, Final

from domain.values.number_bounds import USES
from domain.values.timestamps import EARLIEST, LATEST

LAST_WEST: Final = "9999-12-31T23:59:59-14:00"
"""The year 10000 in UTC."""
FIRST_EAST: Final = "0001-01-01T00:00:00+14:00"
"""The year 0 in UTC."""
BEYOND: Final = (
    LAST_WEST,
    FIRST_EAST,
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00Z",
    "9000-01-01T00:00:00Z",
    "1999-12-31T23:59:59.999999Z",
    "8999-12-31T23:59:59-14:00",
    "2000-01-01T00:00:00+14:00",
)
"""Timestamps that are well-formed and lie outside the bounds."""
NO_TIMES: Final = (
    *("", "1895764787", "-2.6e-260", "0", "20270131", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
    *("2027-02-30T00:00:00Z", "2027-01-31T24:01:00Z", "2027-01-31T00:00:00+25:00", "now", "infinity", "true"),
    *("2027-W05-1", "２０２７-01-31T00:00:00Z", "2027-01-31T00:00:00Z" + "0" * 5000),
)
"""Texts that are no timestamps."""
AT_THE_ENDS: Final = (EARLIEST.isoformat(), LATEST.isoformat(), "8999-12-31T23:59:59.999999-00:00")
"""Timestamps at the bounds, which are taken."""
NO_JSON_TIMES: Final[tuple[Any, ...]] = (
    *(*BEYOND, *NO_TIMES, "2027-01-31T00:00:00"),
    *(1895764787, 0, -1, 1.5, 2**63, -(2**63), 10**30, True, False, [], {}, ["2027-01-31T00:00:00Z"]),
)
NO_JSON_NUMBERS: Final[tuple[Any, ...]] = (
    *(True, False, "1", "", "x", 1.5, 1e300, "1.0", -(2**63), 2**63, 10**30, 10**400, [], {}, [1]),
)
NO_JSON_BOOLEANS: Final[tuple[Any, ...]] = (0, 1, "yes", "true", "on", "1", "", 2, 1.0, [], {})
NO_JSON_TEXTS: Final[tuple[Any, ...]] = (0, 1, 1.5, 10**30, True, False, [], {}, ["x"])
NO_JSON_LISTS: Final[tuple[Any, ...]] = ("", "x", "[]", 0, 1, True, {}, {"0": "x"})
NO_WRITTEN_NUMBERS: Final = (
    *("true", "-1", "+1", " 1", "1_0", "1.0", "1e3", "0x1", "９", "٣", "", "x"),
    *(str(2**63), str(10**30), "9" * 4400),
)
"""Texts that are no whole numbers, or above every bound."""
TYPED: Final = (LAST_WEST, FIRST_EAST, "1895764787", "0", "-1", "9" * 4400, "")
"""Typed where a command or a form asks for whatever it asks for."""
FILE_CELLS: Final = (
    *(*BEYOND[:4], *AT_THE_ENDS, "1895764787", "0", "-1", "true", "1", "9" * 30, str(USES.most), str(USES.most + 1)),
    *("2027-01-31T00:00:00+14:00", "8999-12-31", "yes", "unlimited"),
)
"""Cells of files, some of which each column takes."""
