"""The browser and the system that a User-Agent header names, for lists of sessions.

The header is whatever a client sends, so only names of this module are stored, and nothing is decided by them.
"""

from collections.abc import Sequence
from typing import Final

from projections.repositories.staff_sessions import Device

READ_MAX: Final = 512
"""Characters of the header that are read; browsers send about 150."""
BROWSERS: Final[Sequence[tuple[str, str]]] = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("MicroMessenger/", "WeChat"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
"""What the header has in it, and the browser: most of them also name those further down."""
SYSTEMS: Final[Sequence[tuple[str, str]]] = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
"""Likewise, for the system."""


def read_device(user_agent: str) -> Device:
    """Return the names of browser and system; an empty one for what is not recognized."""
    text = user_agent[:READ_MAX]
    browser, system = (next((name for mark, name in names if mark in text), "") for names in (BROWSERS, SYSTEMS))
    return Device(browser, system)
