"""Amazon SES by SNS: notifications about an identity (`notificationType`) and events of a set (`eventType`)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from api.errors import ApplicationError
from api.schemas.parsing import parse_time
from api.use_cases.mail_hooks.hook import (
    Failure,
    HookRequest,
    check_age,
    check_equal,
    entries_at,
    make_report,
    member,
    read_json,
    text_at,
)
from api.use_cases.mail_hooks.sns import Fetch, SnsVerifier
from domain.report_intake import MailReport
from domain.values.mail.bounce_reason import BounceReason
from domain.values.mail.mail_provider import NAME_OF_VALUE
from domain.webhooks.signatures import TOLERANCE_S

REPEATED_S: Final = 3_600
"""How long SNS repeats a message. Its signed timestamp stays that of the first attempt."""
_SUBTYPES: Final[Mapping[str, BounceReason]] = {
    "NoEmail": "mailbox_unknown",
    "MailboxFull": "mailbox_full",
    "CustomTimeoutExceeded": "expired",
    "Suppressed": "refused",
    "OnAccountSuppressionList": "refused",
    "UnsubscribedRecipient": "refused",
    "MessageTooLarge": "refused",
    "ContentRejected": "refused",
    "AttachmentRejected": "refused",
}
"""Subtypes of bounces, where no status code says more."""
_NOT_SENT: Final = "OnAccountSuppressionList"
"""Subtype of a complaint that is an older one: SES did not send this email."""
_NO_COMPLAINT: Final = "not-spam"
"""Type of a recipient's report that an email was not spam."""
_RECIPIENTS: Final[Mapping[str, tuple[str, str]]] = {
    "Bounce": ("bounce", "bouncedRecipients"),
    "DeliveryDelay": ("deliveryDelay", "delayedRecipients"),
}
_KINDS: Final[Mapping[str, str]] = {"Complaint": "complaint", "Reject": "reject"}


class SesHook:
    """Reads the messages of one topic.

    Args:
        topic_arn: Name of the topic; messages of other topics are refused.
        fetch: Fetches public pages.
    """

    def __init__(self, topic_arn: str, fetch: Fetch) -> None:
        self._topic_arn = topic_arn
        self._verifier = SnsVerifier(fetch)

    def read(self, request: HookRequest) -> Sequence[MailReport | None]:
        """Return what the message reports; confirm a subscription."""
        message = read_json(request.body)
        check_equal(self._topic_arn, text_at(message, "TopicArn"))
        self._verifier.check(message, request.now)
        signed_at = parse_time("body.Timestamp", text_at(message, "Timestamp"), needs_offset=True)
        check_age(signed_at.timestamp(), request.now, age_s_max=REPEATED_S + TOLERANCE_S)
        if text_at(message, "Type") == "Notification":
            return [_read_event(_document(text_at(message, "Message")))]
        if text_at(message, "Type") == "SubscriptionConfirmation":
            self._verifier.confirm(message)
        return [None]


def _document(text: str) -> object:
    """Return the event of a message; None for a text, such as that of the first message of a topic."""
    try:
        return read_json(text)
    except ApplicationError:
        return None


def _read_event(event: object) -> MailReport | None:
    event_type = text_at(event, "eventType") or text_at(event, "notificationType")
    name, recipients = _RECIPIENTS.get(event_type, (_KINDS.get(event_type, ""), ""))
    about = member(event, name)
    # Each email has one recipient.
    recipient = next(entries_at(about, recipients), None)
    failure = _failure(event_type, about, recipient)
    if failure is None:
        return None
    types = ("bounceType", "bounceSubType", "delayType", "complaintFeedbackType", "complaintSubType", "reason")
    details = [event_type, *(text_at(about, each) for each in types), *_status(recipient)]
    return make_report(failure, _named_by(member(event, "mail")), details, event)


def _failure(event_type: str, about: object, recipient: object) -> Failure | None:
    match event_type:
        case "Bounce":
            subtype = text_at(about, "bounceSubType")
            if text_at(about, "bounceType") == "Transient" and subtype == "General" and not any(_status(recipient)):
                return None  # an automatic reply, such as of a person who is on vacation
            return Failure("bounced", _status(recipient), _SUBTYPES.get(subtype, "other"))
        case "Reject":
            return Failure("bounced", (), "refused")
        case "DeliveryDelay":
            return Failure("delayed", ())
        case "Complaint" if text_at(about, "complaintSubType") == _NOT_SENT:
            return Failure("bounced", (), "refused")
        case "Complaint" if text_at(about, "complaintFeedbackType") != _NO_COMPLAINT:
            return Failure("complained", ())
        case _:
            return None


def _status(recipient: object) -> list[str]:
    return [text_at(recipient, "status"), text_at(recipient, "diagnosticCode")]


def _named_by(mail: object) -> Iterator[str]:
    """Yield what may hold the token: the tag, the return path, and the headers, where each is reported."""
    yield from (tag for tag in entries_at(mail, "tags", NAME_OF_VALUE) if isinstance(tag, str))
    yield text_at(mail, "source")
    yield from (text_at(header, "value") for header in entries_at(mail, "headers"))
