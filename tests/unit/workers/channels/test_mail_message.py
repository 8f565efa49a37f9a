"""A group's own words in its letters: in both parts, harmless in headers and in HTML."""

from dataclasses import replace

from tests.support.channel_builders import LETTER, MAIL_FROM
from workers.channels.mail_message import message_bytes, render_parts

OURS = replace(
    LETTER,
    template="invite",
    language="en",
    group="Blue & co",
    subject="Come to {group}",
    text="Dear <guest>,\nwelcome to {group}.\n\n\nBring {nothing}.",
)


def test_subject_and_text_are_the_groups() -> None:
    """Paragraphs stay paragraphs, lines stay lines, and only the group's name is filled in."""
    parts = render_parts(OURS)

    assert parts.subject == "Come to Blue & co"
    assert parts.text.startswith("Dear <guest>,\nwelcome to Blue & co.\n\nBring {nothing}.\n\nhttps://")
    assert "Dear &lt;guest&gt;,<br>welcome to Blue &amp; co.</p>" in parts.html
    assert "code was accepted" not in parts.html
    assert f'href="{OURS.link}"' in parts.html


def test_what_is_not_set_is_said_as_usual() -> None:
    """A subject alone leaves the text alone, and the other way round."""
    usual = render_parts(replace(OURS, subject="", text=""))
    subject_alone, text_alone = render_parts(replace(OURS, text="")), render_parts(replace(OURS, subject=""))

    assert (subject_alone.subject, subject_alone.text) == ("Come to Blue & co", usual.text)
    assert text_alone.subject == usual.subject
    assert text_alone.text != usual.text


def test_no_subject_makes_a_header() -> None:
    """Line breaks of every kind become spaces before the subject is written, also those in the group's name."""
    sly = replace(OURS, group="x\r\nBcc: a@example.com", subject="Hi\r\nBcc: b@example.com\x0b{group}\u2028!")

    written = message_bytes(sly, MAIL_FROM, sly.recipient)

    assert b"\nBcc:" not in written
    assert render_parts(sly).subject == "Hi  Bcc: b@example.com x  Bcc: a@example.com !"


def test_a_notice_keeps_the_usual_words() -> None:
    """It is the ledger that speaks there: the press gives it no group's words."""
    assert "could not be sent" in render_parts(replace(LETTER, template="refund_notice", language="en")).text
