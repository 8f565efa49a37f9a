import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.channels import body_encoding
from workers.channels.body_encoding import BodyLayout, encode_body

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
