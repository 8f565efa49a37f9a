"""Tokens of emails: what an email's envelope says about it, so that a report about it can be believed.

The token is the tag of a return path (VERP) and the envelope identifier of a delivery status notification (RFC 3461,
4.4). Mail servers may change the case of both, so it is written in one.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, NamedTuple
from uuid import UUID

from domain.values.keyed_hash import KeyedHash

MailKind = Literal["invite", "notice", "hand_out", "offer"]
"""An invitation, a further email about a reservation, an email with a handed-out code, or one that offers a use to a
person on a waiting list."""
TOKEN_CHARS: Final = 47
"""Length of a token. With a tag's separator it leaves 16 of the 64 octets of a local part (RFC 5321, 4.5.3.1.1)."""
VALID: Final = timedelta(days=60)
"""How long a report may come after its email was written. Mail servers give up after 5 days (RFC 5321, 4.5.4.1), and
complaints come when their recipients read: nearly all within some weeks."""
_KINDS: Final[tuple[MailKind, ...]] = ("invite", "notice", "hand_out", "offer")
_TAG_BYTES: Final = 8
_EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)
_BODY_BYTES: Final = 21
_TOKEN: Final = re.compile(rf"(?<![0-9A-Za-z])[A-Za-z2-7]{{{TOKEN_CHARS}}}(?![0-9A-Za-z])")


class MailRef(NamedTuple):
    """One email.

    Attributes:
        subject_id: The reservation; of a handed-out code, the id of the code; of an offer, the id of the place.
        number: Of the delivery, or of the email with a code, from 1.
    """

    kind: MailKind
    subject_id: UUID
    number: int


def mail_token(secret: bytes, ref: MailRef, written_at: datetime) -> str:
    """Return the token of an email: 47 characters of lower-case base32 (RFC 4648), the same on every attempt.

    It holds the email, the day on which it was written, and a 64-bit HMAC tag over both. A forger learns from no answer
    whether a guess was right, and a guess that is right moves one report.
    """
    day = max(0, (written_at - _EPOCH).days)
    body = bytes((_KINDS.index(ref.kind),)) + ref.subject_id.bytes + ref.number.to_bytes(2) + day.to_bytes(2)
    return base64.b32encode(body + _tag(secret, body)).decode().rstrip("=").lower()


def read_mail_token(secret: bytes, token: str, now: datetime) -> MailRef | None:
    """Return the email that a token was made for; None if it was not made with this secret, or is too old."""
    try:
        raw = base64.b32decode(token.upper() + "=" * (-len(token) % 8))
    except (binascii.Error, ValueError):
        return None
    body, tag = raw[:_BODY_BYTES], raw[_BODY_BYTES:]
    if not hmac.compare_digest(tag, _tag(secret, body)) or body[0] >= len(_KINDS):
        return None
    written_on = _EPOCH + timedelta(days=int.from_bytes(body[19:]))
    if now > written_on + VALID:
        return None
    return MailRef(_KINDS[body[0]], UUID(bytes=body[1:17]), int.from_bytes(body[17:19]))


def find_tokens(text: str) -> Iterator[str]:
    """Yield what has the form of a token in a text such as an address."""
    return (match[0] for match in _TOKEN.finditer(text))


def _tag(secret: bytes, body: bytes) -> bytes:
    return _keyed(secret).digest(body)[:_TAG_BYTES]


@lru_cache(maxsize=2)
def _keyed(secret: bytes) -> KeyedHash:
    return KeyedHash(hmac.digest(secret, b"mail token", hashlib.sha256))
