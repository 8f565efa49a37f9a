from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import cast

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from api.errors import ApplicationError
from api.use_cases.mail_hooks.sns import CERTIFICATES_MAX, SnsVerifier, signed_text
from tests.support.mail_providers import CERTIFICATE_URL, SUBSCRIBE_URL, FakeSes, certify, rsa_key

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def message(fake: FakeSes, **members: str) -> dict[str, object]:
    return cast("dict[str, object]", orjson.loads(fake.notify(NOW, Message="a\nb", **members).body))


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("members", [{}, {"Subject": "Hello"}])
def test_signature_of_each_version_is_valid(version: str, members: dict[str, str]) -> None:
    fake = FakeSes(version=version)

    SnsVerifier(fake.fetch).check(message(fake, **members), NOW)


def test_signed_text_is_that_of_the_manual() -> None:
    """Name and value of each member on lines, in the order of names; a confirmation has other ones."""
    notification = {"Type": "Notification", "Message": "m", "MessageId": "i", "Timestamp": "t", "TopicArn": "a"}
    confirmation = {**notification, "Type": "SubscriptionConfirmation", "SubscribeURL": "u", "Token": "k"}

    assert signed_text({**notification, "Subject": None}) == (
        "Message\nm\nMessageId\ni\nTimestamp\nt\nTopicArn\na\nType\nNotification\n"
    )
    assert signed_text({**notification, "Subject": "s"}).startswith("Message\nm\nMessageId\ni\nSubject\ns\nTimestamp")
    assert signed_text(confirmation) == (
        "Message\nm\nMessageId\ni\nSubscribeURL\nu\nTimestamp\nt\nToken\nk\nTopicArn\na\nType\nSubscriptionConfirmation\n"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"Message": "other"},
        {"Timestamp": "2026-11-24T12:00:01.000Z"},
        {"Subject": "added"},
        {"Message": "\ud800"},
        {"Signature": "AAAA"},
        {"Signature": "not base64"},
        {"Signature": None},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
        {"Type": "SubscriptionConfirmation"},
        {"Type": "Other"},
    ],
)
def test_altered_message_is_invalid(change: dict[str, object]) -> None:
    fake = FakeSes()

    with pytest.raises(ApplicationError, match="SIGNATURE_INVALID"):
        SnsVerifier(fake.fetch).check(message(fake) | change, NOW)


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.example.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com@example.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "https://user@sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.amazonaws.com/a.pem",
        "https://sns.eu.west.amazonaws.com/a.pem",
        "https://bucket.s3.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com/a",
        "https://sns.eu-west-1.amazonaws.com/?Action=Publish&x=.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem#.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem\n",
        "",
    ],
)
def test_certificate_of_another_service_is_not_fetched(url: str) -> None:
    """Anyone can have a certificate; a query could make the service itself return what a caller chose."""
    fake = FakeSes()

    with pytest.raises(ApplicationError, match="SIGNATURE_INVALID"):
        SnsVerifier(fake.fetch).check(message(fake, SigningCertURL=url), NOW)
    assert fake.fetched == []


def test_certificate_in_china_is_fetched() -> None:
    """Its regions have another domain."""
    fake, url = FakeSes(), "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1.pem"
    SnsVerifier(fake.fetch).check(message(fake, SigningCertURL=url), NOW)

    assert fake.fetched == [url]


def test_certificate_is_fetched_once_and_few_are_saved() -> None:
    """A service that names ever new ones does not fill the memory."""
    fake = FakeSes()
    verifier = SnsVerifier(fake.fetch)
    for _ in range(3):
        verifier.check(message(fake), NOW)
    for number in range(CERTIFICATES_MAX):
        verifier.check(message(fake, SigningCertURL=CERTIFICATE_URL.replace(".pem", f"-{number}.pem")), NOW)
    count_before = len(fake.fetched)
    verifier.check(message(fake), NOW)

    assert (count_before, len(fake.fetched)) == (1 + CERTIFICATES_MAX, 2 + CERTIFICATES_MAX)


DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


@pytest.mark.parametrize(
    "make_content",
    [
        bytes,
        lambda: b"<html>",
        lambda: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        lambda: certify(ec.generate_private_key(ec.SECP256R1())),  # the service signs with RSA
        lambda: certify(rsa_key(), NOW - DAY, NOW - SECOND),  # its key may be known to others since it expired
        lambda: certify(rsa_key(), NOW + SECOND, NOW + DAY),
        lambda: certify(rsa_key(), subject="s3.amazonaws.com"),
        lambda: certify(rsa_key(), subject="sns.amazonaws.com.example.com"),
        lambda: certify(rsa_key(), subject="SNS"),
    ],
    ids=["empty", "page", "broken", "other-key", "expired", "not-yet-valid", "s3", "longer-name", "no-host"],
)
def test_page_that_is_no_valid_certificate_of_the_service_is_invalid(make_content: Callable[[], bytes]) -> None:
    content = make_content()
    with pytest.raises(ApplicationError, match="SIGNATURE_INVALID"):
        SnsVerifier(lambda _: content).check(message(FakeSes()), NOW)


@pytest.mark.parametrize(
    "subject",
    [
        "sns.amazonaws.com",
        "sns.us-gov-west-1.amazonaws.com",
        "sns-signing.eu-south-1.amazonaws.com",
        "sns.cn-north-1.amazonaws.com.cn",
    ],
)
def test_certificate_of_the_service_is_valid_until_its_end(subject: str) -> None:
    content = certify(rsa_key(), NOW - DAY, NOW + DAY, subject)
    verifier, posted = SnsVerifier(lambda _: content), message(FakeSes())
    verifier.check(posted, NOW)
    verifier.check(posted, NOW + DAY)

    with pytest.raises(ApplicationError, match="SIGNATURE_INVALID"):
        verifier.check(posted, NOW + DAY + SECOND)


def test_certificate_that_cannot_be_fetched_is_asked_for_again() -> None:
    fake = FakeSes(is_reachable=False)
    verifier, posted = SnsVerifier(fake.fetch), message(fake)
    with pytest.raises(ApplicationError, match="UNAVAILABLE") as caught:
        verifier.check(posted, NOW)
    fake.is_reachable = True
    verifier.check(posted, NOW)

    assert caught.value.retry_after_s
    assert len(fake.fetched) == 2


@pytest.mark.parametrize(
    "url", ["https://example.com/?Action=ConfirmSubscription", "http://sns.eu-west-1.amazonaws.com/?a", ""]
)
def test_subscription_is_confirmed_at_the_service_alone(url: str) -> None:
    fake = FakeSes()

    with pytest.raises(ApplicationError, match="SIGNATURE_INVALID"):
        SnsVerifier(fake.fetch).confirm({"SubscribeURL": url})
    assert fake.fetched == []


def test_subscription_that_cannot_be_confirmed_is_repeated() -> None:
    fake = FakeSes(is_reachable=False)

    with pytest.raises(ApplicationError, match="UNAVAILABLE"):
        SnsVerifier(fake.fetch).confirm({"SubscribeURL": SUBSCRIBE_URL})
