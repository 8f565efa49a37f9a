"""Emails and their reports: why one bounced, how a provider's report names it, and the tokens that we believe."""

import json
from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID

import pytest

from domain.values.mail.bounce_reason import BounceReason, reason_of_status
from domain.values.mail.mail_provider import PROVIDERS, MailProvider, check_hook_secret, token_header
from domain.values.mail.mail_token import TOKEN_CHARS, VALID, MailRef, find_tokens, mail_token, read_mail_token
from tests.support.mail_providers import fake_providers


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("5.1.1", "mailbox_unknown"),
        ("5.2.1", "mailbox_unknown"),
        ("5.1.2", "domain_unknown"),
        ("5.1.10", "domain_unknown"),
        ("5.4.4", "domain_unknown"),
        ("5.2.2", "mailbox_full"),
        ("4.2.2", "mailbox_full"),
        ("4.4.7", "expired"),
        ("4.4.1", "expired"),
        ("5.7.1", "refused"),
        ("5.7.509", "refused"),
        ("5.0.0", "other"),
        ("", "other"),
        ("nonsense", "other"),
    ],
)
def test_status_code_is_a_reason(status: str, reason: BounceReason) -> None:
    """What a person is to do about it differs by the reason."""
    assert reason_of_status(status) == reason
    assert reason in get_args(BounceReason)


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


SECRET = b"secret"
WRITTEN_AT = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
REF = MailRef("invite", UUID(int=7), 3)


@pytest.mark.parametrize(
    "ref", [REF, MailRef("notice", UUID(int=2**128 - 1), 1), MailRef("hand_out", UUID(int=0), 65_535)]
)
def test_token_names_its_email(ref: MailRef) -> None:
    token = mail_token(SECRET, ref, WRITTEN_AT)

    assert (len(token), token) == (TOKEN_CHARS, token.lower())
    assert token == mail_token(SECRET, ref, WRITTEN_AT)
    assert read_mail_token(SECRET, token, WRITTEN_AT) == ref


def test_token_survives_servers_that_change_its_case() -> None:
    """Mail servers may; a local part is compared by its domain alone."""
    assert read_mail_token(SECRET, mail_token(SECRET, REF, WRITTEN_AT).upper(), WRITTEN_AT) == REF


def test_token_of_another_ledger_is_not_believed() -> None:
    assert read_mail_token(b"other", mail_token(SECRET, REF, WRITTEN_AT), WRITTEN_AT) is None


def test_every_change_of_a_token_is_noticed() -> None:
    """Each character in turn; the bits that fill the last one mean nothing."""
    token = mail_token(SECRET, REF, WRITTEN_AT)
    for place in range(TOKEN_CHARS):
        other = "b" if token[place] != "b" else "c"
        changed = token[:place] + other + token[place + 1 :]
        assert read_mail_token(SECRET, changed, WRITTEN_AT) in ({None, REF} if place == TOKEN_CHARS - 1 else {None})


def test_token_ends_two_months_after_its_email() -> None:
    token, day = mail_token(SECRET, REF, WRITTEN_AT), WRITTEN_AT.replace(hour=0)

    assert read_mail_token(SECRET, token, day + VALID) == REF
    assert read_mail_token(SECRET, token, day + VALID + timedelta(seconds=1)) is None


@pytest.mark.parametrize("text", ["", "x", "!" * TOKEN_CHARS, "a" * TOKEN_CHARS, "a" * 10_000, "\u0131" * TOKEN_CHARS])
def test_malformed_token_names_nothing(text: str) -> None:
    assert read_mail_token(SECRET, text, WRITTEN_AT) is None


def test_tokens_are_read_from_addresses_and_fields() -> None:
    token = mail_token(SECRET, REF, WRITTEN_AT)

    assert [*find_tokens(f"<bounces+{token}@example.com>, {token}")] == [token, token]
    assert [*find_tokens(f"bounces+{token}x@example.com")] == []
