"""The content of messages: subject, text and HTML of an `OutboundMessage`, from templates.

Thousands of messages differ only in their link and their dates. So a template is rendered once for each group and
language, with marks in the places of link and dates, and each message fills in its own values.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import groupby
from typing import Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import escape

from domain.ports import Language, OutboundMessage, Template
from domain.values.timestamps import in_utc

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
    layout = _lay_out(*kind, has_end=message.ends_at is not None)
    written_at = in_utc(message.written_at)
    values = {
        _MARKS["link"]: message.link,
        _MARKS["written_on"]: f"{written_at:%Y-%m-%d}",
        _MARKS["written_time"]: f"{written_at:%H:%M}",
    }
    if message.ends_at is not None:
        ends_at = in_utc(message.ends_at)
        values |= {_MARKS["ends_on"]: f"{ends_at:%Y-%m-%d}", _MARKS["ends_time"]: f"{ends_at:%H:%M}"}
    subject, text = _fill(layout.subject, values), _fill(layout.text, values)
    return MessageParts(subject, text, _fill(layout.html, {**values, _MARKS["link"]: str(escape(message.link))}))


@lru_cache(maxsize=LAYOUTS_MAX)
def _lay_out(
    template: Template, language: Language, group_name: str | None, own_subject: str, own_text: str, *, has_end: bool
) -> _Layout:
    """Render the templates of a kind of message once, with marks for what differs between its messages."""
    group = _strip_control(group_name)
    variables: dict[str, object] = {**_MARKS, "group": group, "paragraphs": _paragraphs(own_text, group)}
    if not has_end:
        del variables["ends_on"], variables["ends_time"]
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
