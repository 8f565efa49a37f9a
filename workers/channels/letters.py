"""What letters say and how they are written: from a `Letter` to the bytes that go over the wire.

The same letter gives the same bytes on every try, so that receivers can tell a repeat from a second letter.
"""

import hashlib
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from domain.ports import Letter

SUBJECT_LINE_MAX = 76
"""RFC 2047 section 2: no line with an encoded word is longer."""

# Seven bits pass every server, whether or not it offers 8BITMIME; RFC 2045 6.7 allows encoded lines of 76.
_POLICY = SMTP.clone(cte_type="7bit", max_line_length=76)

_TEMPLATES = Environment(
    loader=PackageLoader("workers.channels"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


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
    subject, text = _text(letter)
    headers = {
        "Message-ID": letter.message_id,
        "Date": format_datetime(letter.written_at),
        "From": sender,
        "To": recipient,
        "Subject": _encoded(subject),
        "Auto-Submitted": "auto-generated",
        "Content-Language": letter.language,
    }
    # Written by hand: the library would break long ids and addresses into encoded words.
    return b"".join(map(_header, headers, headers.values())) + _body(letter, subject, text)


def _text(letter: Letter) -> tuple[str, str]:
    """Subject and text part; a text template's first line is the subject."""
    template = _TEMPLATES.get_template(f"{letter.template}.{letter.language}.txt")
    subject, _, text = template.render(link=letter.link, group=_one_line(letter.group)).partition("\n")
    return subject, text.lstrip("\n")


def _body(letter: Letter, subject: str, text: str) -> bytes:
    template = _TEMPLATES.get_template(f"{letter.template}.{letter.language}.html")
    html = template.render(link=letter.link, group=_one_line(letter.group), subject=subject)
    body = EmailMessage(policy=_POLICY)
    body.set_content(text)
    body.add_alternative(html, subtype="html")
    body.set_boundary(f"=_{hashlib.sha256(letter.message_id.encode()).hexdigest()[:40]}")
    return body.as_bytes()


def _one_line(group: str | None) -> str:
    """A group's name without line breaks and control characters; empty if there is none."""
    return "".join(letter if letter.isprintable() else " " for letter in group or "").strip()


def _encoded(subject: str) -> str:
    if subject.isascii() and len(subject) < SUBJECT_LINE_MAX - len("Subject: "):
        return subject
    return Header(subject, "utf-8", SUBJECT_LINE_MAX, "Subject").encode(linesep="\r\n")


def _header(name: str, value: str) -> bytes:
    # A line may break only where the next one begins with a space: everything else would be a new header.
    if any(not line or line.splitlines() != [line] for line in value.split("\r\n ")):
        raise ValueError(f"The {name} header would hold a line break.")
    return f"{name}: {value}\r\n".encode()
