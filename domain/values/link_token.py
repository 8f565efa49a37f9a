"""Link tokens, correction tokens and opt-out tokens, computed from ids, so they are the same on every attempt."""

import base64
import binascii
import hashlib
import hmac
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

from domain.values.keyed_hash import KeyedHash

TAG_BYTES = 16
ID_BYTES: Final = 16
_LINK: Final = b"invitation link"
_CORRECTION: Final = b"correction token"
_OPT_OUT: Final = b"opt-out link"
_WAITING: Final = b"waiting list"
_JOINED: Final = b"joined waiting list"


class DeliveryRef(NamedTuple):
    """One invitation as the recipient sees it: reservation and number, counted from 1."""

    reservation_id: UUID
    number: int


class OptOutRef(NamedTuple):
    """A recipient, and the group whose emails they opt out of; None for emails of codes that name no group."""

    recipient_id: UUID
    group: str | None


def link_token(secret: bytes, delivery: DeliveryRef) -> str:
    """Return the token of the email's link: the delivery and a 128-bit HMAC tag over it, URL-safe, 46 characters."""
    body = delivery.reservation_id.bytes + delivery.number.to_bytes(2)
    return _signed(secret, _LINK, body)


def invitation_url(public_url: str, secret: bytes, delivery: DeliveryRef) -> str:
    """Return the link by which the recipient accepts an invitation."""
    return f"{public_url.rstrip('/')}/a/{link_token(secret, delivery)}"


def read_token(secret: bytes, token: str) -> DeliveryRef | None:
    """Return the delivery that a token was made for; None if it was not made with this secret."""
    body = _verified(secret, _LINK, token, ID_BYTES + 2)
    return None if body is None else DeliveryRef(UUID(bytes=body[:ID_BYTES]), int.from_bytes(body[ID_BYTES:]))


def correction_token(secret: bytes, reservation_id: UUID) -> str:
    """Return the token by which the client that made a reservation may correct or move it; URL-safe, 43 characters.

    It holds the reservation id and a 128-bit HMAC tag over that id, under a key that signs nothing else.
    """
    return _signed(secret, _CORRECTION, reservation_id.bytes)


def read_correction_token(secret: bytes, token: str) -> UUID | None:
    """Return the reservation id that a correction token was made for; None if it was not made with this secret."""
    body = _verified(secret, _CORRECTION, token, ID_BYTES)
    return None if body is None else UUID(bytes=body)


class PlaceRef(NamedTuple):
    """A place on the waiting list of a campaign."""

    campaign_id: UUID
    place_id: UUID


def waiting_token(secret: bytes, ref: PlaceRef) -> str:
    """Return the token of the page of a place on a waiting list; URL-safe, 64 characters.

    It holds the ids of the campaign and the place, and a 128-bit HMAC tag over both.
    """
    return _signed(secret, _WAITING, ref.campaign_id.bytes + ref.place_id.bytes)


def waiting_url(public_url: str, secret: bytes, ref: PlaceRef) -> str:
    """Return the address of the page of a place on a waiting list."""
    return f"{public_url.rstrip('/')}/waiting/{waiting_token(secret, ref)}"


def read_waiting_token(secret: bytes, token: str) -> PlaceRef | None:
    """Return the place that a token was made for; None if it was not made with this secret."""
    body = _verified(secret, _WAITING, token, 2 * ID_BYTES)
    return None if body is None else PlaceRef(UUID(bytes=body[:ID_BYTES]), UUID(bytes=body[ID_BYTES:]))


def joined_token(secret: bytes, place_id: UUID) -> str:
    """Return the token by which the browser that joined a waiting list proves it; URL-safe, 43 characters.

    It holds the id of the place and a 128-bit HMAC tag over that id, under a key that signs nothing else. The link of
    the place is no such proof: it may be passed on.
    """
    return _signed(secret, _JOINED, place_id.bytes)


def read_joined_token(secret: bytes, token: str) -> UUID | None:
    """Return the id of the place that a token was made for; None if it was not made with this secret."""
    body = _verified(secret, _JOINED, token, ID_BYTES)
    return None if body is None else UUID(bytes=body)


def opt_out_token(secret: bytes, ref: OptOutRef) -> str:
    """Return the token of the link by which a recipient opts out of a group's emails; URL-safe, 43 characters or more.

    It holds the recipient's random id and the name of the group, and a 128-bit HMAC tag over both.
    """
    return _signed(secret, _OPT_OUT, ref.recipient_id.bytes + (ref.group or "").encode())


def read_opt_out_token(secret: bytes, token: str) -> OptOutRef | None:
    """Return the recipient and the group that a token was made for; None if it was not made with this secret."""
    body = _verified(secret, _OPT_OUT, token)
    return None if body is None else OptOutRef(UUID(bytes=body[:ID_BYTES]), body[ID_BYTES:].decode() or None)


def _signed(secret: bytes, purpose: bytes, body: bytes) -> str:
    return base64.urlsafe_b64encode(body + _tag(secret, purpose, body)).decode().rstrip("=")


def _verified(secret: bytes, purpose: bytes, token: str, length: int | None = None) -> bytes | None:
    """Return the bytes that a token was made over; None if they, or the tag, are not of this purpose.

    Args:
        secret: Key of the tokens.
        purpose: What the token is for.
        token: As it came.
        length: Number of the bytes; None where it differs from token to token.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    end = max(0, len(raw) - TAG_BYTES) if length is None else length
    body, tag = raw[:end], raw[end:]
    return body if len(tag) == TAG_BYTES and hmac.compare_digest(tag, _tag(secret, purpose, body)) else None


def _tag(secret: bytes, purpose: bytes, body: bytes) -> bytes:
    return _keyed(secret, purpose).digest(body)[:TAG_BYTES]


@lru_cache(maxsize=8)
def _keyed(secret: bytes, purpose: bytes) -> KeyedHash:
    """Return a hash under the key of one purpose. It is kept, since a redeem signs for each new reservation."""
    return KeyedHash(hmac.digest(secret, purpose, hashlib.sha256))
