"""The cookie of a member of staff, and the token that proves that a request was made by one of our pages."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

COOKIE: Final = "ledger_staff"
TOKEN_HEADER: Final = "x-csrf-token"  # noqa: S105 - a name, no secret
"""Header in which scripts send the token that forms send in a field."""


def digest_of(token: str) -> bytes:
    """Return the digest that is stored for a session or an API key; it cannot be used in their place."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def form_secret(secret_key: SecretStr) -> bytes:
    """Return the key of form tokens, which is derived from `SECRET_KEY`."""
    return hashlib.sha256(b"support\0" + secret_key.get_secret_value().encode()).digest()


def form_token(secret: bytes, cookie: str) -> str:
    """Return the token that forms and requests of the holder of a cookie carry.

    Args:
        secret: The key of form tokens.
        cookie: The session's token.
    """
    return hmac.digest(secret, cookie.encode(errors="replace"), hashlib.sha256).hex()


def is_own(headers: Mapping[str, str], secret: bytes, cookie: str | None, token: str) -> bool:
    """Return whether one of our pages made a request for the holder of this cookie."""
    if cookie is None or headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    return hmac.compare_digest(form_token(secret, cookie).encode(), token.encode(errors="replace"))
