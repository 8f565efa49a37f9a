"""The header by which each provider's reports name an email, and what proves that they are from it."""

import json

import pytest

from domain.values.mail.mail_provider import PROVIDERS, MailProvider, check_hook_secret, token_header
from tests.support.mail_providers import fake_providers


@pytest.mark.parametrize("provider", PROVIDERS)
def test_header_holds_the_token(provider: MailProvider) -> None:
    """In printable ASCII, on one line."""
    name, value = token_header(provider, "abc")

    assert name.startswith("X-")
    assert value.isascii()
    assert value.isprintable()
    assert "abc" in value


def test_values_are_in_the_form_that_the_providers_read() -> None:
    """SendGrid's unique arguments and Mailgun's variables are JSON."""
    assert json.loads(token_header("sendgrid", "abc")[1]) == {"unique_args": {"delivery": "abc"}}
    assert json.loads(token_header("mailgun", "abc")[1]) == {"delivery": "abc"}
    assert token_header("ses", "abc") == ("X-SES-MESSAGE-TAGS", "delivery=abc")
    assert token_header("postmark", "abc") == ("X-PM-Metadata-delivery", "abc")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_secret_of_each_provider_is_valid(provider: MailProvider) -> None:
    check_hook_secret(provider, fake_providers()[provider].secret)


@pytest.mark.parametrize(
    ("provider", "secret", "error"),
    [
        (None, "x", "without LEDGER_MAIL_PROVIDER"),
        ("ses", "bounces", "ARN of an SNS topic"),
        ("ses", "arn:aws:sqs:eu-west-1:123456789012:bounces", "ARN of an SNS topic"),
        ("sendgrid", "SG.key", "verification key"),
        ("sendgrid", "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAAAA", "verification key"),
        ("mailgun", "", "signing key"),
        ("postmark", "password", "user:password"),
        ("postmark", "user:", "user:password"),
    ],
)
def test_secret_of_another_form_is_refused_at_the_start(provider: MailProvider | None, secret: str, error: str) -> None:
    """Otherwise every report would be refused as forged."""
    with pytest.raises(ValueError, match=error):
        check_hook_secret(provider, secret)
