"""SendGrid's Event Webhook with signature verification: ECDSA over the timestamp and the body as it was sent.

The verification key is the DER of a public key of P-256 in base64, as SendGrid's settings show it.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from api.errors import ApplicationError, malformed
from api.use_cases.mail_hooks.hook import (
    ITEMS_MAX,
    Failure,
    HookRequest,
    check_age,
    make_report,
    read_json,
    read_seconds,
    text_at,
)
from domain.report_intake import MailReport
from domain.values.mail.bounce_reason import BounceReason
from domain.values.mail.mail_provider import NAME_OF_VALUE

SIGNATURE: Final = "x-twilio-email-event-webhook-signature"
TIMESTAMP: Final = "x-twilio-email-event-webhook-timestamp"
_CLASSES: Final[Mapping[str, BounceReason]] = {
    "Invalid Address": "mailbox_unknown",
    "Mailbox Unavailable": "mailbox_full",
    "Content": "refused",
    "Reputation": "refused",
    "Frequency or Volume Too High": "refused",
}
"""What `bounce_classification` comes down to, if no status code says more."""
_NO_SERVER: Final = "unable to get mx info"
"""Beginning of the reason of a domain without a mail server."""
_INVALID: Final = "Invalid"
"""Reason of an email that SendGrid drops because its address has no valid form. Its other reasons are its own lists."""


class SendGridHook:
    """Reads arrays of events.

    Raises:
        ValueError: The key is not a public key of an elliptic curve.
    """

    def __init__(self, verification_key: str) -> None:
        match load_der_public_key(base64.b64decode(verification_key, validate=True)):
            case EllipticCurvePublicKey() as key:
                self._key = key
            case _:
                raise ValueError("the verification key is not a key of an elliptic curve")

    def read(self, request: HookRequest) -> Sequence[MailReport | None]:
        """Return what each event reports."""
        timestamp = request.headers.get(TIMESTAMP, "")
        self._check(request.headers.get(SIGNATURE, ""), timestamp.encode() + request.body)
        check_age(read_seconds(timestamp), request.now)
        events = read_json(request.body)
        if not isinstance(events, list) or len(events) > ITEMS_MAX:
            raise malformed("body", f"is not an array of at most {ITEMS_MAX} events")
        return [_read_event(event) for event in events]

    def _check(self, signature: str, signed: bytes) -> None:
        try:
            self._key.verify(base64.b64decode(signature, validate=True), signed, ECDSA(SHA256()))
        except (InvalidSignature, binascii.Error, ValueError) as error:
            raise ApplicationError("SIGNATURE_INVALID") from error


def _read_event(event: object) -> MailReport | None:
    failure = _failure(event)
    if failure is None:
        return None
    details = (text_at(event, name) for name in ("event", "type", "bounce_classification", "status", "reason"))
    return make_report(failure, [text_at(event, NAME_OF_VALUE)], [*details, text_at(event, "response")], event)


def _failure(event: object) -> Failure | None:
    reason = text_at(event, "reason")
    match text_at(event, "event"):
        case "bounce":
            otherwise = _CLASSES.get(text_at(event, "bounce_classification"), "other")
            is_without_server = reason.startswith(_NO_SERVER)
            texts = (text_at(event, "status"), reason)
            return Failure("bounced", texts, "domain_unknown" if is_without_server else otherwise)
        case "dropped":
            return Failure("bounced", (), "mailbox_unknown" if reason == _INVALID else "refused")
        case "deferred":
            return Failure("delayed", ())
        case "spamreport":
            return Failure("complained", ())
        case _:
            return None
