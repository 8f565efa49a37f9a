"""Channels by webhook: an invitation is posted to the operator's external system, whose response is the outcome.

Notices to the recipient and removals of access go the same way. docs/how-to/external-system.md is the contract. A
response that does not say whether the invitation was sent makes its outcome unknown, as by email.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from domain.ports import (
    Accepted,
    OutboundMessage,
    Outcome,
    OutcomeUnknown,
    Rejected,
    Removal,
    RetryLater,
    Template,
)
from domain.webhooks.signatures import sign
from projections.repositories.channel_form import ChannelSettings, TargetUrl
from projections.repositories.group_channels import ChannelConfig
from projections.telemetry.tracing import TRACING
from workers.channels.mail_message import render_parts
from workers.channels.registry import ChannelKind, ChannelTools
from workers.http_client.client import HttpResponse, NotSentError, PinnedHttpClient, UnansweredError, parse_retry_after

RETRY_AFTER_S: Final = 60
"""When to retry if "later" names no time."""
RETRY_AFTER_S_MAX: Final = 86_400
REPLY_MAX: Final = 500
REASON_MAX: Final = 40

OK, NO_CONTENT, REDIRECTS, CLIENT_ERRORS, SERVER_ERRORS = 200, 204, 300, 400, 500
RETRIED: Final = frozenset({401, 403, 404, 405, 407, 408, 421, 425})
"""Client errors that say more of the channel than of the invitation: a wrong URL or secret, which an admin corrects."""
RETRY_LATER: Final = frozenset({429, 503})
MESSAGE_TYPES: Final[Mapping[Template, str]] = {
    "invite": "invite.requested",
    "refund_notice": "invite.given_back",
    "rebind_notice": "move.given_back",
    "correction_notice": "invite.corrected",
    "move_notice": "access.moved",
    "ends_soon": "access.ends_soon",
    "invite_reminder": "invite.reminder",
    "hand_out": "code.handed_out",
    "hand_out_reminder": "code.reminder",
    "waiting_offer": "use.offered",
}
"""Types of the messages to an external system; all but the first say what to tell a recipient. The end of an access is
another message (`revoke`), so there is no farewell among them."""

TIMES: Final[Mapping[Template, tuple[str, ...]]] = {
    "ends_soon": ("ends_at",),
    "invite_reminder": ("ends_at",),
    "hand_out": ("starts_at", "ends_at"),
    "hand_out_reminder": ("ends_at",),
    "waiting_offer": ("ends_at",),
}
"""Times of a message that its body has."""

WebhookOutcome = Accepted | Rejected | RetryLater | OutcomeUnknown


class WebhookSettings(ChannelSettings):
    """Where invitations are posted."""

    url: TargetUrl


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTarget:
    """Where a group's invitations are posted.

    Attributes:
        url: The operator's endpoint.
        secrets: Those that are valid, the newest first.
        callbacks: Absolute URL that the external system sends its callbacks to.
    """

    url: str
    secrets: tuple[str, ...]
    callbacks: str


class WebhookChannel:
    """Posts invitations to one endpoint. For one thread.

    Args:
        target: Where to.
        http: How.
        now: Database time.
    """

    name = "webhook"

    def __init__(self, target: WebhookTarget, http: PinnedHttpClient, now: Callable[[], datetime]) -> None:
        self._target = target
        self._http = http
        self._now = now
        parts = urlsplit(target.url)
        self._server = f"{parts.scheme}://{parts.netloc}"

    def send(self, message: OutboundMessage) -> Outcome:
        """Post one invitation or notice, and return its outcome.

        A notice whose outcome is unknown counts as not sent, so that it is retried: the same id twice does no harm.
        """
        outcome = self._post(webhook_id(message), message.reservation_id, self._body_of_message(message))
        if message.template != "invite" and isinstance(outcome, OutcomeUnknown):
            return Rejected(server=outcome.server, reason=outcome.cause, final=False)
        return outcome

    def revoke(self, removal: Removal) -> WebhookOutcome:
        """Post that an access has ended, and return the outcome."""
        message_id = f"access_{removal.reservation_id.hex}"
        return self._post(message_id, removal.reservation_id, self._body_of_removal(removal))

    def _post(self, message_id: str, reservation_id: UUID, content: Mapping[str, Any]) -> WebhookOutcome:
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {**sign(self._target.secrets, message_id, self._now(), body), **TRACING.headers_of(reservation_id)}
        try:
            response = self._http.post(self._target.url, headers, body)
        except NotSentError as error:
            return Rejected(server=self._server, reason=error.reason, final=False, about_connection=True)
        except UnansweredError as error:
            return OutcomeUnknown(server=self._server, cause=error.cause)
        return self._outcome(response)

    def close(self) -> None:
        """Nothing is kept open."""

    def _body_of_message(self, message: OutboundMessage) -> Mapping[str, Any]:
        parts = render_parts(replace(message, code_suffix=""))
        data: dict[str, Any] = {
            "reservation_id": str(message.reservation_id),
            "delivery": message.delivery,
            "group": message.group,
            "email": message.recipient.typed,
            "language": message.language,
            "link": message.link,
            "subject": parts.subject,
            "text": parts.text,
            "request_id": message.request_id,
            "callbacks": self._target.callbacks,
        }
        if message.template != "invite":
            del data["delivery"]
        if message.code:
            data["code_id"] = data.pop("reservation_id")
            data["code"] = message.code
        if message.codes:
            del data["code"]
            data["total"] = message.total
            data["codes"] = [
                {"code": code, "link": link, "ends_at": None if ends_at is None else ends_at.isoformat()}
                for code, link, ends_at in message.codes
            ]
        for name in TIMES.get(message.template, ()):
            if (time := getattr(message, name)) is not None:
                data[name] = time.isoformat()
        if message.opt_out_link:
            data["opt_out_link"] = message.opt_out_link
        return {"type": message_type(message), "timestamp": message.written_at.isoformat(), "data": data}

    def _body_of_removal(self, removal: Removal) -> Mapping[str, Any]:
        return {
            "type": "access.ended",
            "timestamp": removal.ended_at.isoformat(),
            "data": {
                "reservation_id": str(removal.reservation_id),
                "cause": removal.cause,
                "group": removal.group,
                "email": removal.recipient.typed if removal.recipient else None,
                "callbacks": self._target.callbacks,
            },
        }

    # --- Reading the response ---

    def _outcome(self, response: HttpResponse) -> WebhookOutcome:
        body = _json_object(response)
        if OK <= response.status < REDIRECTS:
            if body is None and (response.body.strip() and response.status != NO_CONTENT):
                return self._unknown()
            return self._outcome_by_status_word(response, body or {})
        if body is not None and body.get("status") in {"refused", "later"}:
            return self._outcome_by_status_word(response, body)
        if response.status in RETRY_LATER:
            return self._retry_later(response, body or {})
        if response.status < CLIENT_ERRORS:
            return self._rejected(response, body or {}, reason="protocol_error", final=False)
        if response.status in RETRIED:
            return self._rejected(response, body or {}, reason="login_refused", final=False)
        if response.status < SERVER_ERRORS:
            return self._rejected(response, body or {}, reason="message_refused", final=True)
        return self._unknown()

    def _outcome_by_status_word(self, response: HttpResponse, body: Mapping[str, Any]) -> WebhookOutcome:
        """Read `status` of the body; a success without one means sent."""
        match body.get("status", "sent"):
            case "sent" | "removed":
                return Accepted(server=self._server, reply_code=response.status)
            case "refused" if body.get("about") == "address":
                return self._rejected(response, body, reason="address_refused", final=True)
            case "refused":
                return self._rejected(response, body, reason="message_refused", final=body.get("retry") is not True)
            case "later":
                return self._retry_later(response, body)
            case "unknown":
                return OutcomeUnknown(server=self._server, cause="said_unknown")
            case _:
                return self._unknown()

    def _rejected(self, response: HttpResponse, body: Mapping[str, Any], *, reason: str, final: bool) -> Rejected:
        return Rejected(
            server=self._server,
            reason=reason,
            final=final,
            about_address=reason == "address_refused",
            reply_code=response.status,
            reply=_reply_line(body.get("reason")),
        )

    def _retry_later(self, response: HttpResponse, body: Mapping[str, Any]) -> RetryLater:
        requested = body.get("retry_after_s")
        wait_s = (
            float(requested) if isinstance(requested, int) else parse_retry_after(response.retry_after, self._now())
        )
        wait_s = RETRY_AFTER_S if wait_s is None else min(max(wait_s, 0), RETRY_AFTER_S_MAX)
        wait = timedelta(seconds=wait_s)
        return RetryLater(server=self._server, reason=_reason_word(body.get("reason")), wait=wait)

    def _unknown(self) -> OutcomeUnknown:
        return OutcomeUnknown(server=self._server, cause="bad_reply")


def message_type(message: OutboundMessage) -> str:
    """Name the type of a message in its body."""
    if message.is_test:
        return "code.test" if message.code else "invite.test"
    return MESSAGE_TYPES[message.template]


def webhook_id(message: OutboundMessage) -> str:
    """Identify a delivery or a notice, the same on every attempt: the external system recognizes a repeat by it.

    Notices of one reservation differ in what they are about, which is the end of the local part of their Message-ID.
    """
    if message.template != "invite":
        _, _, about = message.message_id.strip("<>").partition("@")[0].rpartition(".")
        return f"notice_{message.reservation_id.hex}_{about}"
    return f"invite_{message.reservation_id.hex}_{message.delivery}"


def _json_object(response: HttpResponse) -> Mapping[str, Any] | None:
    """Return the object in the body; None if there is none."""
    try:
        content = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _reason_word(value: object) -> str:
    """Return a reason that may be stored in an event: one short word of ASCII letters, as others may be personal."""
    word = value if isinstance(value, str) else ""
    is_word = len(word) <= REASON_MAX and word.isascii() and word.replace("_", "").replace("-", "").isalpha()
    return word if is_word else "later"


def _reply_line(value: object) -> str:
    """Return the external system's text on one line, for the vault."""
    text = value if isinstance(value, str) else ""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())[:REPLY_MAX]


def open_webhook(config: ChannelConfig, tools: ChannelTools) -> WebhookChannel:
    """Open a channel to the URL of its settings, signed with its secrets."""
    target = WebhookTarget(url=config.settings["url"], secrets=config.secrets, callbacks=tools.callbacks)
    return WebhookChannel(target, tools.http, tools.now)


KIND: Final = ChannelKind(name="webhook", settings=WebhookSettings, is_signed=True, open=open_webhook)
