"""Verification of webhook messages, and of other signed requests, by Standard Webhooks 1.0."""

import base64
import hmac
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from redemption_ledger_client.errors import SignatureError

TOLERANCE_S = 300
KEY_BYTES_MIN = 24
"""As Standard Webhooks 1.0 asks. A shorter one is a setting that is missing, by which anyone could sign."""
SECONDS = re.compile("[0-9]{1,11}")


class WebhookMessage(NamedTuple):
    """A message that the ledger signed.

    Attributes:
        id: Its `webhook-id`. A message can arrive more than once: process each id once.
        type: Type of the event, such as `InviteSent`.
        data: Ids, `version` and `position` of the event.
        body: The whole body, which is an envelope if the endpoint gets CloudEvents.
    """

    id: str
    type: str
    data: dict[str, Any]
    body: dict[str, Any]


def verify_signature(
    body: bytes,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    *,
    tolerance_s: float = TOLERANCE_S,
    now: float | None = None,
) -> str:
    """Return the `webhook-id` of a request with any body, such as a batch of `ledger relay`, if a secret signed it.

    Args:
        body: The body exactly as received.
        headers: Headers of the request, by names in any case.
        secrets: The secret (`whsec_...`). While you replace it, the old one and the new one.
        tolerance_s: By how many seconds the clock of the ledger and yours may differ.
        now: Unix time; by default that of this machine.

    Raises:
        SignatureError: A header is missing, no secret signed the request, or its time is outside the tolerance.
        ValueError: A secret is missing or invalid, such as an empty setting.
    """
    keys = [_read_key(secret) for secret in _as_list(secrets)]
    received = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, stamp, signatures = (received[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise SignatureError(f"The header {error} is missing.") from None
    if "." in message_id or not SECONDS.fullmatch(stamp):
        raise SignatureError("A header is malformed.")  # full stops separate what is signed
    signed = b".".join((message_id.encode(), stamp.encode(), body))
    if not any(_has_signed(key, signed, signatures) for key in keys):
        raise SignatureError("No secret signed the message.")
    if abs((time.time() if now is None else now) - int(stamp)) > tolerance_s:
        raise SignatureError(f"The message was signed more than {tolerance_s:g} s from now.")
    return message_id


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    *,
    tolerance_s: float = TOLERANCE_S,
    now: float | None = None,
) -> WebhookMessage:
    """Return the message of a request, if one of the secrets signed it. Arguments are those of `verify_signature`.

    Raises:
        SignatureError: As by `verify_signature`; or what is signed is not one message.
        ValueError: A secret is missing or invalid, such as an empty setting.
    """
    message_id = verify_signature(body, headers, secrets, tolerance_s=tolerance_s, now=now)
    try:
        decoded = json.loads(body)
        message = decoded["data"] if "specversion" in decoded else decoded
        return WebhookMessage(message_id, message["type"], message["data"], decoded)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise SignatureError("The signed body is not one message. Read a batch after verify_signature.") from None


def _as_list(secrets: str | Sequence[str]) -> Sequence[str]:
    return [secrets] if isinstance(secrets, str) else secrets


def _read_key(secret: str) -> bytes:
    prefix, separator, encoded = secret.partition("whsec_")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if prefix or not separator or len(key) < KEY_BYTES_MIN:
        raise ValueError(f"A secret begins with whsec_, and base64 of at least {KEY_BYTES_MIN} bytes follows.")
    return key


def _has_signed(key: bytes, signed: bytes, signatures: str) -> bool:
    expected = b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256"))
    return any(hmac.compare_digest(expected, each.encode()) for each in signatures.split())
