"""JSON Lines with a checksum in every line over all lines up to it, so that damage is found and its line is named.

The checksum is not a signature: it finds accidents. The Merkle root and the signed checkpoints, which are among the
lines, show that the events were not altered.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, BinaryIO, NamedTuple

import orjson

LINE_BYTES_MAX = 1 << 20
"""Longest line that is read; the longest that is written hold a text of 4 kB."""
_CHECK_BYTES = 12
_MARK = b',"check":"'
_TAIL_BYTES = len(_MARK) + 2 * _CHECK_BYTES + len(b'"}\n')


class DamagedFileError(Exception):
    """A file is not as it was written. The message names the line and what is wrong with it."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")


class Line(NamedTuple):
    """One line whose checksum is right.

    Attributes:
        number: Counted from 1.
        document: What it says.
    """

    number: int
    document: dict[str, Any]


class LineWriter:
    """Writes lines with their checksums."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._chain = b""

    def write(self, document: dict[str, Any]) -> None:
        """Write one line; the document must not be empty."""
        body = orjson.dumps(document, option=orjson.OPT_UTC_Z)
        self._chain = sha256(self._chain + body).digest()
        self._file.write(body[:-1] + _MARK + self._chain[:_CHECK_BYTES].hex().encode() + b'"}\n')


def read_lines(source: BinaryIO, name: str) -> Iterator[Line]:
    """Yield the lines of a file whose first line has `format` and whose last line has `end`; both included.

    Args:
        source: From its beginning.
        name: The expected format.

    Raises:
        DamagedFileError: A line is altered, missing, moved or cut, or the file is of another format.
    """
    chain, number, has_ended = b"", 0, False
    while raw := source.readline(LINE_BYTES_MAX):
        number += 1
        if has_ended:
            raise DamagedFileError(number, "the file continues after the end line")
        body, chain = _unchained(raw, number, chain)
        document: dict[str, Any] = orjson.loads(body)
        if number == 1 and document.get("format") != name:
            raise DamagedFileError(1, f"this is not a file of the format {name!r}")
        has_ended = "end" in document
        yield Line(number, document)
    if not has_ended:
        raise DamagedFileError(number + 1, "the file ends without its end line: it is incomplete")


def _unchained(raw: bytes, number: int, chain: bytes) -> tuple[bytes, bytes]:
    """Return a line without its checksum, and the chain up to it."""
    if not raw.endswith(b'"}\n') or len(raw) <= _TAIL_BYTES or not raw[-_TAIL_BYTES:].startswith(_MARK):
        why = "the line is incomplete" if not raw.endswith(b"\n") else "the line is not of this format"
        raise DamagedFileError(number, why)
    body = raw[:-_TAIL_BYTES] + b"}"
    chain = sha256(chain + body).digest()
    if raw[-_TAIL_BYTES + len(_MARK) : -3] != chain[:_CHECK_BYTES].hex().encode():
        raise DamagedFileError(number, "the line was altered, or an earlier line is missing or moved")
    return body, chain
