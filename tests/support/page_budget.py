"""How large a page may be with every file that it loads."""

from typing import Final

PAGE_BYTES_MAX: Final = 121_000
"""Bytes before compression, a third of that on the wire.

Event types, tables, a term and hours that come twice took 14,000 of them, and forms that are filled in again 1,000.
"""
