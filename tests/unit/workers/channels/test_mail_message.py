from dataclasses import replace

from tests.support.channel_builders import MAIL_FROM, MESSAGE
from workers.channels.mail_message import message_bytes, render_parts


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
