"""Loaders for every timestamp that PostgreSQL can hold, also outside Python's calendar.

psycopg rejects timestamps before the year 1 and after the year 9999 in UTC, and so every list whose page holds one. A
row may hold such a timestamp, because inputs once accepted an expiry of 9999-12-31 with an offset west of UTC. These
loaders return it with an offset under which Python can hold it; a timestamp beyond that becomes the first or last one.
"""

import re
import struct
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import psycopg
from psycopg.abc import AdaptContext, Buffer
from psycopg.abc import Loader as AnyLoader
from psycopg.adapt import Loader
from psycopg.pq import Format

from domain.values.timestamps import FIRST, LAST

_OID: Final = psycopg.adapters.types["timestamptz"].oid
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MICROSECOND_S: Final = 1e-6
_HOUR: Final = timedelta(hours=1)
_WIDEST: Final = timedelta(hours=23, minutes=59)
"""Of the offsets that Python accepts in whole minutes."""
_FROM_FIRST: Final = (FIRST - _EPOCH) // _MICROSECOND
_FROM_LAST: Final = (LAST - _EPOCH) // _MICROSECOND
_read_number: Final = struct.Struct(">q").unpack
_NEAR_END: Final = re.compile(
    rb"(?P<day>10000-01-01|0001-12-31) (?P<time>\d\d:\d\d:\d\d(?:\.\d{1,6})?)\+00(?::?00)?(?P<era> BC)?"
)


def timestamp_at(microseconds: int) -> datetime:
    """Return the timestamp so many microseconds after 2000-01-01 UTC, or the first or last one of Python."""
    if _FROM_FIRST <= microseconds <= _FROM_LAST:
        return _EPOCH + timedelta(microseconds=microseconds)
    end, number = (LAST, _FROM_LAST) if microseconds > _FROM_LAST else (FIRST, _FROM_FIRST)
    if abs(microseconds - number) * _MICROSECOND_S > _WIDEST.total_seconds():
        return end
    beyond = abs(microseconds - number) * _MICROSECOND
    offset = min(-(-beyond // _HOUR) * _HOUR, _WIDEST)
    zone = timezone(-offset if end is LAST else offset)
    rest = offset - beyond
    written = end - rest if end is LAST else end + rest
    return written.replace(tzinfo=zone)


class _TextLoader(Loader):
    """Reads what psycopg's own loader reads, and what that rejects."""

    format = Format.TEXT

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._read = _PSYCOPG_TEXT(oid, context).load

    def load(self, data: Buffer) -> datetime:
        """Return the timestamp."""
        try:
            timestamp: datetime = self._read(data)
        except psycopg.DataError:
            return _parse_text(bytes(data))
        return timestamp


class _BinaryLoader(Loader):
    """The same for the binary format."""

    format = Format.BINARY

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._read = _PSYCOPG_BINARY(oid, context).load

    def load(self, data: Buffer) -> datetime:
        """Return the timestamp."""
        try:
            timestamp: datetime = self._read(data)
        except psycopg.DataError:
            return timestamp_at(*_read_number(data))
        return timestamp


def _parse_text(text: bytes) -> datetime:
    """Parse a timestamp as PostgreSQL writes it in the time zone UTC, which all our sessions have."""
    is_before = text.endswith(b" BC") or text == b"-infinity"
    form = _NEAR_END.fullmatch(text)
    if form is None or (form["day"] == b"10000-01-01") == bool(form["era"]):
        return FIRST if is_before else LAST
    # The same time of day on a day that can be written, moved to where it belongs.
    near = datetime.fromisoformat(f"2000-01-01T{form['time'].decode()}+00:00") - _EPOCH
    beyond = near + _MICROSECOND if not is_before else timedelta(days=1) - near
    number = _FROM_FIRST - beyond // _MICROSECOND if is_before else _FROM_LAST + beyond // _MICROSECOND
    return timestamp_at(number)


def _loader_of_psycopg(form: Format) -> type[AnyLoader]:
    loader = psycopg.adapters.get_loader(_OID, form)
    if loader is None:
        raise AssertionError
    return loader


_PSYCOPG_TEXT: Final = _loader_of_psycopg(Format.TEXT)
_PSYCOPG_BINARY: Final = _loader_of_psycopg(Format.BINARY)


def register_timestamp_loaders() -> None:
    """Register the loaders for every connection that is opened from now on."""
    psycopg.adapters.register_loader(_OID, _TextLoader)
    psycopg.adapters.register_loader(_OID, _BinaryLoader)
