"""The text and the HTML of an email show the same values."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, Final, get_args

import pytest

from domain.ports import Language, OutboundMessage, Template
from tests.support.channel_builders import MESSAGE
from workers.channels.mail_message import render_parts

SHOWN: Final[dict[str, tuple[Any, str]]] = {
    "link": ("https://ledger.example.com/a/link", "https://ledger.example.com/a/link"),
    "group": ("Quartz", "Quartz"),
    "starts_at": (datetime(2027, 3, 4, 5, 6, tzinfo=UTC), "2027-03-04"),
    "ends_at": (datetime(2028, 7, 8, 9, 10, tzinfo=UTC), "2028-07-08"),
    "written_at": (datetime(2026, 11, 12, 13, 14, tzinfo=UTC), "2026-11-12"),
    "opt_out_link": ("https://ledger.example.com/o/out", "https://ledger.example.com/o/out"),
    "code": ("MCM1-PRY5-KC9W", "MCM1-PRY5-KC9W"),
}
"""A value of each field that a template may show, and its text."""
NOT_SHOWN: Final = {
    *("reservation_id", "template", "message_id", "recipient", "language", "request_id", "delivery"),
    *("is_test", "attempt"),
}
OWN_TEXTS: Final = {"subject", "text"}
"""Texts of a group or a hand-out, which replace those of the templates."""
WITH_OWN_TEXT: Final[tuple[Template, ...]] = ("invite", "hand_out")


def test_every_value_of_a_message_is_compared() -> None:
    """Add a new field to SHOWN, or to NOT_SHOWN if no template shows it."""
    assert {field.name for field in fields(OutboundMessage)} == SHOWN.keys() | NOT_SHOWN | OWN_TEXTS


@pytest.mark.parametrize(
    ("template", "own_text"),
    [*((template, "") for template in get_args(Template)), *((name, "Welcome to {group}") for name in WITH_OWN_TEXT)],
)
@pytest.mark.parametrize("language", get_args(Language))
def test_text_and_html_show_the_same_values(template: Template, language: Language, own_text: str) -> None:
    """Show a value in both files of the template, or in layout.txt and layout.html (workers/channels/templates/)."""
    values = {name: value for name, (value, _) in SHOWN.items()}
    parts = render_parts(replace(MESSAGE, template=template, language=language, text=own_text, **values))

    in_text = {name for name, (_, text) in SHOWN.items() if text in parts.text}
    in_html = {name for name, (_, text) in SHOWN.items() if text in parts.html}
    assert in_text == in_html
