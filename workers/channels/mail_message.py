"""Writes an `OutboundMessage` as an email: its subject, text and HTML from templates, and the bytes with headers.

Thousands of messages differ only in their link and their dates. So a template is rendered once for each group and
language, with marks in the places of link and dates, and each message fills in its own values. The same message gives
the same bytes on every attempt, so that receivers recognize a repeat.
"""

import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from functools import lru_cache
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import escape

from domain.ports import CODES_FILE, Language, ListedCode, OutboundMessage, Template
from domain.values.email_branding import EmailBranding, Logo, text_color_on
from domain.values.timestamps import in_utc
from projections.telemetry.tracing import TRACING
from workers.channels.body_encoding import BodyLayout, EncodedBody, encode_base64

SUBJECT_LINE_MAX = 76
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
"""RFC 2047 section 2: no line with an encoded word is longer."""
GROUP: Final = "{group}"
"""Stands for the group's name in its own subject and text."""
LAYOUTS_MAX: Final = 256
"""Layouts that a process keeps, some 20 kB each."""
IMAGES_MAX: Final = 64
"""Encoded logos that a process keeps, 90 kB each at most."""
SHOWN_WIDTH_MAX: Final = 240
SHOWN_HEIGHT_MAX: Final = 64
"""Pixels of a shown logo. One with more pixels is sharp on dense screens."""


def _write_date(at: datetime) -> str:
    return f"{in_utc(at):%Y-%m-%d}"


def _write_time(at: datetime) -> str:
    return f"{in_utc(at):%H:%M}"


_VALUES: Final[Mapping[str, tuple[str, Callable[[Any], str]]]] = {
    "link": ("link", str),
    "written_on": ("written_at", _write_date),
    "written_time": ("written_at", _write_time),
    "ends_on": ("ends_at", _write_date),
    "ends_time": ("ends_at", _write_time),
    "starts_on": ("starts_at", _write_date),
    "starts_time": ("starts_at", _write_time),
    "opt_out": ("opt_out_link", str),
    "code": ("code", str),
    "code_suffix": ("code_suffix", str),
    "count": ("count", str),
    "total": ("total", str),
    "various_ends": ("various_ends", str),
    "listed": ("listed", str),
}
"""The field of a message that a template shows, and how it is written, by the name of the template's variable.

A template has no variable whose field is empty: it asks `{% if code is defined %}`.
"""
_MARKS: Final = {name: chr(0xE000 + number) for number, name in enumerate(_VALUES)}
"""Marks of a layout for the values of one message, by the name of the template's variable.

The characters are of private use: no text of a group holds one, because `_strip_control` removes them.
"""
_OWN_SUBJECT, _OWN_BEGINNING, _OWN_TEXT = (chr(0xE000 + len(_VALUES) + number) for number in range(3))
"""Marks for the texts of a hand-out, which have values of their recipient: subject, first line, and all paragraphs."""
_MARK: Final = re.compile(f"([{''.join(_MARKS.values())}{_OWN_SUBJECT}{_OWN_BEGINNING}{_OWN_TEXT}])")
_LABEL: Final = re.compile("[a-z0-9-]{1,50}")
"""Names of groups that a List-Id shows as they are. Its case has no meaning, so others are replaced by a digest."""
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


class _Image(NamedTuple):
    """A logo as a part of an email, and how its HTML shows it.

    Attributes:
        content_id: Without angle brackets; the same for the same image.
        width: In pixels of the HTML.
        height: Likewise.
        part: Headers, an empty line, and the encoded image.
    """

    content_id: str
    width: int
    height: int
    part: bytes


@lru_cache(maxsize=IMAGES_MAX)
def _image_of(logo: Logo) -> _Image:
    scale = min(1, SHOWN_WIDTH_MAX / logo.width, SHOWN_HEIGHT_MAX / logo.height)
    content_id = f"{hashlib.sha256(logo.data).hexdigest()[:40]}@logo.invalid"
    name = f"logo.{logo.media_type.partition('/')[2]}"
    head = (
        f'Content-Type: {logo.media_type}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
        f'Content-ID: <{content_id}>\r\nContent-Disposition: inline; filename="{name}"\r\n\r\n'
    )
    part = head.encode() + encode_base64(logo.data)
    return _Image(content_id, max(round(logo.width * scale), 1), max(round(logo.height * scale), 1), part)


class MessageParts(NamedTuple):
    """A message as its recipient reads it."""

    subject: str
    text: str
    html: str


class _Layout(NamedTuple):
    """A message with marks in the places of the values of one message.

    Attributes:
        marks: Those that the message has.
        paragraph: Tag that begins a paragraph of the HTML, if the paragraphs are a mark.
    """

    subject: BodyLayout
    text: BodyLayout
    html: BodyLayout
    marks: frozenset[str]
    paragraph: str


class _Composed(NamedTuple):
    """A layout, and the values of one message by mark: as plain text, and as HTML."""

    layout: _Layout
    plain: Mapping[str, str]
    html: Mapping[str, str]


