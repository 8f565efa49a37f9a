"""Tokens of emails: only ours are believed, and only for a time."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.values.mail.mail_token import TOKEN_CHARS, VALID, MailRef, find_tokens, mail_token, read_mail_token

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
