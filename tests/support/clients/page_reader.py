"""Reads a page as its visitors do: by headings, rows, links, buttons and messages, whatever the markup around them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

VOID: Final = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
"""Elements without content, which have no end tag."""
TEXTLESS: Final = frozenset({"script", "style", "template"})
"""Elements whose content visitors do not see."""


@dataclass(slots=True)
class Element:
    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    content: list["Element | str"] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The visible text, with single spaces."""
        parts = [
            part if isinstance(part, str) else f" {part.text} " if part.tag not in TEXTLESS else ""
            for part in self.content
        ]
        return " ".join("".join(parts).split())

    def find_all(self, *tags: str, **attributes: str) -> list["Element"]:
        """Return the elements of these tags (of any, if none is named) with these attributes, in order of the page.

        `class_` stands for the attribute `class`, and `aria_label` for `aria-label`.
        """
        return [
            element
            for element in self._descendants()
            if (not tags or element.tag in tags)
            and all(
                element.attributes.get(name.strip("_").replace("_", "-")) == value for name, value in attributes.items()
            )
        ]

    def find(self, *tags: str, **attributes: str) -> "Element":
        """Return the one element of these tags with these attributes.

        Raises:
            LookupError: There is none, or more than one.
        """
        elements = self.find_all(*tags, **attributes)
        if len(elements) != 1:
            raise LookupError(f"{len(elements)} elements are {tags} with {attributes}")
        return elements[0]

    def row(self, header: str) -> list[str]:
        """Return the texts of the cells of the row with this header.

        Raises:
            LookupError: No row, or more than one, has it.
        """
        rows = [row for row in self.find_all("tr") if any(cell.text == header for cell in row.find_all("th"))]
        if len(rows) != 1:
            raise LookupError(f"{len(rows)} rows have the header {header!r}")
        return [cell.text for cell in rows[0].find_all("td")]

    @property
    def rows(self) -> list["Element"]:
        """The rows of tables without their headings, in order of the page."""
        return [row for body in self.find_all("tbody") for row in body.find_all("tr")]

    def texts(self, *tags: str, **attributes: str) -> list[str]:
        return [element.text for element in self.find_all(*tags, **attributes)]

    @property
    def link_targets(self) -> list[str]:
        return [link.attributes["href"] for link in self.find_all("a") if "href" in link.attributes]

    def _descendants(self) -> Iterator["Element"]:
        for part in self.content:
            if isinstance(part, Element):
                yield part
                yield from part._descendants()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("document")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].content.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag in [element.tag for element in self._open[1:]]:
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        self._open[-1].content.append(data)


def read_page(text: str) -> Element:
    """Return a page as the element that holds everything."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.root
