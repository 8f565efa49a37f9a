"""How large a page may be with every file that it loads."""

from typing import Final

PAGE_BYTES_MAX: Final = 120_000
"""Bytes before compression, a third of that on the wire.

Event types, tables, a term and hours that come twice took the last 14,000.
"""
