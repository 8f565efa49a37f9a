"""Mailgun's webhooks: an HMAC-SHA256 over timestamp and token with the webhook signing key, and one event."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from api.use_cases.mail_hooks.hook import (
    Failure,
    HookRequest,
    check_age,
    check_equal,
    make_report,
    member,
    read_json,
    read_seconds,
    text_at,
)
from domain.report_intake import MailReport
from domain.values.mail.bounce_reason import BounceReason
from domain.values.mail.mail_provider import NAME_OF_VALUE

_EXPIRED: Final = "old"
"""Reason of a failure after which Mailgun stops trying, though its severity may still be `temporary`."""
_REASONS: Final[Mapping[str, BounceReason]] = {
    _EXPIRED: "expired",
    "espblock": "refused",
    "suppress-bounce": "refused",
    "suppress-complaint": "refused",
    "suppress-unsubscribe": "refused",
}
_CODES: Final[Mapping[str, BounceReason]] = {"498": "domain_unknown", "602": "expired"}
"""Codes of Mailgun itself: the domain has no mail server; it has stopped trying."""


class MailgunHook:
    """Reads events."""

    def __init__(self, signing_key: str) -> None:
        self._key = signing_key.encode()

    def read(self, request: HookRequest) -> Sequence[MailReport | None]:
        """Return what the event reports."""
        document = read_json(request.body)
        timestamp = text_at(document, "signature", "timestamp")
        signed = timestamp + text_at(document, "signature", "token")
        own = hmac.digest(self._key, signed.encode(errors="replace"), hashlib.sha256).hex()
        check_equal(own, text_at(document, "signature", "signature"))
        check_age(read_seconds(timestamp), request.now)
        return [_read_event(member(document, "event-data"))]


def _read_event(event: object) -> MailReport | None:
    failure = _failure(event)
    if failure is None:
        return None
    named_by = [text_at(event, "user-variables", NAME_OF_VALUE), text_at(event, "envelope", "sender")]
    details = [text_at(event, name) for name in ("event", "severity", "reason")]
    return make_report(failure, named_by, [*details, text_at(event, "reject", "reason"), *_status(event)], event)


def _failure(event: object) -> Failure | None:
    reason, code = text_at(event, "reason"), text_at(event, "delivery-status", "code")
    match text_at(event, "event"):
        case "failed" if text_at(event, "severity") == "temporary" and reason != _EXPIRED:
            return Failure("delayed", ())
        case "failed":
            otherwise = _CODES.get(code) or _REASONS.get(reason, "other")
            # A code that ends a text has no separator after it, which tells a reply's code from other numbers.
            return Failure("bounced", [*_status(event)[1:], f"{code} "], otherwise)
        case "rejected":
            return Failure("bounced", (), "refused")
        case "complained":
            return Failure("complained", ())
        case _:
            return None


def _status(event: object) -> list[str]:
    names = ("code", "enhanced-code", "message", "description")
    return [text_at(event, "delivery-status", name) for name in names]
