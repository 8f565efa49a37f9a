from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from api.auth.totp import DRIFT, URI_LENGTH_MAX, WINDOW, describe_secret, find_step, make_secret

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
