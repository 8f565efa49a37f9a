"""Link tokens, made again on every try and worthless without the secret; Message-IDs; digests under a key."""

import hashlib
import hmac
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.values.keyed_hash import KeyedHash
from domain.values.link_token import (
    DeliveryRef,
    OptOutRef,
    correction_token,
    joined_token,
    link_token,
    opt_out_token,
    read_correction_token,
    read_joined_token,
    read_opt_out_token,
    read_token,
)
from domain.values.message_id import message_id

DELIVERY = DeliveryRef(UUID(int=7), 2)
TOKEN = link_token(b"secret", DELIVERY)


def test_token_leads_back_to_its_delivery() -> None:
    """The same on every try, and short enough for a mail."""
    assert link_token(b"secret", DELIVERY) == TOKEN
    assert read_token(b"secret", TOKEN) == DELIVERY
    assert len(TOKEN) == 46


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        TOKEN[:-1],
        TOKEN[:-2] + "AA",
        "B" + TOKEN[1:],
        TOKEN[:4] + "!!!!" + TOKEN[4:],
        TOKEN + "A",
        "%00",
        "秘",
        "A" * 5000,
    ],
)
def test_forged_token_leads_nowhere(token: str) -> None:
    assert read_token(b"secret", token) is None


def test_correction_token_leads_back_to_its_reservation() -> None:
    """It is the same on every try, and has the length that the cookie allows for."""
    token = correction_token(b"secret", UUID(int=7))

    assert token == correction_token(b"secret", UUID(int=7)) != correction_token(b"secret", UUID(int=8))
    assert read_correction_token(b"secret", token) == UUID(int=7)
    assert len(token) == 43


@pytest.mark.parametrize("token", ["", "x", TOKEN, correction_token(b"other", UUID(int=7)), "%00", "秘", "A" * 5000])
def test_forged_correction_token_leads_nowhere(token: str) -> None:
    """A link token is not a correction token, nor the other way round: who gets the email is not who redeemed."""
    assert read_correction_token(b"secret", token) is None
    assert read_token(b"secret", correction_token(b"secret", UUID(int=7))) is None


def test_another_secret_reads_nothing() -> None:
    assert read_token(b"other", TOKEN) is None


@pytest.mark.parametrize("group", [None, "red", "组" * 200])
def test_opt_out_token_leads_back_to_recipient_and_group(group: str | None) -> None:
    ref = OptOutRef(UUID(int=7), group)
    token = opt_out_token(b"secret", ref)

    assert token == opt_out_token(b"secret", ref)
    assert read_opt_out_token(b"secret", token) == ref
    assert read_opt_out_token(b"other", token) is None


def test_opt_out_token_and_other_tokens_are_not_interchangeable() -> None:
    ref = OptOutRef(UUID(int=7), "red")
    token = opt_out_token(b"secret", ref)
    others = ["", "A", "A" * 20, token[:-1], token + "A", TOKEN, correction_token(b"secret", ref.recipient_id)]

    assert [read_opt_out_token(b"secret", other) for other in others] == [None] * len(others)
    assert read_token(b"secret", token) is None
    assert read_correction_token(b"secret", token) is None
    assert token not in {
        opt_out_token(b"secret", OptOutRef(UUID(int=8), "red")),
        opt_out_token(b"secret", OptOutRef(UUID(int=7), None)),
    }


def test_joined_token_and_correction_token_are_not_interchangeable() -> None:
    """They have one length, and are in one cookie."""
    ref = UUID(int=7)
    joined, correction = joined_token(b"secret", ref), correction_token(b"secret", ref)

    assert len(joined) == len(correction) == 43
    assert (read_joined_token(b"secret", joined), read_correction_token(b"secret", correction)) == (ref, ref)
    assert (read_joined_token(b"secret", correction), read_correction_token(b"secret", joined)) == (None, None)
    assert read_joined_token(b"other", joined) is None


def test_message_id_is_the_deliverys() -> None:
    """RFC 5322: in angle brackets, unique per delivery."""
    assert message_id(DeliveryRef(UUID(int=7), 2), "example.com") == f"<{UUID(int=7)}.2@example.com>"


@given(key=st.binary(max_size=64), texts=st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_keyed_hash_equals_hmac_for_each_text(key: bytes, texts: list[bytes]) -> None:
    keyed = KeyedHash(key)

    assert [keyed.digest(text) for text in texts] == [hmac.digest(key, text, hashlib.sha256) for text in texts]


def test_keyed_hash_refuses_key_longer_than_a_block() -> None:
    """RFC 2104 would hash it first, and no key of the ledger is that long."""
    with pytest.raises(ValueError, match="a key of 65 bytes is longer than 64"):
        KeyedHash(bytes(65))
