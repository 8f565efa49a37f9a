import re
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from types import NoneType
from typing import Any, Final, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.ports import Language, ListedCode, OutboundMessage, Template
from domain.values.timestamps import in_utc
from tests.support.channel_builders import MAIL_FROM, MESSAGE
from workers.channels import body_encoding, mail_message
from workers.channels.body_encoding import LINE_MAX, BodyLayout, encode_body
from workers.channels.mail_message import MessageParts, alternative, message_bytes, render_parts

OWN_WORDS = replace(
    MESSAGE,
    template="invite",
    language="en",
    group="Blue & co",
    subject="Come to {group}",
    text="Dear <guest>,\nwelcome to {group}.\n\n\nBring {nothing}.",
)
GROUPS = [None, "design", "Blue & <b>co</b>", "private \ue000 use"]


def _render_directly(message: OutboundMessage) -> MessageParts:
    """Render the templates of one message with its own values, without a layout."""
    strip, templates = mail_message._strip_control, mail_message._TEMPLATES
    group, written_at = strip(message.group), in_utc(message.written_at)
    variables: dict[str, object] = {
        "written_on": f"{written_at:%Y-%m-%d}",
        "written_time": f"{written_at:%H:%M}",
        "language": message.language,
        "accent": None,
        "accent_text": None,
        "logo": None,
        "link": message.link,
        "group": group,
        "paragraphs": (paragraphs := mail_message._paragraphs(message.text, group)),
        "beginning": paragraphs[0][0] if paragraphs else "",
    }
    more = {"opt_out": message.opt_out_link, "code": message.code, "code_suffix": message.code_suffix}
    variables |= {name: value for name, value in more.items() if value}
    if message.ends_at is not None:
        ends_at = in_utc(message.ends_at)
        variables |= {"ends_on": f"{ends_at:%Y-%m-%d}", "ends_time": f"{ends_at:%H:%M}"}
    name = f"{message.template}.{message.language}"
    default_subject, _, text = templates.get_template(f"{name}.txt").render(**variables).partition("\n")
    subject = strip(message.subject.replace("{group}", group)) or default_subject
    html = templates.get_template(f"{name}.html").render(**variables, subject=subject)
    return MessageParts(subject, text.lstrip("\n"), html)


@pytest.mark.parametrize("template", get_args(Template))
@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("words", [("", ""), (OWN_WORDS.subject, OWN_WORDS.text)], ids=["usual", "own"])
def test_render_parts_equals_its_templates(
    template: Template, language: Language, group: str | None, words: tuple[str, str]
) -> None:
    code = "MCM1-PRY5-KC9W" if template.startswith("hand_out") else ""
    first = replace(
        MESSAGE, template=template, language=language, group=group, subject=words[0], text=words[1], code=code
    )
    second = replace(
        first,
        link="https://other.example/a/x?a=1&b='2'",
        written_at=first.written_at + timedelta(days=40, hours=3),
        ends_at=first.written_at + timedelta(days=400),
        opt_out_link="https://other.example/opt-out/x?a=1&b='2'",
        code=code and "ABCD-<1>",
    )

    assert [render_parts(message) for message in (first, second)] == [
        _render_directly(message) for message in (first, second)
    ]


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=60))
@settings(max_examples=60)
def test_render_parts_equals_its_templates_whatever_a_group_says(group: str, subject: str, text: str) -> None:
    message = replace(OWN_WORDS, group=group, subject=subject, text=text)
    with_code = replace(message, template="hand_out", code="MCM1-PRY5-KC9W")

    assert render_parts(message) == _render_directly(message)
    assert render_parts(with_code) == _render_directly(with_code)


def test_group_words_replace_subject_and_text() -> None:
    parts = render_parts(OWN_WORDS)

    assert parts.subject == "Come to Blue & co"
    assert parts.text.startswith("Dear <guest>,\nwelcome to Blue & co.\n\nBring {nothing}.\n\nhttps://")
    assert "Dear &lt;guest&gt;,<br>welcome to Blue &amp; co.</p>" in parts.html
    assert "code was accepted" not in parts.html
    assert f'href="{OWN_WORDS.link}"' in parts.html


def test_group_subject_alone_leaves_the_usual_text() -> None:
    usual = render_parts(replace(OWN_WORDS, subject="", text=""))
    subject_alone, text_alone = render_parts(replace(OWN_WORDS, text="")), render_parts(replace(OWN_WORDS, subject=""))

    assert (subject_alone.subject, subject_alone.text) == ("Come to Blue & co", usual.text)
    assert text_alone.subject == usual.subject
    assert text_alone.text != usual.text


