from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from hypothesis import given
from hypothesis import strategies as st

from workers.channels.body_encoding import LINE_MAX, encode_body
from workers.channels.mail_message import alternative

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
