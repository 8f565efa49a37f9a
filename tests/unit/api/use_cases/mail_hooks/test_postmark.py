import base64
from contextlib import suppress
from datetime import UTC, datetime

import orjson
import pytest

from api.errors import ApplicationError
from api.use_cases.mail_hooks.hook import HookRequest
from api.use_cases.mail_hooks.postmark import PostmarkHook
from domain.report_intake import MailReport
from tests.support.mail_providers import FakePostmark

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TOKEN = "abcdefg" + "2" * 40
FAKE = FakePostmark()


def read(record: object) -> MailReport | None:
    posted = FAKE.post(record, NOW)
    (report,) = PostmarkHook(FAKE.secret).read(HookRequest(posted.headers, posted.body, NOW))
    return report


@pytest.mark.parametrize(
    ("bounce_type", "details", "reason"),
    [
        ("HardBounce", "", "mailbox_unknown"),
        ("HardBounce", "smtp;550 5.4.4 host not found", "domain_unknown"),
        ("HardBounce", "action: failed 552 5.2.2", "mailbox_full"),
        ("BadEmailAddress", "", "mailbox_unknown"),
        ("SoftBounce", "452 4.2.2 over quota", "mailbox_full"),
        ("SoftBounce", "", "other"),
        ("DnsError", "", "other"),
        ("Blocked", "", "refused"),
        ("SpamNotification", "", "refused"),
        ("DMARCPolicy", "", "refused"),
        ("Unknown", "", "other"),
    ],
)
def test_record_of_an_email_that_did_not_arrive_is_a_bounce(bounce_type: str, details: str, reason: str) -> None:
    report = read(FAKE.record(bounce_type, TOKEN, Details=details))

    assert report is not None
    assert (report.kind, report.reason, report.tokens) == ("bounced", reason, (TOKEN,))


@pytest.mark.parametrize("record_type", ["Bounce", "SpamComplaint"])
def test_complaint_is_a_report(record_type: str) -> None:
    report = read(FAKE.record("SpamComplaint", TOKEN, RecordType=record_type))

    assert report is not None
    assert report.kind == "complained"


def test_message_that_is_delayed_is_a_report() -> None:
    report = read(FAKE.delay(TOKEN))

    assert report is not None
    assert report.kind == "delayed"
    assert report.said == ("Bounce Transient The server was unable to deliver your message smtp;451 4.3.0 try again")


def test_record_that_can_just_be_read_is_a_report() -> None:
    """Writing it needs a deeper stack than reading it; Postmark would repeat a record that fails."""
    reports: list[MailReport | None] = []
    for depth in range(500, 1_000):
        nested = orjson.dumps(FAKE.bounce(TOKEN))[:-1] + b',"Nested":' + b"[" * depth + b"]" * depth + b"}"
        headers = {"authorization": FAKE.post({}, NOW).headers["authorization"]}
        with suppress(ApplicationError):
            reports += PostmarkHook(FAKE.secret).read(HookRequest(headers, nested, NOW))

    assert {report.kind for report in reports if report} == {"bounced"}
    assert 0 < len(reports) < 500


@pytest.mark.parametrize(
    "record",
    [
        FAKE.record("AutoResponder", TOKEN),
        FAKE.record("Subscribe", TOKEN),
        FAKE.record("ChallengeVerification", TOKEN),
        FAKE.record("New type", TOKEN),
        FAKE.record("HardBounce", TOKEN, RecordType="Open"),
        FAKE.delivered(TOKEN),
        [],
        None,
    ],
)
def test_record_that_reports_nothing_is_ignored(record: object) -> None:
    """An automatic reply says that the email arrived."""
    assert read(record) is None


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic !",
        f"Bearer {base64.b64encode(FAKE.secret.encode()).decode()}",
        f"Basic {base64.b64encode(FAKE.secret[:-1].encode()).decode()}",
        f"Basic {base64.b64encode(b'postmark:').decode()}",
        f"Basic {base64.b64encode(bytes([255])).decode()}",
    ],
)
def test_other_credentials_are_invalid(authorization: str) -> None:
    with pytest.raises(ApplicationError, match="SIGNATURE_INVALID"):
        PostmarkHook(FAKE.secret).read(HookRequest({"authorization": authorization}, b"{", NOW))


def test_scheme_of_the_credentials_has_no_case() -> None:
    """As RFC 9110 says."""
    encoded = base64.b64encode(FAKE.secret.encode()).decode()

    assert PostmarkHook(FAKE.secret).read(HookRequest({"authorization": f"bASIC {encoded}"}, b"{}", NOW)) == [None]
