"""The body of a letter as MIME: a text and an HTML part, in seven bits and short lines.

The standard library writes the same with some fifty objects for each letter, which took a worker longer than all the
rest of an invitation (1.2 ms of 2026's CPU); these are three headers and two encodings.
"""

import binascii

LINE_MAX = 76
"""Longest encoded line, in octets (RFC 2045 6.7 and 6.8)."""
_BASE64_LINE = LINE_MAX // 4 * 3
_MOSTLY_ASCII = 6
"""Quoted-printable takes three octets for one that is not ASCII, base64 four for any three."""


def alternative(text: str, html: str, boundary: str) -> bytes:
    """The headers from MIME-Version on, an empty line, and both parts; the better one comes last (RFC 2046 5.1.4).

    Args:
        text: Plain text with LF line ends.
        html: The same as HTML.
        boundary: In neither part; with `=_` in it, it is in no encoded line (RFC 2045 6.7).
    """
    head = f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'
    mark = f"--{boundary}"
    parts = (head.encode(), _part(mark, "plain", text), _part(mark, "html", html), mark.encode(), b"--\r\n")
    return b"".join(parts)


def _part(mark: str, subtype: str, content: str) -> bytes:
    encoding, octets = _encoded(content.encode())
    head = f'{mark}\r\nContent-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return head.encode() + octets


def _encoded(octets: bytes) -> tuple[str, bytes]:
    """The octets in the encoding that is readable or else shortest, with CRLF line ends, the last one included."""
    if not octets.endswith(b"\n"):
        octets += b"\n"
    if octets.isascii():
        lines = octets.splitlines()
        if max(map(len, lines)) <= LINE_MAX:
            return "7bit", b"\r\n".join(lines) + b"\r\n"
    beyond_ascii = len(octets) - len(octets.decode("ascii", "ignore"))
    if beyond_ascii * _MOSTLY_ASCII <= len(octets):
        return "quoted-printable", binascii.b2a_qp(octets, istext=True).replace(b"\n", b"\r\n")
    whole = octets.replace(b"\n", b"\r\n")
    lines = [
        binascii.b2a_base64(whole[at : at + _BASE64_LINE], newline=False) for at in range(0, len(whole), _BASE64_LINE)
    ]
    return "base64", b"\r\n".join(lines) + b"\r\n"
