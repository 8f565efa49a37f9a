"""Idempotency-Key: how a client's key is read, and the digest under which it is kept within its scope."""

import hashlib
from typing import Final

from api.problems import malformed

KEY_LENGTH_MAX: Final = 255


def scope_digest(scope: bytes, key: str) -> bytes:
    """The digest of a key in its scope; the key itself is kept nowhere.

    Raises:
        ProblemError: MALFORMED, it is empty or longer than 255 letters.
    """
    if not 1 <= len(key) <= KEY_LENGTH_MAX:
        raise malformed("header.idempotency-key", f"1 to {KEY_LENGTH_MAX} letters")
    return hashlib.sha256(scope + key.encode(errors="replace")).digest()
