"""How large a page may be with every file that it loads."""

from typing import Final

PAGE_BYTES_MAX: Final = 114_000
"""Bytes before compression, about a third of that on the wire. What was typed, and types of events, took the last 8,000."""
