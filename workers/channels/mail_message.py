"""Writes an `OutboundMessage` as an email: its subject, text and HTML from templates, and the bytes with headers.

Thousands of messages differ only in their link and their dates. So a template is rendered once for each group and
language, with marks in the places of link and dates, and each message fills in its own values. The same message gives
the same bytes on every attempt, so that receivers recognize a repeat.
"""

import binascii
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from functools import lru_cache
from itertools import groupby
from typing import Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import escape

from domain.ports import Language, OutboundMessage, Template
from domain.values.timestamps import in_utc
from projections.telemetry.tracing import TRACING

LINE_MAX = 76
"""Longest encoded line, in octets (RFC 2045 6.7 and 6.8)."""
_BASE64_LINE = LINE_MAX // 4 * 3
_MOSTLY_ASCII = 6
"""Quoted-printable takes three octets for one that is not ASCII, base64 four for any three."""
SUBJECT_LINE_MAX = 76
"""RFC 2047 section 2: no line with an encoded word is longer."""
GROUP: Final = "{group}"
"""Stands for the group's name in its own subject and text."""
LAYOUTS_MAX: Final = 256
"""Layouts that a process keeps, some 10 kB each."""
_MARKS: Final[Mapping[str, str]] = {
    "link": "\ue000",
    "written_on": "\ue001",
    "written_time": "\ue002",
    "ends_on": "\ue003",
    "ends_time": "\ue004",
    "starts_on": "\ue007",
    "starts_time": "\ue008",
    "opt_out": "\ue005",
    "code": "\ue006",
}
"""Marks of a layout for the values of one message, by the name of the template's variable.

The characters are of private use: no text of a group holds one, because `_strip_control` removes them.
"""
_MARK: Final = re.compile(f"([{''.join(_MARKS.values())}])")
_TEMPLATES: Final = Environment(
    loader=PackageLoader("workers.channels"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    auto_reload=False,
)

# --- Content ---


class MessageParts(NamedTuple):
    """A message as its recipient reads it."""

    subject: str
    text: str
    html: str


class _Layout(NamedTuple):
    """The pieces of a message in order; those that are marks stand for the values of one message."""

    subject: list[str]
    text: list[str]
    html: list[str]


def render_parts(message: OutboundMessage) -> MessageParts:
    """Render what a message says."""
    kind = message.template, message.language, message.group, message.subject, message.text
    # A hand-out's own text has values of its recipient, so its layout serves no other message.
    is_personal = bool(message.code and (message.subject or message.text))
    lay_out = _lay_out.__wrapped__ if is_personal else _lay_out
    layout = lay_out(
        *kind,
        has_start=message.starts_at is not None,
        has_end=message.ends_at is not None,
        has_opt_out=bool(message.opt_out_link),
    )
    written_at = in_utc(message.written_at)
    values = {
        _MARKS["link"]: message.link,
        _MARKS["written_on"]: f"{written_at:%Y-%m-%d}",
        _MARKS["written_time"]: f"{written_at:%H:%M}",
        _MARKS["code"]: message.code,
    }
    if message.opt_out_link:
        values[_MARKS["opt_out"]] = message.opt_out_link
    if message.ends_at is not None:
        ends_at = in_utc(message.ends_at)
        values |= {_MARKS["ends_on"]: f"{ends_at:%Y-%m-%d}", _MARKS["ends_time"]: f"{ends_at:%H:%M}"}
    if message.starts_at is not None:
        starts_at = in_utc(message.starts_at)
        values |= {_MARKS["starts_on"]: f"{starts_at:%Y-%m-%d}", _MARKS["starts_time"]: f"{starts_at:%H:%M}"}
    subject, text = _fill(layout.subject, values), _fill(layout.text, values)
    links = {_MARKS["link"]: str(escape(message.link)), _MARKS["opt_out"]: str(escape(message.opt_out_link))}
    links[_MARKS["code"]] = str(escape(message.code))
    return MessageParts(subject, text, _fill(layout.html, {**values, **links}))


@lru_cache(maxsize=LAYOUTS_MAX)
def _lay_out(
    template: Template,
    language: Language,
    group_name: str | None,
    own_subject: str,
    own_text: str,
    *,
    has_start: bool,
    has_end: bool,
    has_opt_out: bool,
) -> _Layout:
    """Render the templates of a kind of message once, with marks for what differs between its messages."""
    group = _strip_control(group_name)
    variables: dict[str, object] = {**_MARKS, "group": group, "paragraphs": _paragraphs(own_text, group)}
    if not has_end:
        del variables["ends_on"], variables["ends_time"]
    if not has_start:
        del variables["starts_on"], variables["starts_time"]
    if not has_opt_out:
        variables["opt_out"] = ""
    # The first line of a text template is the subject.
    text = _TEMPLATES.get_template(f"{template}.{language}.txt").render(**variables)
    default_subject, _, text = text.partition("\n")
    subject = _strip_control(own_subject.replace(GROUP, group)) or default_subject
    html = _TEMPLATES.get_template(f"{template}.{language}.html").render(**variables, subject=subject)
    return _Layout(_MARK.split(subject), _MARK.split(text.lstrip("\n")), _MARK.split(html))


def _fill(pieces: list[str], values: Mapping[str, str]) -> str:
    return "".join([values.get(piece, piece) for piece in pieces])


def _paragraphs(text: str, group: str) -> list[list[str]]:
    """Return lines by paragraph. Empty lines separate paragraphs."""
    lines = [_strip_control(line) for line in text.replace(GROUP, group).splitlines()]
    return [list(some) for is_text, some in groupby(lines, key=bool) if is_text]


def _strip_control(text: str | None) -> str:
    """Return a text with a space for each line break, control character and character of private use."""
    return "".join(character if character.isprintable() else " " for character in text or "").strip()


# --- Bytes ---


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


def message_bytes(message: OutboundMessage, sender: str) -> bytes:
    """Write a message: a text and an HTML part that say the same. A recipient beyond ASCII needs SMTPUTF8.

    Args:
        message: What to say to whom.
        sender: Value of the From header, in ASCII.

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
        "To": message.recipient.envelope,
        "Subject": _encoded(parts.subject),
        "Auto-Submitted": "auto-generated",
        "Content-Language": message.language,
    }
    if message.request_id:
        headers["X-Request-ID"] = message.request_id
    if message.opt_out_link:  # one click, without a further page (RFC 8058, section 3.1)
        headers["List-Unsubscribe"] = f"<{message.opt_out_link}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    headers |= TRACING.headers_of(message.reservation_id)
    boundary = f"=_{hashlib.sha256(message.message_id.encode()).hexdigest()[:40]}"
    # Written by hand: the library would break long ids and addresses into encoded words.
    return b"".join(map(_header, headers, headers.values())) + alternative(parts.text, parts.html, boundary)


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
