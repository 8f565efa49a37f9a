"""Writes an `OutboundMessage` as the bytes of an email: headers, and a MIME body with text and HTML.

The same message gives the same bytes on every attempt, so that receivers recognize a repeat.
"""

import binascii
import hashlib
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from functools import lru_cache

from domain.ports import OutboundMessage
from domain.values.timestamps import in_utc
from workers.channels.mail_text import MessageParts, render_parts

LINE_MAX = 76
"""Longest encoded line, in octets (RFC 2045 6.7 and 6.8)."""
_BASE64_LINE = LINE_MAX // 4 * 3
_MOSTLY_ASCII = 6
"""Quoted-printable takes three octets for one that is not ASCII, base64 four for any three."""


def alternative(text: str, html: str, boundary: str) -> bytes:
    """Return the headers from MIME-Version on, an empty line, and both parts; the better one is last (RFC 2046 5.1.4).

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
    encoding, octets = _transfer_encoded(content.encode())
    head = f'{mark}\r\nContent-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return head.encode() + octets


def _transfer_encoded(octets: bytes) -> tuple[str, bytes]:
    """Encode octets, readably or as short as possible, with CRLF line ends, the last one included."""
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


SUBJECT_LINE_MAX = 76
"""RFC 2047 section 2: no line with an encoded word is longer."""


def message_bytes(message: OutboundMessage, sender: str, recipient: str) -> bytes:
    """Write a message: a text and an HTML part that say the same.

    Args:
        message: What to say to whom.
        sender: Value of the From header, in ASCII.
        recipient: Address for the To header; one beyond ASCII needs a server with SMTPUTF8.

    Returns:
        The message with CRLF line ends, its last one included.

    Raises:
        ValueError: A header would contain a line break.
    """
    parts = render_parts(message)
    headers = {
        "Message-ID": message.message_id,
        "Date": _date(in_utc(message.written_at).replace(microsecond=0)),
        "From": sender,
        "To": recipient,
        "Subject": _encoded(parts.subject),
        "Auto-Submitted": "auto-generated",
        "Content-Language": message.language,
    }
    if message.request_id:
        headers["X-Request-ID"] = message.request_id
    # Written by hand: the library would break long ids and addresses into encoded words.
    return b"".join(map(_header, headers, headers.values())) + _body(message, parts)


def _body(message: OutboundMessage, parts: MessageParts) -> bytes:
    boundary = f"=_{hashlib.sha256(message.message_id.encode()).hexdigest()[:40]}"
    return alternative(parts.text, parts.html, boundary)


@lru_cache(maxsize=256)
def _date(second: datetime) -> str:
    """Return the Date header of a second: a backlog has many messages of the same one."""
    return format_datetime(second)


@lru_cache(maxsize=256)
def _encoded(subject: str) -> str:
    if subject.isascii() and len(subject) < SUBJECT_LINE_MAX - len("Subject: "):
        return subject
    return Header(subject, "utf-8", SUBJECT_LINE_MAX, "Subject").encode(linesep="\r\n")


def _header(name: str, value: str) -> bytes:
    # A line may break only where the next one begins with a space: everything else would be a new header. A printable
    # value has no line break of any kind.
    is_one_line = value != "" and value.isprintable()
    if not is_one_line and any(not line or line.splitlines() != [line] for line in value.split("\r\n ")):
        raise ValueError(f"The {name} header would contain a line break.")
    return f"{name}: {value}\r\n".encode()