def test_refund_notice_keeps_the_usual_words() -> None:
    assert "could not be sent" in render_parts(replace(MESSAGE, template="refund_notice", language="en")).text


@pytest.mark.parametrize("language", get_args(Language))
def test_reminder_of_a_message_can_be_stopped_with_one_click(language: Language) -> None:
    """By the mail program (RFC 8058) and by the link in both parts."""
    link = "https://ledger.example/opt-out/" + "x" * 60
    reminder = replace(MESSAGE, template="ends_soon", language=language, ends_at=MESSAGE.written_at, opt_out_link=link)

    stoppable, plain = (
        message_from_bytes(message_bytes(message, "ledger@ledger.example"), policy=default)
        for message in (reminder, replace(reminder, opt_out_link=""))
    )
    parts = render_parts(reminder)

    assert stoppable["List-Unsubscribe"] == f"<{link}>"
    assert stoppable["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert parts.text.rstrip().endswith(link)
    assert f'href="{link}"' in parts.html
    assert stoppable["List-Id"] == "<emails-design.example.com>"
    assert {"List-Unsubscribe", "List-Unsubscribe-Post", "List-Id"}.isdisjoint(plain)
    assert plain["Message-ID"] == stoppable["Message-ID"]


@pytest.mark.parametrize(
    ("group", "label"),
    [
        (None, r"emails"),
        ("spring-2027", r"emails-spring-2027"),
        ("Spring", r"emails-[0-9a-f]{32}"),
        ("蓝队", r"emails-[0-9a-f]{32}"),
        ("a b\r\nBcc: x", r"emails-[0-9a-f]{32}"),
        ("x" * 200, r"emails-[0-9a-f]{32}"),
    ],
)
def test_list_id_is_the_same_for_all_emails_of_a_group(group: str | None, label: str) -> None:
    """It is a valid one (RFC 2919), whatever the group is called; filters ignore the case, so case makes no list."""
    link = "https://ledger.example/opt-out/x"
    messages = [
        replace(MESSAGE, template=template, ends_at=MESSAGE.written_at, opt_out_link=link, group=group)
        for template in ("ends_soon", "invite_reminder")
    ]
    first, second = (message_bytes(message, "ledger@ledger.example") for message in messages)
    (line,) = [line for line in first.split(b"\r\n") if line.startswith(b"List-Id: ")]

    assert re.fullmatch(rf"List-Id: <{label}\.example\.com>", line.decode())
    assert line in second.split(b"\r\n")


@pytest.mark.parametrize(("language", "words"), [("en", "the code ending in KC9W"), ("zh", "兑换码（末尾 KC9W）")])
def test_offer_names_the_end_of_its_code(language: Language, words: str) -> None:
    """So that a person who waits for several knows which one; a code without a stored text is left out."""
    message = replace(MESSAGE, template="waiting_offer", language=language, ends_at=MESSAGE.written_at)
    named, nameless = (render_parts(replace(message, code_suffix=suffix)) for suffix in ("KC9W", ""))

    assert words in named.text
    assert words in named.html
    assert "KC9W" not in nameless.text + nameless.html
    assert words.partition("KC9W")[0] not in nameless.text


@pytest.mark.parametrize(("language", "end"), [("en", "2026-07-02 at 08:05 UTC"), ("zh", "2026-07-02 08:05（UTC）")])
def test_subject_of_an_offer_names_the_time_at_which_it_ends(language: Language, end: str) -> None:
    """An offer may last one hour, and many mail programs show the subject only."""
    ends_at = datetime(2026, 7, 2, 8, 5, tzinfo=UTC)
    parts = render_parts(replace(MESSAGE, template="waiting_offer", language=language, ends_at=ends_at))

    assert parts.subject.endswith(end)
    assert end in parts.text


EXAMPLES: Final[dict[object, Callable[[str, int], tuple[Any, str]]]] = {
    str: lambda name, _: (f"value-of-{name}", f"value-of-{name}"),
    int: lambda _, number: (4_870 + number, str(4_870 + number)),
    datetime: lambda _, number: (datetime(2027 + number, 3, 4, 5, 6, tzinfo=UTC), f"{2027 + number}-03-04"),
}
"""A value and its text by type, different for each field."""


def make_shown() -> dict[str, tuple[Any, str]]:
    names, shown = ["group", *(name for name, _ in mail_message._VALUES.values())], {}
    for number, field in enumerate(field for field in fields(OutboundMessage) if field.name in names):
        kind = next(kind for kind in (*get_args(field.type), field.type) if kind is not NoneType)
        assert kind in EXAMPLES, f"add {kind} to EXAMPLES in {__file__}"
        shown[field.name] = EXAMPLES[kind](field.name, number)
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


def test_group_subject_with_line_breaks_adds_no_header() -> None:
    message = replace(
        MESSAGE,
        language="en",
        group="x\r\nBcc: a@example.com",
        subject="Hi\r\nBcc: b@example.com\x0b{group}\u2028!",
    )

    written = message_bytes(message, MAIL_FROM)

    assert b"\nBcc:" not in written
    assert render_parts(message).subject == "Hi  Bcc: b@example.com x  Bcc: a@example.com !"


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.just("\n"), max_size=300).map(lambda it: it + "\n")


