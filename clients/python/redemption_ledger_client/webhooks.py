"""Verification of webhook messages by Standard Webhooks 1.0."""

import base64
import binascii
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from redemption_ledger_client.errors import SignatureError

TOLERANCE_S = 300


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


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    *,
    tolerance_s: float = TOLERANCE_S,
    now: float | None = None,
) -> WebhookMessage:
    """Return the message of a request, if one of the secrets signed it.

    Args:
        body: The body exactly as received.
        headers: Headers of the request, by names in any case.
        secrets: The secret of the endpoint (`whsec_...`). While you replace it, the old one and the new one.
        tolerance_s: By how many seconds the clock of the ledger and yours may differ.
        now: Unix time; by default that of this machine.

    Raises:
        SignatureError: A header is missing, no secret signed the message, or its time is outside the tolerance.
    """
    received = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, stamp, signatures = (received[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise SignatureError(f"The header {error} is missing.") from None
    signed = b".".join((message_id.encode(), stamp.encode(), body))
    if not any(_has_signed(secret, signed, signatures) for secret in _as_list(secrets)):
        raise SignatureError("No secret signed the message.")
    if abs((time.time() if now is None else now) - int(stamp)) > tolerance_s:
        raise SignatureError(f"The message was signed more than {tolerance_s:g} s from now.")
    decoded = json.loads(body)
    message = decoded["data"] if "specversion" in decoded else decoded
    return WebhookMessage(message_id, message["type"], message["data"], decoded)


def _as_list(secrets: str | Sequence[str]) -> Sequence[str]:
    return [secrets] if isinstance(secrets, str) else secrets


def _has_signed(secret: str, signed: bytes, signatures: str) -> bool:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("A secret begins with whsec_, and base64 follows.") from None
    expected = b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256"))
    return any(hmac.compare_digest(expected, each.encode()) for each in signatures.split())
