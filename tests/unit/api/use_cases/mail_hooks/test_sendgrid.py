from datetime import UTC, datetime

import pytest

from api.errors import ApplicationError
from api.use_cases.mail_hooks.hook import HookRequest
from api.use_cases.mail_hooks.sendgrid import SIGNATURE, TIMESTAMP, SendGridHook
from domain.report_intake import MailReport
from tests.support.mail_providers import FakeSendGrid, Posted

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TOKEN = "abcdefg" + "2" * 40
FAKE = FakeSendGrid()


def request(posted: Posted) -> HookRequest:
    return HookRequest({name.lower(): value for name, value in posted.headers.items()}, posted.body, NOW)


def read(name: str, **words: str) -> MailReport | None:
    (report,) = SendGridHook(FAKE.secret).read(request(FAKE.post([FAKE.event(name, TOKEN, **words)], NOW)))
    return report


@pytest.mark.parametrize(
    ("name", "words", "reason"),
    [
        ("bounce", {"status": "5.1.1", "type": "bounce"}, "mailbox_unknown"),
        ("bounce", {"status": "5.0.0", "reason": "552 5.2.2 over quota", "type": "bounce"}, "mailbox_full"),
        ("bounce", {"status": "5.7.1", "type": "blocked"}, "refused"),
        ("bounce", {"bounce_classification": "Invalid Address"}, "mailbox_unknown"),
        ("bounce", {"bounce_classification": "Reputation", "type": "blocked"}, "refused"),
        ("bounce", {"bounce_classification": "Unclassified"}, "other"),
        (
            "bounce",
            {"bounce_classification": "Unclassified", "reason": "unable to get mx info: failed to get IPs from PTR"},
            "domain_unknown",
        ),
        ("bounce", {}, "other"),
        ("dropped", {"reason": "Invalid"}, "mailbox_unknown"),
        ("dropped", {"reason": "Bounced Address", "status": "5.0.0"}, "refused"),
    ],
)
def test_event_of_an_email_that_did_not_arrive_is_a_bounce(name: str, words: dict[str, str], reason: str) -> None:
    report = read(name, **words)

    assert report is not None
    assert (report.kind, report.reason, report.tokens) == ("bounced", reason, (TOKEN,))


@pytest.mark.parametrize(("name", "kind"), [("deferred", "delayed"), ("spamreport", "complained")])
def test_delay_and_complaint_are_reports(name: str, kind: str) -> None:
    report = read(name, response="451 later")

    assert report is not None
    assert (report.kind, report.said) == (kind, f"{name} 451 later")


@pytest.mark.parametrize("name", ["processed", "delivered", "open", "click", "unsubscribe", "group_unsubscribe", ""])
def test_event_that_reports_nothing_is_ignored(name: str) -> None:
    """Operators may subscribe to all."""
    assert read(name) is None


@pytest.mark.parametrize(
    "headers",
    [{SIGNATURE: ""}, {SIGNATURE: "AAAA"}, {SIGNATURE: "é"}, {TIMESTAMP: "0"}, {TIMESTAMP: ""}, {TIMESTAMP: "é"}],
)
def test_altered_signature_is_invalid(headers: dict[str, str]) -> None:
    signed = request(FAKE.post([], NOW))

    with pytest.raises(ApplicationError, match="SIGNATURE_INVALID"):
        SendGridHook(FAKE.secret).read(signed._replace(headers={**signed.headers, **headers}))


@pytest.mark.parametrize("body", [b"[ ]", b"[]\n", b""])
def test_body_counts_as_it_was_sent(body: bytes) -> None:
    with pytest.raises(ApplicationError, match="SIGNATURE_INVALID"):
        SendGridHook(FAKE.secret).read(request(FAKE.post([], NOW))._replace(body=body))


def test_key_of_another_kind_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="elliptic curve"):
        SendGridHook("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=")
