import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID, uuid4

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
from api.auth.sealed_state import OpenedState, open_state, seal_state
from api.auth.totp import DRIFT, URI_LENGTH_MAX, WINDOW, describe_secret, find_step, make_secret
from api.auth.user_agents import BROWSERS, READ_MAX, SYSTEMS, read_device
from api.i18n.catalogs import translator
from api.web.staff_auth.session_list import list_sessions
from projections.repositories.staff_sessions import Device, SessionRow
from projections.vault.key_ring import KeyRing
from projections.vault.vault import Vault
from tests.support.clients.soft_authenticator import SoftAuthenticator

SECRET = make_secret(b"12345678901234567890")
"""That of RFC 6238, appendix B."""
STEP = timedelta(seconds=30)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_code_is_that_of_the_standard(seconds: int, code: str) -> None:
    assert find_step(SECRET, code, datetime.fromtimestamp(seconds, UTC)) == seconds // 30


@pytest.mark.parametrize(("steps", "is_accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_window_is_one_step_on_each_side(steps: int, is_accepted: bool) -> None:
    """A phone's clock may differ by half a minute."""
    at = datetime.fromtimestamp(1111111111, UTC)

    assert (find_step(SECRET, "050471", at - steps * STEP) is not None) is is_accepted
    assert find_step(SECRET, "050471", at - steps * STEP, DRIFT) == 1111111111 // 30
    assert (WINDOW, DRIFT) == (1, 4)


@pytest.mark.parametrize("code", ["", "28708", "2870820", "letters", "２８７０８３"])
def test_other_text_is_of_no_step(code: str) -> None:
    assert find_step(SECRET, code, datetime.fromtimestamp(59, UTC)) is None


@pytest.mark.parametrize("address", ["li.wei@example.com", "李" * 100 + "@example.com", "a" * 300 + "@example.com"])
def test_uri_names_issuer_account_and_secret_and_fits_a_qr_code(address: str) -> None:
    uri = describe_secret(SECRET, address)

    parts = urlsplit(uri)
    assert len(uri) <= URI_LENGTH_MAX
    assert parse_qs(parts.query) == {"secret": [SECRET], "issuer": ["Redemption Ledger"]}
    assert f"Redemption Ledger:{address}".startswith(unquote(parts.path.lstrip("/")))


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


NOW = datetime(2026, 12, 1, tzinfo=UTC)
VAULT = Vault(KeyRing(1, {1: b"p" * 32}), KeyRing(1, {1: b"m" * 32}))
STATE = OpenedState(uuid4(), ["a", None, True], NOW + timedelta(minutes=10))


def test_state_is_opened_as_it_was_sealed() -> None:
    assert open_state(VAULT, "assert", seal_state(VAULT, "assert", STATE), NOW) == STATE


def test_state_is_not_opened_for_another_purpose_or_after_its_time() -> None:
    sealed = seal_state(VAULT, "register", STATE)

    assert open_state(VAULT, "assert", sealed, NOW) is None
    assert open_state(VAULT, "register", sealed, STATE.expires_at) is None


@pytest.mark.parametrize(
    "text", ["", "x", "..", "0.1.", f"{UUID(int=1).hex}.1.AAAA", f"{UUID(int=1).hex}.9.AAAA", "é.1.é"]
)
def test_other_text_is_no_state(text: str) -> None:
    assert open_state(VAULT, "assert", text, NOW) is None
    moved = seal_state(VAULT, "assert", STATE).replace(STATE.state_id.hex, uuid4().hex)
    assert open_state(VAULT, "assert", moved, NOW) is None


WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/143.0.0.0 Safari/537.36", ("Chrome", "Windows")),
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0",
            ("Edge", "Windows"),
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", ("Firefox", "Linux")),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15",
            ("Safari", "macOS"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 CriOS/143.0 Safari/604.1",
            ("Chrome", "iPhone"),
        ),
        (
            f"Mozilla/5.0 (Linux; Android 15; SM-S921B) {WEBKIT} SamsungBrowser/27.0 Chrome/125.0 Safari/537.36",
            ("Samsung Internet", "Android"),
        ),
        ("<script>alert(1)</script>", ("", "")),
        ("", ("", "")),
    ],
)
def test_header_names_browser_and_system(user_agent: str, expected: tuple[str, str]) -> None:
    assert read_device(user_agent) == expected


def test_header_is_read_to_a_bound_and_names_fit_their_columns() -> None:
    """A longer header costs no more than the first part of it."""
    assert read_device("x" * READ_MAX + "Firefox/145.0") == ("", "")
    assert max(len(name) for _, name in (*BROWSERS, *SYSTEMS)) <= 40


AT = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize(("network", "shown"), [("203.0.113.0/24", "203.0.113.0/24"), (None, "-")])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_session_shows_its_network_or_a_dash(network: str | None, shown: str, language: str) -> None:
    (listed,) = list_sessions([SessionRow(b"x", Device(), network, AT, AT)], translator(language))

    assert listed.network == shown
