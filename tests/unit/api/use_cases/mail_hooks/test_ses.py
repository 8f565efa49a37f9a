from datetime import UTC, datetime
from typing import Any, cast

import pytest

from api.errors import ApplicationError
from api.use_cases.mail_hooks.hook import HookRequest
from api.use_cases.mail_hooks.ses import SesHook
from domain.report_intake import MailReport
from tests.support.mail_providers import OTHER_TOPIC, TOPIC, FakeSes

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TOKEN = "abcdefg" + "2" * 40


def read(event: object) -> MailReport | None:
    fake = FakeSes()
    (report,) = SesHook(TOPIC, fake.fetch).read(HookRequest({}, fake.post(event, NOW).body, NOW))
    return report


def bounce(bounce_type: str, subtype: str, **recipient: str) -> dict[str, object]:
    about = {"bounceType": bounce_type, "bounceSubType": subtype, "bouncedRecipients": [recipient]}
    return {"eventType": "Bounce", "bounce": about, "mail": FakeSes().mail(TOKEN)}


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (bounce("Permanent", "General", status="5.1.1"), "mailbox_unknown"),
        (bounce("Permanent", "General", status="5.4.4"), "domain_unknown"),
        (bounce("Permanent", "General"), "other"),
        (bounce("Permanent", "NoEmail"), "mailbox_unknown"),
        (bounce("Permanent", "OnAccountSuppressionList"), "refused"),
        (bounce("Transient", "General", status="4.4.7"), "expired"),
        (bounce("Transient", "MailboxFull"), "mailbox_full"),
        (bounce("Transient", "MailboxFull", diagnosticCode="smtp; 552 5.2.2 full"), "mailbox_full"),
        (bounce("Transient", "CustomTimeoutExceeded"), "expired"),
        (bounce("Transient", "ContentRejected"), "refused"),
        (bounce("Undetermined", "Undetermined"), "other"),
        ({"notificationType": "Bounce", "bounce": {}, "mail": {}}, "other"),
        ({"eventType": "Reject", "reject": {"reason": "Bad content"}, "mail": {}}, "refused"),
        (
            {"eventType": "Complaint", "complaint": {"complaintSubType": "OnAccountSuppressionList"}, "mail": {}},
            "refused",
        ),
    ],
)
def test_event_of_an_email_that_did_not_arrive_is_a_bounce(event: object, reason: str) -> None:
    report = read(event)

    assert report is not None
    assert (report.kind, report.reason) == ("bounced", reason)


@pytest.mark.parametrize(
    "event",
    [
        bounce("Transient", "General"),
        {"eventType": "Complaint", "complaint": {"complaintFeedbackType": "not-spam"}, "mail": {}},
        {"eventType": "Open"},
        {"notificationType": "AmazonSnsSubscriptionSucceeded"},
        {},
        [],
        "text",
    ],
)
def test_event_that_reports_nothing_is_ignored(event: object) -> None:
    assert read(event) is None


def test_text_of_a_new_topic_is_ignored() -> None:
    """It is not JSON."""
    fake = FakeSes()
    posted = fake.notify(NOW, Message="Successfully validated SNS topic for Amazon SES event publishing.")

    assert SesHook(TOPIC, fake.fetch).read(HookRequest({}, posted.body, NOW)) == [None]


def test_delay_names_its_recipient_status() -> None:
    report = read(FakeSes().delay(TOKEN))

    assert report is not None
    assert report.kind == "delayed"
    assert report.said == "DeliveryDelay TransientCommunicationFailure 4.4.1 smtp; 421 4.4.1 timed out"


@pytest.mark.parametrize(
    "mail",
    [
        {"tags": {"delivery": [TOKEN]}},
        {"source": f"bounces+{TOKEN}@ledger.example"},
        {"headers": [None, {"name": "X-SES-MESSAGE-TAGS", "value": f"delivery={TOKEN}"}]},
    ],
)
def test_token_is_found_in_tag_return_path_and_headers(mail: dict[str, object]) -> None:
    """Notifications about an identity have no tags."""
    event = cast("dict[str, Any]", FakeSes().bounce(""))
    report = read({**event, "mail": mail})

    assert report is not None
    assert report.tokens == (TOKEN,)


def test_message_of_another_topic_is_invalid() -> None:
    """Anyone with an account can have a topic that signs; nothing is fetched for it."""
    fake = FakeSes(secret=OTHER_TOPIC)
    posted = fake.post(fake.bounce(TOKEN), NOW)

    with pytest.raises(ApplicationError, match="SIGNATURE_INVALID"):
        SesHook(TOPIC, fake.fetch).read(HookRequest({}, posted.body, NOW))
    assert fake.fetched == []


def test_signed_text_that_is_not_a_timestamp_is_malformed() -> None:
    fake = FakeSes()
    posted = fake.notify(NOW, Timestamp="yesterday")

    with pytest.raises(ApplicationError, match="MALFORMED"):
        SesHook(TOPIC, fake.fetch).read(HookRequest({}, posted.body, NOW))
