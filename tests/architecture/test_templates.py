"""Every name that a template reads exists in the code: a renamed field takes its templates along."""

import re
from collections.abc import Iterator

import jinja2
import pytest
from jinja2 import nodes

from tests.architecture.sources import ROOMS, ROOT, list_modules, read

FOLDER = ROOT / "api/web/templates"
OF_PYTHON = {
    *("append", "get", "items", "keys", "values", "format", "split", "upper", "lower", "replace"),
    *("index", "first"),
}
"""Methods of Python's own types, and what Jinja's loops have."""


@pytest.fixture(scope="module")
def templates() -> dict[str, str]:
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in FOLDER.rglob("*.html")}


def unknown_names(templates: dict[str, str], words: set[str]) -> Iterator[str]:
    """Attributes that templates read and neither the code nor a macro of theirs defines."""
    parsed = {name: jinja2.Environment(autoescape=True).parse(text) for name, text in templates.items()}
    existing = words | OF_PYTHON | {macro.name for tree in parsed.values() for macro in tree.find_all(nodes.Macro)}
    for name, tree in sorted(parsed.items()):
        for node in tree.find_all(nodes.Getattr):
            if node.attr not in existing:
                yield f"{name}:{node.lineno}: nothing in the code is named {node.attr}: rename it in this template too"


def test_every_name_that_a_template_reads_exists(templates: dict[str, str]) -> None:
    """mypy does not read templates, and a page with an unknown name answers 500."""
    words = {word for path in list_modules(*ROOMS) for word in re.findall(r"\w+", read(path))}

    assert len(templates) > 20
    assert list(unknown_names(templates, words)) == []


def test_name_that_the_code_lacks_is_found() -> None:
    unknown = list(unknown_names({"page.html": "{{ code.text }}\n{{ code.wording }}"}, {"code", "text"}))

    assert unknown == ["page.html:2: nothing in the code is named wording: rename it in this template too"]


def lists_by_hand(templates: dict[str, str]) -> list[str]:
    """Templates with a list whose headings the table component does not draw, or that is no cards on a phone."""
    drawn = re.compile(r'<table class="list list-cards[^>]*>\s*\{\{ (?:table\.)?head\(')
    return [
        name for name, text in sorted(templates.items()) if len(drawn.findall(text)) != text.count('<table class="list')
    ]


def test_every_list_is_drawn_by_the_table_component(templates: dict[str, str]) -> None:
    """Its columns have headings, numbers are aligned, and a phone shows a card for each row."""
    assert sum(text.count('<table class="list') for text in templates.values()) > 20
    assert lists_by_hand(templates) == []


def test_list_with_other_headings_is_reported() -> None:
    assert lists_by_hand({"page.html": '<table class="list list-cards">\n<thead><tr>'}) == ["page.html"]
    assert lists_by_hand({"page.html": '<table class="list">\n{{ table.head(t, ["line"]) }}'}) == ["page.html"]
