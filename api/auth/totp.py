"""Codes of authenticator apps: RFC 6238 with SHA-1, six digits and steps of 30 seconds, which all apps support."""

from base64 import b32encode
from datetime import datetime
from typing import Final

import pyotp
from pyotp.exceptions import OTPVerificationError

SECRET_BYTES: Final = 20
"""Length of the secret: that of the digest (RFC 4226, section 4)."""
DIGITS: Final = 6
WINDOW: Final = 1
"""Steps before and after the current one that are accepted: a phone's clock may differ by half a minute."""
DRIFT: Final = 4
"""Steps within which a refused code is said to be of another time: a clock may differ by up to two minutes."""
ISSUER: Final = "Redemption Ledger"
URI_LENGTH_MAX: Final = 230
"""Longest URI that a QR code of version 9 holds: more modules are hard to scan. A longer email address is cut."""


def make_secret(random_bytes: bytes) -> str:
    """Return a secret in base32, as apps take it when it is typed."""
    return b32encode(random_bytes).decode()


def describe_secret(secret: str, address: str) -> str:
    """Return the URI that apps read from a QR code."""
    label = address
    while len(uri := pyotp.TOTP(secret).provisioning_uri(name=label, issuer_name=ISSUER)) > URI_LENGTH_MAX:
        label = label[: len(label) * 3 // 4]
    return uri


def find_step(secret: str, code: str, now: datetime, window: int = WINDOW) -> int | None:
    """Return the time step that a code is of; None if it is of none within the window."""
    try:
        return pyotp.TOTP(secret).verify_and_get_timecode(code, for_time=now, valid_window=window)
    except OTPVerificationError:
        return None
