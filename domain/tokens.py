"""Link tokens and Message-IDs: both belong to a delivery and come out the same on every try."""

import base64
import binascii
import hashlib
import hmac
from typing import NamedTuple
from uuid import UUID

TAG_BYTES = 16
_PURPOSE = b"invitation link"


class Delivery(NamedTuple):
    """One invitation as the recipient sees it: reservation and number, counted from 1."""

    reservation_id: UUID
    number: int


def link_token(secret: bytes, delivery: Delivery) -> str:
    """The token in the mail's link: the delivery and a 128-bit HMAC tag over it, URL-safe, 46 letters."""
    body = delivery.reservation_id.bytes + delivery.number.to_bytes(2, "big")
    return base64.urlsafe_b64encode(body + _tag(secret, body)).decode().rstrip("=")


def read_token(secret: bytes, token: str) -> Delivery | None:
    """The delivery that a token was made for; None if it was not made with this secret."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    body, tag = raw[:18], raw[18:]
    if len(tag) != TAG_BYTES or not hmac.compare_digest(tag, _tag(secret, body)):
        return None
    return Delivery(UUID(bytes=body[:16]), int.from_bytes(body[16:], "big"))


def message_id(delivery: Delivery, domain: str) -> str:
    """RFC 5322 Message-ID of a delivery's letter."""
    return f"<{delivery.reservation_id}.{delivery.number}@{domain}>"


def _tag(secret: bytes, body: bytes) -> bytes:
    key = hmac.digest(secret, _PURPOSE, hashlib.sha256)
    return hmac.digest(key, body, hashlib.sha256)[:TAG_BYTES]
