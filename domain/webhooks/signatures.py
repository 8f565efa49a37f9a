"""Standard Webhooks 1.0: signing what goes out, checking what comes in. Pure: times and secrets come from outside.

The signature is an HMAC-SHA-256 over `id.timestamp.body`, written `v1,` and base64; while a secret is being replaced
a message carries one signature for each that is valid, separated by spaces.
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
"""The specification asks for 24 to 64."""
TOLERANCE_S: Final = 300
"""How far a message's own time may be from ours, either way."""
SIGNATURES_MAX: Final = 8

_ID: Final = re.compile(r"[A-Za-z0-9_:-]{1,64}")
"""Without full stops, since they separate what is signed."""
_SECONDS: Final = re.compile(r"[0-9]{1,11}")

SignatureFault = Literal["malformed", "forged", "stale"]


class SignatureHeaders(NamedTuple):
    """The three headers of a message, as they came; empty where one was missing."""

    message_id: str
    timestamp: str
    signatures: str

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "SignatureHeaders":
        """From headers by their names in lower case."""
        return cls(*(headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")))


def secret_text(raw: bytes) -> str:
    """A secret as people copy it."""
    return PREFIX + base64.b64encode(raw).decode()


def sign(secrets: Sequence[str], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of a message.

    Args:
        secrets: Those that are valid, the newest first; at least one.
        message_id: The same on every try: receivers tell a repeat by it.
        at: When this try is made.
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
    """What is wrong with a message that came in; None if it was signed with one of these secrets, lately.

    A repeat is for the caller to notice: the id of a message that was taken must not be taken with an older time.
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
    """The bytes of one signature; None of another version, or if it is none."""
    version, _, encoded = part.partition(",")
    if version != "v1":
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
