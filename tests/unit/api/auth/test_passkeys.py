import json
import random
from typing import Any
from uuid import uuid4

import pytest

from api.auth.passkeys import (
    PasskeyError,
    RelyingParty,
    check_assertion,
    check_registration,
    describe_assertion,
    describe_registration,
    read_assertion,
)
from tests.support.clients.soft_authenticator import SoftAuthenticator

PARTY = RelyingParty("testserver", "https://testserver")
CHALLENGE = bytes(range(32))


@pytest.mark.parametrize(
    ("url", "party"),
    [
        ("https://redeem.example.com", ("redeem.example.com", "https://redeem.example.com")),
        ("https://Redeem.example.com:443/ledger/", ("redeem.example.com", "https://redeem.example.com")),
        ("https://redeem.example.com:8443", ("redeem.example.com", "https://redeem.example.com:8443")),
        ("http://localhost:8080", ("localhost", "http://localhost:8080")),
        ("http://redeem.example.com", None),
        ("http://127.0.0.1:8080", None),
        ("https://192.0.2.1", None),
        ("https://[2001:db8::1]", None),
    ],
)
def test_party_is_the_host_of_a_url_that_browsers_permit(url: str, party: tuple[str, str] | None) -> None:
    assert RelyingParty.from_url(url) == party


def damage(text: str, source: random.Random) -> str:
    document: dict[str, Any] = json.loads(text)
    part = document if source.random() < 0.4 else document["response"]
    name = source.choice(sorted(part))
    value = part[name]
    replacements: list[Any] = [None, 1, [], {}, "", "%", "AAAA", value if not isinstance(value, str) else value[:-3]]
    if isinstance(value, str) and len(value) > 8:
        at = source.randrange(len(value))
        replacements += [value[:at] + source.choice("AZaz09-_") + value[at + 1 :]] * 8
    part[name] = source.choice(replacements)
    return json.dumps(document)


def test_damaged_answer_is_refused_and_never_an_error() -> None:
    """What is changed and still accepted is not what was signed."""
    key, source = SoftAuthenticator(), random.Random(7)
    created = key.create(json.loads(describe_registration(PARTY, CHALLENGE, uuid4(), "li.wei@example.com", [])))
    passkey = check_registration(PARTY, CHALLENGE, created)
    answer = key.get(json.loads(describe_assertion(PARTY, CHALLENGE, [], verify_user=True)))
    refused = 0
    for _ in range(1_500):
        try:
            check_registration(PARTY, CHALLENGE, damage(created, source))
            damaged = damage(answer, source)
            read_assertion(damaged)
            check_assertion(PARTY, CHALLENGE, damaged, passkey.public_key, verify_user=True)
        except PasskeyError:
            refused += 1

    assert check_assertion(PARTY, CHALLENGE, answer, passkey.public_key, verify_user=True) == 2
    assert refused > 1_000
