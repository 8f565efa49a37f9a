"""Standard Webhooks 1.0: sign outgoing messages and verify incoming ones. Pure: time and secrets come from the caller.

The signature is an HMAC-SHA-256 over `id.timestamp.body`, written `v1,` and base64. While a secret is being replaced a
message carries one signature for each valid secret, separated by spaces.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
"""Length of a secret; the specification asks for 24 to 64 bytes."""
TOLERANCE_S: Final = 300
"""Largest difference between a message's timestamp and our clock, in seconds."""
SIGNATURES_MAX: Final = 8

_ID: Final = re.compile(r"[A-Za-z0-9_:-]{1,64}")
"""A message id has no full stops, because they separate the signed parts."""
_SECONDS: Final = re.compile(r"[0-9]{1,11}")

SignatureFault = Literal["malformed", "forged", "stale"]


class SignatureHeaders(NamedTuple):
    """The three signature headers of a message; empty where one was missing."""

    message_id: str
    timestamp: str
    signatures: str

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "SignatureHeaders":
        """Read the headers, given by their names in lower case."""
        return cls(*(headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")))


def secret_text(raw: bytes) -> str:
    """Return a secret in the form in which users copy it."""
    return PREFIX + base64.b64encode(raw).decode()


def sign(secrets: Sequence[str], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the signature headers of a message.

    Args:
        secrets: Those that are valid, the newest first; at least one.
        message_id: The same on every attempt: receivers recognize a repeat by it.
        at: Time of this attempt.
        body: As it is sent.
    """
    timestamp = str(int(at.timestamp()))
    signatures = [_signature(secret, message_id, timestamp, body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in signatures),
    }


def verification_error(
    secrets: Sequence[str], signed: SignatureHeaders, body: bytes, now: datetime
) -> SignatureFault | None:
    """Return why an incoming message is not valid; None if it was signed recently with one of these secrets.

    The caller detects repeats: an accepted message's id must not be accepted again with an older timestamp.
    """
    if not _ID.fullmatch(signed.message_id) or not _SECONDS.fullmatch(signed.timestamp):
        return "malformed"
    presented_signatures = [
        one for part in signed.signatures.split(" ")[:SIGNATURES_MAX] if (one := _read(part)) is not None
    ]
    if not presented_signatures:
        return "malformed"
    own_signatures = [_signature(secret, signed.message_id, signed.timestamp, body) for secret in secrets]
    if not any(hmac.compare_digest(one, other) for one in own_signatures for other in presented_signatures):
        return "forged"
    is_now = abs(int(signed.timestamp) - now.timestamp()) <= TOLERANCE_S
    return None if is_now else "stale"


def _signature(secret: str, message_id: str, timestamp: str, body: bytes) -> bytes:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)


def _read(part: str) -> bytes | None:
    """Return the bytes of one signature; None if it is malformed or of another version."""
    version, _, encoded = part.partition(",")
    if version != "v1":
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