def render_parts(message: OutboundMessage) -> MessageParts:
    """Render what a message says."""
    layout, plain, html = _compose(message)
    return MessageParts(layout.subject.fill(plain), layout.text.fill(plain), layout.html.fill(html))


def preview_parts(message: OutboundMessage) -> MessageParts:
    """Render what a message says, with its logo in the HTML: a browser has no parts of an email to show."""
    parts, logo = render_parts(message), message.branding.logo
    if logo is None:
        return parts
    url = f"data:{logo.media_type};base64,{binascii.b2a_base64(logo.data, newline=False).decode()}"
    return parts._replace(html=parts.html.replace(f"cid:{_image_of(logo).content_id}", url))


def _compose(message: OutboundMessage) -> _Composed:
    kind, branding = (message.template, message.language, message.group), message.branding
    has = frozenset(name for name, (field, _) in _VALUES.items() if getattr(message, field) not in (None, ""))
    if not message.code or not (message.subject or message.text):
        layout = _lay_out(*kind, message.subject, message.text, branding, has)
        plain = _values_of(message, layout)
        return _Composed(layout, plain, _escape(plain))
    # A hand-out's own text has values of its recipient: to render it for each message took most of a message's time.
    group = _strip_control(message.group)
    subject, paragraphs = _strip_control(message.subject.replace(GROUP, group)), _paragraphs(message.text, group)
    own = _OWN_SUBJECT if subject else "", _OWN_TEXT if paragraphs else ""
    layout = _lay_out(*kind, *own, branding, has, is_personal=True)
    plain = _values_of(message, layout) | {
        _OWN_SUBJECT: subject,
        _OWN_BEGINNING: paragraphs[0][0] if paragraphs else "",
        _OWN_TEXT: "\n\n".join(map("\n".join, paragraphs)),
    }
    own_html = f"</p>\n{layout.paragraph}".join(["<br>".join(map(escape, lines)) for lines in paragraphs])
    return _Composed(layout, plain, _escape(plain) | {_OWN_TEXT: own_html})


def _values_of(message: OutboundMessage, layout: _Layout) -> dict[str, str]:
    """Return the values of one message by mark, as plain text."""
    return {
        _MARKS[name]: write(getattr(message, field))
        for name, (field, write) in _VALUES.items()
        if _MARKS[name] in layout.marks
    }


def _escape(values: Mapping[str, str]) -> dict[str, str]:
    """Escape values for HTML."""
    return {mark: str(escape(value)) if value else "" for mark, value in values.items()}


@lru_cache(maxsize=LAYOUTS_MAX)
def _lay_out(
    template: Template,
    language: Language,
    group_name: str | None,
    own_subject: str,
    own_text: str,
    branding: EmailBranding,
    has: frozenset[str],
    *,
    is_personal: bool = False,
) -> _Layout:
    """Render the templates of a kind of message once, with marks for the values that its messages have.

    If it is personal, its own subject and text are marks, too.
    """
    group = _strip_control(group_name)
    if not is_personal:
        own_subject = _strip_control(own_subject.replace(GROUP, group))
    paragraphs = [[own_text]] if is_personal and own_text else _paragraphs(own_text, group)
    beginning = _OWN_BEGINNING if is_personal and own_text else paragraphs[0][0] if paragraphs else ""
    marks = {name: _MARKS[name] for name in has}
    variables: dict[str, object] = {
        **marks,
        "language": language,
        "group": group,
        "paragraphs": paragraphs,
        "beginning": beginning,
        "accent": branding.accent,
        "accent_text": branding.accent and text_color_on(branding.accent),
        "logo": branding.logo and _image_of(branding.logo),
    }
    # The first line of a text template is the subject.
    text = _TEMPLATES.get_template(f"{template}.{language}.txt").render(**variables)
    default_subject, _, text = text.partition("\n")
    subject = own_subject or default_subject
    html = _TEMPLATES.get_template(f"{template}.{language}.html").render(**variables, subject=subject)
    subject_layout, text_layout, html_layout = (
        BodyLayout(content, _MARK) for content in (subject, text.lstrip("\n"), html)
    )
    paragraph = (
        html[html.rfind("\n", 0, html.index(_OWN_TEXT)) + 1 : html.index(_OWN_TEXT)] if _OWN_TEXT in html else ""
    )
    all_marks = subject_layout.marks | text_layout.marks | html_layout.marks
    return _Layout(subject_layout, text_layout, html_layout, all_marks, paragraph)


def _paragraphs(text: str, group: str) -> list[list[str]]:
    """Return lines by paragraph. Empty lines separate paragraphs."""
    lines = [_strip_control(line) for line in text.replace(GROUP, group).splitlines()]
    return [list(some) for is_text, some in groupby(lines, key=bool) if is_text]


def _strip_control(text: str | None) -> str:
    """Return a text with a space for each line break, control character and character of private use."""
    return "".join(character if character.isprintable() else " " for character in text or "").strip()


# --- Bytes ---


