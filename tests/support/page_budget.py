"""How large a page may be with every file that it loads."""

from typing import Final

PAGE_BYTES_MAX: Final = 119_500
"""Bytes before compression, a third of that on the wire. Event types, tables and a term took the last 13,500."""
