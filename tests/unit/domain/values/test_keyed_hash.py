"""Digests under a key are HMAC-SHA-256."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.values.keyed_hash import KeyedHash


@given(key=st.binary(max_size=64), texts=st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_keyed_hash_equals_hmac_for_each_text(key: bytes, texts: list[bytes]) -> None:
    keyed = KeyedHash(key)

    assert [keyed.digest(text) for text in texts] == [hmac.digest(key, text, hashlib.sha256) for text in texts]


def test_keyed_hash_refuses_key_longer_than_a_block() -> None:
    """RFC 2104 would hash it first, and no key of the ledger is that long."""
    with pytest.raises(ValueError, match="a key of 65 bytes is longer than 64"):
        KeyedHash(bytes(65))
