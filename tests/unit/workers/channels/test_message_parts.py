from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from types import NoneType
from typing import Any, Final, get_args

import pytest

from domain.ports import Language, ListedCode, OutboundMessage, Template
from tests.support.channel_builders import MESSAGE
from workers.channels import mail_message
from workers.channels.mail_message import render_parts

VALUES: Final[dict[object, Callable[[str, int], tuple[Any, str]]]] = {
    str: lambda name, _: (f"value-of-{name}", f"value-of-{name}"),
    int: lambda _, number: (4_870 + number, str(4_870 + number)),
    datetime: lambda _, number: (datetime(2027 + number, 3, 4, 5, 6, tzinfo=UTC), f"{2027 + number}-03-04"),
}
"""A value and its text by type, different for each field."""


def make_shown() -> dict[str, tuple[Any, str]]:
    names, shown = ["group", *(name for name, _ in mail_message._VALUES.values())], {}
    for number, field in enumerate(field for field in fields(OutboundMessage) if field.name in names):
        kind = next(kind for kind in (*get_args(field.type), field.type) if kind is not NoneType)
        assert kind in VALUES, f"add {kind} to VALUES in {__file__}"
        shown[field.name] = VALUES[kind](field.name, number)
    return shown


SHOWN: Final = make_shown()
WITH_OWN_TEXT: Final[tuple[Template, ...]] = ("invite", "hand_out")


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
    assert "link" in in_text


@pytest.mark.parametrize("template", ["hand_out", "hand_out_reminder"])
@pytest.mark.parametrize("language", get_args(Language))
def test_message_with_several_codes_says_how_many_and_names_none(template: Template, language: Language) -> None:
    codes = tuple(ListedCode(f"CODE-{nth:04}", "http://ledger.test", None) for nth in range(12))
    at = datetime(2027, 3, 4, tzinfo=UTC)
    message = replace(
        MESSAGE, template=template, language=language, code="CODE-0000", codes=codes, total=4711, ends_at=at
    )
    parts = render_parts(message)

    for text in (parts.text, parts.html):
        assert "codes.csv" in text
        assert "12" in text
        assert ("4711" in text) == (template == "hand_out_reminder")
        assert "CODE-" not in text
