"""Encodes a body of an email for transfer, and a body that many messages share only once.

Quoted-printable text is encoded line by line, and messages of one layout differ in few lines. To encode the whole HTML
part of each message took a quarter of the worker's CPU time for an invitation (measured 2026-11-28).
"""

import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

LINE_MAX: Final = 76
"""Longest encoded line, in octets (RFC 2045 6.7 and 6.8)."""
_MOSTLY_ASCII = 6
"""Quoted-printable takes three octets for one that is not ASCII, base64 four for any three."""


class EncodedBody(NamedTuple):
    """A body with CRLF line ends, the last one included, and its Content-Transfer-Encoding."""

    encoding: str
    octets: bytes


class BodyLayout:
    """A body with marks in the places of what differs between messages.

    Args:
        content: With LF line ends.
        mark: Matches one mark, as its only group.

    Attributes:
        marks: Those that the content has.
    """

    def __init__(self, content: str, mark: re.Pattern[str]) -> None:
        self._pieces = mark.split(content)
        self.marks = frozenset(self._pieces[1::2])
        unmarked = mark.sub("", content)
        octets = unmarked.encode()
        self._octets, self._beyond_ascii = len(octets), len(octets) - len(unmarked.encode("ascii", "ignore"))
        # Otherwise the values decide about the encoding, or about the line ends.
        self._may_be_quoted = (
            content.endswith("\n")
            and "\r" not in content
            and (self._beyond_ascii > 0 or max(map(len, unmarked.split("\n"))) > LINE_MAX)
        )
        self._quoted = list(_quote_lines(content, mark)) if self._may_be_quoted else []

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the body of one message.

        Args:
            values: By mark.
        """
        return _fill(self._pieces, values)

    def encode(self, values: Mapping[str, str]) -> EncodedBody:
        """Return what `encode_body` makes of the body of one message; only lines with marks are encoded."""
        if self._may_be_quoted and all(map(_is_one_ascii_line, values.values())):
            octets = self._octets + sum([len(values.get(piece, "")) for piece in self._pieces[1::2]])
            if self._beyond_ascii * _MOSTLY_ASCII <= octets:
                lines = [
                    part if isinstance(part, bytes) else _quote(_fill(part, values).encode()) for part in self._quoted
                ]
                return EncodedBody("quoted-printable", b"".join(lines))
        return encode_body(self.fill(values))


def encode_body(content: str) -> EncodedBody:
    """Encode a text with LF line ends, readably or as short as possible."""
    octets = content.encode()
    if not octets.endswith(b"\n"):
        octets += b"\n"
    if octets.isascii():
        lines = octets.splitlines()
        if max(map(len, lines)) <= LINE_MAX:
            return EncodedBody("7bit", b"\r\n".join(lines) + b"\r\n")
    beyond_ascii = len(octets) - len(octets.decode("ascii", "ignore"))
    if beyond_ascii * _MOSTLY_ASCII <= len(octets):
        return EncodedBody("quoted-printable", _quote(octets))
    return EncodedBody("base64", encode_base64(octets.replace(b"\n", b"\r\n")))


def encode_base64(octets: bytes) -> bytes:
    """Return octets as base64, in lines that end with CRLF, the last one included."""
    encoded = binascii.b2a_base64(octets, newline=False)
    lines = [encoded[at : at + LINE_MAX] for at in range(0, len(encoded), LINE_MAX)]
    return b"\r\n".join(lines) + b"\r\n"


def _quote_lines(content: str, mark: re.Pattern[str]) -> Iterator[bytes | list[str]]:
    """Yield the lines without marks encoded, and the pieces of each line with marks."""
    quoted_until = 0
    for match in mark.finditer(content):
        if match.start() < quoted_until:
            continue  # on the line of the mark before it
        begin, end = content.rfind("\n", 0, match.start()) + 1, content.index("\n", match.start()) + 1
        yield _quote(content[quoted_until:begin].encode())
        yield mark.split(content[begin:end])
        quoted_until = end
    yield _quote(content[quoted_until:].encode())


def _quote(lines: bytes) -> bytes:
    """Encode whole lines as quoted-printable: what precedes or follows them changes nothing in them."""
    return binascii.b2a_qp(lines, istext=True).replace(b"\n", b"\r\n")


def _fill(pieces: list[str], values: Mapping[str, str]) -> str:
    return "".join([values.get(piece, piece) for piece in pieces])


def _is_one_ascii_line(value: str) -> bool:
    return value.isascii() and (value.isprintable() or not value)