def alternative(
    text: EncodedBody, html: EncodedBody, boundary: str, image: bytes = b"", attached: bytes = b""
) -> bytes:
    """Return the headers from MIME-Version on, an empty line, and both parts; the better one is last (RFC 2046 5.1.4).

    Args:
        text: Plain text.
        html: The same as HTML.
        boundary: In no part; with `=_` in it, it is in no encoded line (RFC 2045 6.7).
        image: The part that the HTML shows, with its headers; both become one part then (RFC 2387).
        attached: A part that follows both, with its headers.
    """
    better = _part("html", html)
    if image:
        inner = f"=_related{boundary.removeprefix('=_')}"  # it must not begin with the outer one (RFC 2046 5.1.1)
        better = _multipart("related", inner, better, image, parameter=' type="text/html";')
    parts = _multipart("alternative", boundary, _part("plain", text), better)
    if attached:
        parts = _multipart("mixed", f"=_mixed{boundary.removeprefix('=_')}", parts, attached)
    return b"MIME-Version: 1.0\r\n" + parts


def _multipart(subtype: str, boundary: str, *parts: bytes, parameter: str = "") -> bytes:
    head = f'Content-Type: multipart/{subtype};{parameter}\r\n boundary="{boundary}"\r\n\r\n'
    begin = f"--{boundary}\r\n".encode()
    return b"".join((head.encode(), *(begin + part for part in parts), f"--{boundary}--\r\n".encode()))


def _part(subtype: str, body: EncodedBody) -> bytes:
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {body.encoding}\r\n\r\n'
    return head.encode() + body.octets


def message_bytes(message: OutboundMessage, sender: str, more: Mapping[str, str] = NO_HEADERS) -> bytes:
    """Write a message: a text and an HTML part that say the same. A recipient beyond ASCII needs SMTPUTF8.

    Args:
        message: What to say to whom.
        sender: Value of the From header, in ASCII.
        more: Further headers.

    Returns:
        The message with CRLF line ends, its last one included.

    Raises:
        ValueError: A header would contain a line break.
    """
    layout, plain, html_values = _compose(message)
    text, html = layout.text.encode(plain), layout.html.encode(html_values)
    headers = {
        "Message-ID": message.message_id,
        "Date": _date(in_utc(message.written_at).replace(microsecond=0)),
        "From": sender,
        "To": message.recipient.envelope,
        "Subject": _encoded(_mark_test(message, layout.subject.fill(plain))),
        "Auto-Submitted": "auto-generated",
        "Content-Language": message.language,
    }
    if message.request_id:
        headers["X-Request-ID"] = message.request_id
    if message.opt_out_link:  # one click, without a further page (RFC 8058, section 3.1)
        headers["List-Unsubscribe"] = f"<{message.opt_out_link}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        headers["List-Id"] = _list_id(message)
    headers |= {**TRACING.headers_of(message.reservation_id), **more}
    image = _image_of(message.branding.logo).part if message.branding.logo else b""
    boundary = f"=_{hashlib.sha256(message.message_id.encode()).hexdigest()[:40]}"
    # Written by hand: the library would break long ids and addresses into encoded words.
    attached = _codes_part(message.codes) if message.codes else b""
    return b"".join(map(_header, headers, headers.values())) + alternative(text, html, boundary, image, attached)


def _codes_part(codes: Sequence[ListedCode]) -> bytes:
    """Return a file with several codes as a part: CSV (RFC 4180), with times in ISO 8601."""
    ends = ("" if each.ends_at is None else f"{in_utc(each.ends_at):%Y-%m-%dT%H:%M:%SZ}" for each in codes)
    rows = ["code,link,ends_at", *(f"{each.code},{each.link},{end}" for each, end in zip(codes, ends, strict=True))]
    head = (
        f'Content-Type: text/csv; charset="utf-8"; name="{CODES_FILE}"\r\nContent-Transfer-Encoding: base64\r\n'
        f'Content-Disposition: attachment; filename="{CODES_FILE}"\r\n\r\n'
    )
    return head.encode() + encode_base64("".join(f"{row}\r\n" for row in rows).encode())


def _list_id(message: OutboundMessage) -> str:
    """Return the List-Id (RFC 2919) of a message: the same for all emails of one group, which one opt-out stops."""
    label, group = "emails", message.group
    if group:
        label += f"-{group if _LABEL.fullmatch(group) else hashlib.sha256(group.encode()).hexdigest()[:32]}"
    return f"<{label}.{message.message_id.rpartition('@')[2]}"


@lru_cache(maxsize=256)
def _date(second: datetime) -> str:
    """Return the Date header of a second: a backlog has many messages of the same one."""
    return format_datetime(second)


def _mark_test(message: OutboundMessage, subject: str) -> str:
    """Return a subject that says of a test that it is one, so that it is not forwarded as an invitation."""
    if not message.is_test:
        return subject
    return _TEMPLATES.get_template(f"test_subject.{message.language}.txt").render(subject=subject).strip()


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
