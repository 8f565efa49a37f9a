"""Postmark's webhooks: credentials of HTTP Basic in the URL that Postmark calls, and one bounce or complaint."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Final

from api.errors import ApplicationError
from api.use_cases.mail_hooks.hook import Failure, HookRequest, check_equal, make_report, read_json, text_at
from domain.report_intake import MailReport
from domain.values.mail.bounce_reason import BounceReason
from domain.values.mail.mail_provider import NAME_OF_VALUE

_BOUNCES: Final[Mapping[str, BounceReason]] = {
    "HardBounce": "mailbox_unknown",
    "BadEmailAddress": "mailbox_unknown",
    "SoftBounce": "other",
    "DnsError": "other",
    "Unknown": "other",
    "SMTPApiError": "other",
    "SpamNotification": "refused",
    "VirusNotification": "refused",
    "ManuallyDeactivated": "refused",
    "Blocked": "refused",
    "DMARCPolicy": "refused",
}
"""Types of bounces by which an email did not arrive, and why if no status code says more. `DnsError` is temporary."""
_DELAYED: Final = "Transient"
_COMPLAINED: Final = "SpamComplaint"
_SCHEME: Final = "basic"


class PostmarkHook:
    """Reads bounces and complaints. The credentials are `user:password`."""

    def __init__(self, credentials: str) -> None:
        self._credentials = credentials

    def read(self, request: HookRequest) -> Sequence[MailReport | None]:
        """Return what the record reports."""
        check_equal(self._credentials, _presented(request.headers.get("authorization", "")))
        record = read_json(request.body)
        failure = _failure(record)
        if failure is None:
            return [None]
        details = [text_at(record, name) for name in ("RecordType", "Type", "Description", "Details")]
        return [make_report(failure, [text_at(record, "Metadata", NAME_OF_VALUE)], details, record)]


def _presented(authorization: str) -> bytes:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != _SCHEME:
        raise ApplicationError("SIGNATURE_INVALID")
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApplicationError("SIGNATURE_INVALID") from error


def _failure(record: object) -> Failure | None:
    record_type, bounce_type = text_at(record, "RecordType"), text_at(record, "Type")
    if record_type == _COMPLAINED or (record_type == "Bounce" and bounce_type == _COMPLAINED):
        return Failure("complained", ())
    if record_type != "Bounce":
        return None
    if bounce_type == _DELAYED:
        return Failure("delayed", ())
    if (otherwise := _BOUNCES.get(bounce_type)) is None:
        return None  # an automatic reply, a subscription: the email arrived
    return Failure("bounced", [text_at(record, "Details"), text_at(record, "Description")], otherwise)
