"""A form of a rendered page, filled in again with what was sent before: the page stays what its own route renders."""

from collections.abc import Sequence
from html import escape
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urlsplit

STAYING: Final = frozenset({"submit", "button", "reset", "image", "file", "password"})
"""Types of inputs that keep their value: buttons, and what no page may fill in."""
HIDDEN_TYPED: Final = frozenset({"seen"})
"""Hidden fields that belong to what was typed: `seen` says which terms were, so that a change in between is noticed."""

Attributes = list[tuple[str, str | None]]


def fill_form(page: str, url: str, action: str, fields: Sequence[tuple[str, str]], note: str) -> str | None:
    """Return a page whose form for an action has the values of a sent one; None if the page has no such form.

    Tokens and other hidden fields stay those of the page, which was rendered for the present session.

    Args:
        page: The page.
        url: Its path and query, to which a form without an action leads.
        action: Path to which the form was sent.
        fields: Names and values, in the order of the form.
        note: Text above the form.
    """
    filler = _Filler(url, action, fields, note)
    filler.feed(page)
    filler.close()
    return "".join(filler.parts) if filler.has_form else None


class _Filler(HTMLParser):
    def __init__(self, url: str, action: str, fields: Sequence[tuple[str, str]], note: str) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self.has_form = False
        self._url, self._action, self._note = url, action, note
        self._values: dict[str, list[str]] = {}
        for name, value in fields:
            self._values.setdefault(name, []).append(value)
        self._is_inside = False
        self._selected: list[str] | None = None
        self._is_replaced = False
        self._details: list[int] = []

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        raw, named = self.get_starttag_text() or "", dict(attrs)
        if tag == "form":
            raw = self._begin_form(raw, named)
        elif tag == "details":
            self._details.append(len(self.parts))
        elif self._is_inside and (named.get("name") in self._values or named.get("type") == "checkbox"):
            raw = self._fill(tag, attrs, named, raw)
        if tag == "option" and self._selected is not None:
            raw = _tag(tag, attrs, "selected", is_set=named.get("value") in self._selected)
        self.parts.append(raw)
        if self._is_inside and tag == "details":
            self._open_details()

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        del tag, attrs
        self.parts.append(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._is_replaced = False
        elif tag == "select":
            self._selected = None
        elif tag == "form":
            self._is_inside = False
        elif tag == "details" and self._details:
            self._details.pop()
        self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._is_replaced:
            self.parts.append(data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")

    def handle_comment(self, data: str) -> None:
        self.parts.append(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self.parts.append(f"<!{decl}>")

    def _begin_form(self, raw: str, named: dict[str, str | None]) -> str:
        action = named.get("action")
        if named.get("method") == "post" and urlsplit(action or self._url).path == self._action:
            self._is_inside = self.has_form = True
            self._open_details()
            self.parts.append(f'<p class="done" role="status">{escape(self._note)}</p>')
        # The page is shown at another address than its own.
        return raw if action else raw.replace("<form", f'<form action="{escape(self._url)}"', 1)

    def _open_details(self) -> None:
        for at in self._details:
            if not self.parts[at].startswith("<details open"):
                self.parts[at] = self.parts[at].replace("<details", "<details open", 1)

    def _fill(self, tag: str, attrs: Attributes, named: dict[str, str | None], raw: str) -> str:
        values = self._values.get(named.get("name") or "", [])  # a box without a tick is not sent
        kind = named.get("type") or "text"
        if tag == "select":
            self._selected = values
        elif tag == "textarea":
            self._is_replaced = True
            return f"{raw}\n{escape(values.pop(0) if values else '')}"
        elif tag == "input" and kind in {"checkbox", "radio"}:
            return _tag(tag, attrs, "checked", is_set=named.get("value") in values)
        elif (
            tag == "input"
            and kind not in STAYING
            and (kind != "hidden" or named.get("name") in HIDDEN_TYPED)
            and values
        ):
            return _tag(tag, [each for each in attrs if each[0] != "value"] + [("value", values.pop(0))])
        return raw


def _tag(tag: str, attrs: Attributes, flag: str = "", *, is_set: bool = False) -> str:
    """Return a start tag, with or without a flag such as `checked`."""
    written = [each for each in attrs if each[0] != flag] + ([(flag, None)] if is_set else [])
    texts = [name if value is None else f'{name}="{escape(value)}"' for name, value in written]
    return f"<{' '.join([tag, *texts])}>"
