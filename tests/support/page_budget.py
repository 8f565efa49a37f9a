"""How large a page may be with every file that it loads."""

from typing import Final

PAGE_BYTES_MAX: Final = 119_000
"""Bytes before compression, a third of that on the wire. Typed values, event types and tables took the last 13,000."""
