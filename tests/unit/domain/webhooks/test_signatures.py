"""Standard Webhooks: what we sign the standard's own package verifies, and what it signs we take; nothing else."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from domain.webhooks.signatures import TOLERANCE_S, SignatureHeaders, secret_text, sign, verification_error

NOW = datetime.now(UTC)
SECRET, OLDER, OTHER = (secret_text(raw * 32) for raw in (b"n", b"o", b"x"))
BODY = '{"type":"invite.accepted","text":"您好"}'.encode()


def signed(secret: str = SECRET, message_id: str = "msg_1", at: datetime = NOW, body: bytes = BODY) -> SignatureHeaders:
    return SignatureHeaders(message_id, str(int(at.timestamp())), Webhook(secret).sign(message_id, at, body.decode()))


@given(st.binary(min_size=24, max_size=64), st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_package_of_the_standard_verifies_our_signature(raw: bytes, text: str) -> None:
    """Any secret, any text. The package looks at the clock of the machine."""
    headers = sign([secret_text(raw)], "evt_1", datetime.now(UTC), text.encode())

    Webhook(secret_text(raw)).verify(text, headers, json_parse=False)


def test_example_of_the_webhook_guide_verifies_our_signature() -> None:
    guide = (Path(__file__).parents[4] / "docs/how-to/webhooks.md").read_text("utf-8")
    example: dict[str, Callable[[str, dict[str, str], bytes], object]] = {}
    exec(re.findall(r"```python\n(.*?)```", guide, re.DOTALL)[0], example)  # noqa: S102 - the guide's own code
    headers = sign([SECRET], "evt_1", datetime.now(UTC), BODY)

    assert example["read_message"](SECRET, headers, BODY) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        example["read_message"](SECRET, headers, BODY + b" ")


@pytest.mark.parametrize("secret", [SECRET, OLDER])
def test_report_with_a_valid_secret_is_taken(secret: str) -> None:
    assert verification_error([SECRET, OLDER], signed(secret), BODY, NOW) is None


def test_one_of_several_signatures_is_enough() -> None:
    """The other side replaces its secret, or speaks a version that we do not know."""
    own = signed()
    both = own._replace(signatures=f"v1a,xyz v1,{'A' * 43}= {own.signatures}")

    assert verification_error([SECRET], both, BODY, NOW) is None


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (signed(OTHER), BODY),
        (signed(), BODY + b" "),
        (signed()._replace(message_id="msg_2"), BODY),
        (signed()._replace(timestamp=str(int(NOW.timestamp()) + 1)), BODY),
        (signed()._replace(signatures="v1,AAAA"), BODY),
        (signed()._replace(signatures=" ".join(["v1,AAAA"] * 8 + [signed().signatures])), BODY),
    ],
    ids=["secret", "body", "id", "time", "short", "too-many"],
)
def test_other_signatures_are_refused(message: SignatureHeaders, body: bytes) -> None:
    assert verification_error([SECRET, OLDER], message, body, NOW) == "forged"


@pytest.mark.parametrize(("seconds", "fault"), [(-310, "stale"), (-290, None), (290, None), (310, "stale")])
def test_time_may_be_five_minutes_off(seconds: int, fault: str | None) -> None:
    assert verification_error([SECRET], signed(at=NOW + timedelta(seconds=seconds)), BODY, NOW) == fault
    assert verification_error([OTHER], signed(at=NOW + timedelta(seconds=seconds)), BODY, NOW) == "forged"


@pytest.mark.parametrize(
    "message",
    [
        SignatureHeaders("", "", ""),
        signed()._replace(signatures=""),
        signed()._replace(signatures="v2,AAAA"),
        signed()._replace(signatures="v1,not base64!"),
        signed()._replace(signatures=f"v1,AAAA\t{signed().signatures}"),
        signed()._replace(signatures=signed().signatures.replace(",", ",!!!!")),
        signed()._replace(timestamp="1e9"),
        signed()._replace(timestamp="-5"),
        signed()._replace(timestamp="9" * 40),
        signed()._replace(timestamp="١٢٣"),
        signed()._replace(message_id="a.b"),
        signed()._replace(message_id="x" * 65),
        signed()._replace(message_id="a\nb"),
    ],
)
def test_contradicting_fields_are_malformed(message: SignatureHeaders) -> None:
    """Headers that are missing, or could be read in two ways."""
    assert verification_error([SECRET], message, BODY, NOW) == "malformed"


def test_headers_are_found_by_their_names() -> None:
    assert SignatureHeaders.of({"webhook-id": "a", "webhook-timestamp": "1"}) == SignatureHeaders("a", "1", "")


def test_signature_is_valid_until_the_last_second_of_its_tolerance() -> None:
    secret, at = secret_text(b"s" * 32), datetime(2026, 11, 24, 12, tzinfo=UTC)
    signed = SignatureHeaders.of(sign([secret], "m_1", at, b"{}"))
    second, tolerance = timedelta(seconds=1), timedelta(seconds=TOLERANCE_S)

    for now in (at, at + tolerance, at - tolerance):
        assert verification_error([secret], signed, b"{}", now) is None
    for now in (at + tolerance + second, at - tolerance - second):
        assert verification_error([secret], signed, b"{}", now) == "stale"
    assert SignatureHeaders.of({}) == ("", "", "")


def test_message_is_signed_once_by_each_valid_secret() -> None:
    headers = SignatureHeaders.of(sign([SECRET, OLDER], "evt_1", NOW, BODY))

    assert headers.signatures == f"{signed(SECRET, 'evt_1').signatures} {signed(OLDER, 'evt_1').signatures}"
    assert [verification_error([secret], headers, BODY, NOW) for secret in (SECRET, OLDER)] == [None, None]
