from datetime import UTC, datetime

import orjson
import pytest

from api.errors import ApplicationError
from api.use_cases.mail_hooks.hook import HookRequest
from api.use_cases.mail_hooks.mailgun import MailgunHook
from domain.report_intake import MailReport
from tests.support.mail_providers import FakeMailgun

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TOKEN = "abcdefg" + "2" * 40
FAKE = FakeMailgun()


def read(name: str, **words: object) -> MailReport | None:
    event = FAKE.event(name, TOKEN, **{"delivery-status": words.pop("status", {}), **words})
    (report,) = MailgunHook(FAKE.secret).read(HookRequest({}, FAKE.post(event, NOW).body, NOW))
    return report


@pytest.mark.parametrize(
    ("words", "reason", "reply_code"),
    [
        ({"severity": "permanent", "status": {"code": 550, "enhanced-code": "5.1.1"}}, "mailbox_unknown", 550),
        ({"severity": "permanent", "status": {"code": 550, "message": "5.7.1 not allowed"}}, "refused", 550),
        ({"severity": "permanent", "status": {"code": 498, "message": "No MX for x.example"}}, "domain_unknown", 498),
        ({"severity": "permanent", "reason": "suppress-bounce", "status": {"code": 605}}, "refused", None),
        ({"severity": "permanent", "reason": "espblock"}, "refused", None),
        ({"severity": "permanent", "reason": "generic"}, "other", None),
        ({"severity": "permanent", "reason": "old", "status": {"code": 602}}, "expired", None),
        ({"severity": "temporary", "reason": "old"}, "expired", None),
        ({}, "other", None),
    ],
)
def test_failure_for_good_is_a_bounce(words: dict[str, object], reason: str, reply_code: int | None) -> None:
    """Also the last temporary one, after which Mailgun stops trying."""
    report = read("failed", **words)

    assert report is not None
    assert (report.kind, report.reason, report.reply_code) == ("bounced", reason, reply_code)
    assert report.tokens == (TOKEN,)


def test_temporary_failure_is_a_delay() -> None:
    report = read("failed", severity="temporary", reason="generic", status={"code": 452, "message": "4.2.1 busy"})

    assert report is not None
    assert (report.kind, report.said) == ("delayed", "failed temporary generic 452 4.2.1 busy")


def test_rejection_and_complaint_are_reports() -> None:
    """Mailgun itself rejects what holds a virus."""
    rejected, complained = read("rejected", reject={"reason": "virus"}), read("complained")

    assert rejected is not None
    assert complained is not None
    assert (rejected.kind, rejected.reason, rejected.said) == ("bounced", "refused", "rejected virus")
    assert complained.kind == "complained"


@pytest.mark.parametrize("name", ["accepted", "delivered", "opened", "clicked", "unsubscribed", "stored", ""])
def test_event_that_reports_nothing_is_ignored(name: str) -> None:
    """Operators may subscribe to all."""
    assert read(name) is None


@pytest.mark.parametrize(
    "signature", [None, {}, [], "x", {"signature": ""}, {"token": "t", "timestamp": "1", "signature": "é"}]
)
def test_request_without_a_valid_signature_is_invalid(signature: object) -> None:
    body = orjson.dumps({"signature": signature, "event-data": FAKE.bounce(TOKEN)})

    with pytest.raises(ApplicationError, match="SIGNATURE_INVALID"):
        MailgunHook(FAKE.secret).read(HookRequest({}, body, NOW))


def test_digits_cannot_move_from_the_timestamp_to_the_token() -> None:
    """Both are signed as one text, so only a text of the right length is a time."""
    body = orjson.loads(FAKE.post({}, NOW).body)
    signature = body["signature"]
    moved = {
        **signature,
        "timestamp": signature["timestamp"][:-1],
        "token": signature["timestamp"][-1] + signature["token"],
    }

    with pytest.raises(ApplicationError, match="CALLBACK_STALE"):
        MailgunHook(FAKE.secret).read(HookRequest({}, orjson.dumps({**body, "signature": moved}), NOW))


def test_body_that_is_not_json_is_malformed() -> None:
    """The signature is in it."""
    with pytest.raises(ApplicationError, match="MALFORMED"):
        MailgunHook(FAKE.secret).read(HookRequest({}, b"signature=x", NOW))