def parts(text: str, html: str) -> list[EmailMessage]:
    message = message_from_bytes(alternative(encode_body(text), encode_body(html), "=_b"), policy=default)
    assert isinstance(message, EmailMessage)
    return [part for part in message.iter_parts() if isinstance(part, EmailMessage)]


@given(TEXTS, TEXTS)
def test_parts_of_a_body_are_read_as_they_were_written(text: str, html: str) -> None:
    plain, rich = parts(text, html)

    assert [plain.get_content_type(), rich.get_content_type()] == ["text/plain", "text/html"]
    assert [_said(part) for part in (plain, rich)] == [said.rstrip("\n") for said in (text, html)]


def _said(part: EmailMessage) -> str:
    """What a part says; its last line break belongs to the boundary (RFC 2046 5.1.1)."""
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets.decode().replace("\r\n", "\n").rstrip("\n")


@given(TEXTS, TEXTS)
def test_lines_are_short_and_seven_bit(text: str, html: str) -> None:
    octets = alternative(encode_body(text), encode_body(html), "=_b")

    assert octets.isascii()
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")
    assert max(map(len, octets.split(b"\r\n"))) <= LINE_MAX


def test_encoding_fits_the_text() -> None:
    long = "a line that is longer than seventy-six letters, which is what an encoded line may have"
    encodings = [part["Content-Transfer-Encoding"] for part in parts("short\n", f"{long} ü\n")]

    assert encodings == ["7bit", "quoted-printable"]
    assert [part["Content-Transfer-Encoding"] for part in parts("您的邀请\n", long)] == ["base64", "quoted-printable"]


MARKS = ("\ue000", "\ue001")
LINES = st.lists(
    st.sampled_from(["short", "a line of HTML " * 9, "您的邀请", ". ", "=", "\ue000", "<a href=\ue001>", "é\r"])
)
"""Lines of a layout: of each encoding, with and without marks, and with what quoted-printable writes in its own way."""
VALUES = st.sampled_from(["", "https://example.com/a/" + "x" * 90, "2026-11-28", "a b ", "é", "two\nlines"])


@given(st.lists(LINES.map("".join), min_size=1), st.booleans(), VALUES, VALUES)
def test_layout_encodes_a_message_as_if_it_were_alone(
    lines: list[str], ends_with_a_line: bool, first: str, second: str
) -> None:
    layout = BodyLayout("\n".join(lines) + "\n" * ends_with_a_line, re.compile(f"([{''.join(MARKS)}])"))

    for values in (dict(zip(MARKS, pair, strict=True)) for pair in ((first, second), (second, first))):
        assert layout.encode(values) == encode_body(layout.fill(values))


def test_layout_encodes_only_lines_with_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = BodyLayout("<p>" * 40 + "\n\ue000\n" + "</p>" * 40 + "\n", re.compile("(\ue000)"))
    encoded_lines: list[bytes] = []
    quote = body_encoding._quote

    def record_and_quote(lines: bytes) -> bytes:
        encoded_lines.append(lines)
        return quote(lines)

    monkeypatch.setattr(body_encoding, "_quote", record_and_quote)

    body = layout.encode({"\ue000": "https://example.com"})

    assert (body.encoding, encoded_lines) == ("quoted-printable", [b"https://example.com\n"])
