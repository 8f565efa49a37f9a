"""Renders an `OutboundMessage` as an email: subject, text and HTML, and the bytes of its MIME message.

The same message gives the same bytes on every attempt, so that receivers recognize a repeat.
"""

import binascii
import hashlib
from email.header import Header
from email.utils import format_datetime
from functools import lru_cache
from itertools import groupby
from typing import Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from domain.ports import OutboundMessage
from domain.values.timestamps import in_utc

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
    encoding, octets = _transfer_encoded(content.encode())
    head = f'{mark}\r\nContent-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return head.encode() + octets


def _transfer_encoded(octets: bytes) -> tuple[str, bytes]:
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


SUBJECT_LINE_MAX = 76
"""RFC 2047 section 2: no line with an encoded word is longer."""

GROUP: Final = "{group}"
"""Where a group's own words name it."""

_TEMPLATES = Environment(
    loader=PackageLoader("workers.channels"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    auto_reload=False,
)


class MessageParts(NamedTuple):
    """A message as its recipient reads it."""

    subject: str
    text: str
    html: str


def message_bytes(message: OutboundMessage, sender: str, recipient: str) -> bytes:
    """Write a message: a text and an HTML part that say the same.

    Args:
        message: What to say to whom.
        sender: Value of the From header, in ASCII.
        recipient: Address for the To header; one beyond ASCII needs a server with SMTPUTF8.

    Returns:
        The message with CRLF line ends, its last one included.

    Raises:
        ValueError: A header would hold a line break.
    """
    parts = render_parts(message)
    headers = {
        "Message-ID": message.message_id,
        "Date": format_datetime(message.written_at),
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


def render_parts(message: OutboundMessage) -> MessageParts:
    """Render what a message says."""
    group = _strip_control(message.group)
    written_at = in_utc(message.written_at)
    variables: dict[str, object] = {
        "written_on": f"{written_at:%Y-%m-%d}",
        "written_time": f"{written_at:%H:%M}",
        "link": message.link,
        "group": group,
        "paragraphs": _paragraphs(message.text, group),
    }
    if message.ends_at is not None:
        ends_at = in_utc(message.ends_at)
        variables |= {"ends_on": f"{ends_at:%Y-%m-%d}", "ends_time": f"{ends_at:%H:%M}"}
    # A text template's first line is the subject.
    text = _TEMPLATES.get_template(f"{message.template}.{message.language}.txt").render(**variables)
    default_subject, _, text = text.partition("\n")
    subject = _strip_control(message.subject.replace(GROUP, group)) or default_subject
    html = _TEMPLATES.get_template(f"{message.template}.{message.language}.html").render(**variables, subject=subject)
    return MessageParts(subject, text.lstrip("\n"), html)


def _paragraphs(text: str, group: str) -> list[list[str]]:
    """Lines by paragraph; paragraphs are parted by empty lines."""
    lines = [_strip_control(line) for line in text.replace(GROUP, group).splitlines()]
    return [list(some) for is_text, some in groupby(lines, key=bool) if is_text]


def _body(message: OutboundMessage, parts: MessageParts) -> bytes:
    boundary = f"=_{hashlib.sha256(message.message_id.encode()).hexdigest()[:40]}"
    return alternative(parts.text, parts.html, boundary)


def _strip_control(group: str | None) -> str:
    """A group's name without line breaks and control characters; empty if there is none."""
    return "".join(character if character.isprintable() else " " for character in group or "").strip()


@lru_cache(maxsize=256)
def _encoded(subject: str) -> str:
    if subject.isascii() and len(subject) < SUBJECT_LINE_MAX - len("Subject: "):
        return subject
    return Header(subject, "utf-8", SUBJECT_LINE_MAX, "Subject").encode(linesep="\r\n")


def _header(name: str, value: str) -> bytes:
    # A line may break only where the next one begins with a space: everything else would be a new header.
    if any(not line or line.splitlines() != [line] for line in value.split("\r\n ")):
        raise ValueError(f"The {name} header would hold a line break.")
    return f"{name}: {value}\r\n".encode()
