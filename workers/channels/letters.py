"""What letters say and how they are written: from a `Letter` to the bytes that go over the wire.

The same letter gives the same bytes on every try, so that receivers can tell a repeat from a second letter.
"""

import hashlib
from email.header import Header
from email.utils import format_datetime
from functools import lru_cache
from itertools import groupby
from typing import Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from domain.ports import Letter
from domain.values.timestamps import in_utc
from workers.channels.mime import alternative

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


class Parts(NamedTuple):
    """A letter as people read it."""

    subject: str
    text: str
    html: str


def letter_bytes(letter: Letter, sender: str, recipient: str) -> bytes:
    """Write a letter: a text and an HTML part that say the same.

    Args:
        letter: What to say to whom.
        sender: Value of the From header, in ASCII.
        recipient: Address for the To header; one beyond ASCII needs a server with SMTPUTF8.

    Returns:
        The message with CRLF line ends, its last one included.

    Raises:
        ValueError: A header would hold a line break.
    """
    parts = letter_parts(letter)
    headers = {
        "Message-ID": letter.message_id,
        "Date": format_datetime(letter.written_at),
        "From": sender,
        "To": recipient,
        "Subject": _encoded(parts.subject),
        "Auto-Submitted": "auto-generated",
        "Content-Language": letter.language,
    }
    if letter.request_id:
        headers["X-Request-ID"] = letter.request_id
    # Written by hand: the library would break long ids and addresses into encoded words.
    return b"".join(map(_header, headers, headers.values())) + _body(letter, parts)


def letter_parts(letter: Letter) -> Parts:
    """What a letter says, before it is written as bytes."""
    group = _one_line(letter.group)
    written_at = in_utc(letter.written_at)
    known: dict[str, object] = {
        "written_on": f"{written_at:%Y-%m-%d}",
        "written_time": f"{written_at:%H:%M}",
        "link": letter.link,
        "group": group,
        "paragraphs": _paragraphs(letter.text, group),
    }
    if letter.ends_at is not None:
        ends_at = in_utc(letter.ends_at)
        known |= {"ends_on": f"{ends_at:%Y-%m-%d}", "ends_time": f"{ends_at:%H:%M}"}
    # A text template's first line is the subject.
    text = _TEMPLATES.get_template(f"{letter.template}.{letter.language}.txt").render(**known)
    usual, _, text = text.partition("\n")
    subject = _one_line(letter.subject.replace(GROUP, group)) or usual
    html = _TEMPLATES.get_template(f"{letter.template}.{letter.language}.html").render(**known, subject=subject)
    return Parts(subject, text.lstrip("\n"), html)


def _paragraphs(text: str, group: str) -> list[list[str]]:
    """Lines by paragraph; paragraphs are parted by empty lines."""
    lines = [_one_line(line) for line in text.replace(GROUP, group).splitlines()]
    return [list(some) for is_text, some in groupby(lines, key=bool) if is_text]


def _body(letter: Letter, parts: Parts) -> bytes:
    boundary = f"=_{hashlib.sha256(letter.message_id.encode()).hexdigest()[:40]}"
    return alternative(parts.text, parts.html, boundary)


def _one_line(group: str | None) -> str:
    """A group's name without line breaks and control characters; empty if there is none."""
    return "".join(letter if letter.isprintable() else " " for letter in group or "").strip()


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
