"""The webhook channel: an invitation is posted to the operator's own system, which says what became of it.

So is what its person has to be told later.

docs/how-to/external-system.md is the contract. Not sent and unknown are distinguished as for email: an answer
that does not say is a doubt.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from domain.ports import (
    Accepted,
    OutboundMessage,
    Outcome,
    OutcomeUnknown,
    Rejected,
    Removal,
    RemovalOutcome,
    RetryLater,
    Template,
)
from domain.webhooks.signatures import sign
from workers.channels.mail_message import render_parts
from workers.http_client.client import Answer, NotSentError, PinnedHttpClient, UnansweredError, parse_retry_after

LATER_S: Final = 60
"""When to come back if "later" names no time."""
LATER_S_MAX: Final = 86_400
REPLY_MAX: Final = 500
WORD_MAX: Final = 40

OK, NO_CONTENT, REDIRECTS, REFUSALS, FAULTS = 200, 204, 300, 400, 500
RETRIED: Final = frozenset({401, 403, 404, 405, 407, 408, 421, 425})
"""Refusals that are more likely of the way than of the invitation: a wrong URL or secret, which somebody mends."""
LATER: Final = frozenset({429, 503})
NOTICES: Final[Mapping[Template, str]] = {
    "refund_notice": "invite.given_back",
    "rebind_notice": "move.given_back",
    "correction_notice": "invite.corrected",
    "move_notice": "access.moved",
    "ends_soon": "access.ends_soon",
}
"""Types of the messages by which the other side learns what it has to tell a person. Whose access has ended is another
message (`revoke`), so there is no farewell among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTarget:
    """Where a group's invitations go.

    Attributes:
        url: The operator's endpoint.
        secrets: Those that are valid, the newest first.
        callbacks: Absolute URL that the other side reports to.
    """

    url: str
    secrets: tuple[str, ...]
    callbacks: str


class WebhookChannel:
    """Posts invitations to one endpoint. For one thread.

    Args:
        way: Where to.
        poster: How.
        now: Database time.
    """

    name = "webhook"

    def __init__(self, way: WebhookTarget, poster: PinnedHttpClient, now: Callable[[], datetime]) -> None:
        self._way = way
        self._poster = poster
        self._now = now
        parts = urlsplit(way.url)
        self._server = f"{parts.scheme}://{parts.netloc}"

    def send(self, letter: OutboundMessage) -> Outcome:
        """Post one invitation, or what its person is to be told, and read what became of it.

        A notice that may have been taken counts as not sent, so that it is tried again: the same id twice does no harm.
        """
        outcome = self._post(webhook_id(letter), self._message(letter))
        if letter.template in NOTICES and isinstance(outcome, OutcomeUnknown):
            return Rejected(server=outcome.server, reason=outcome.cause, final=False)
        return outcome

    def revoke(self, removal: Removal) -> RemovalOutcome:
        """Post that an access has ended, and read what became of it."""
        return self._post(f"access_{removal.reservation_id.hex}", self._ending(removal))

    def _post(self, message_id: str, message: Mapping[str, Any]) -> Accepted | Rejected | RetryLater | OutcomeUnknown:
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        headers = sign(self._way.secrets, message_id, self._now(), body)
        try:
            answer = self._poster.post(self._way.url, headers, body)
        except NotSentError as not_sent:
            return Rejected(server=self._server, reason=not_sent.reason, final=False, about_connection=True)
        except UnansweredError as unanswered:
            return OutcomeUnknown(server=self._server, cause=unanswered.cause)
        return self._read(answer)

    def close(self) -> None:
        """Nothing is kept open."""

    def _message(self, letter: OutboundMessage) -> Mapping[str, Any]:
        parts = render_parts(letter)
        data: dict[str, Any] = {
            "reservation_id": str(letter.reservation_id),
            "delivery": letter.delivery,
            "group": letter.group,
            "email": letter.recipient,
            "language": letter.language,
            "link": letter.link,
            "subject": parts.subject,
            "text": parts.text,
            "request_id": letter.request_id,
            "callbacks": self._way.callbacks,
        }
        if letter.template in NOTICES:
            del data["delivery"]
        if letter.template == "ends_soon" and letter.ends_at is not None:
            data["ends_at"] = letter.ends_at.isoformat()
        return {"type": message_type(letter), "timestamp": letter.written_at.isoformat(), "data": data}

    def _ending(self, removal: Removal) -> Mapping[str, Any]:
        return {
            "type": "access.ended",
            "timestamp": removal.ended_at.isoformat(),
            "data": {
                "reservation_id": str(removal.reservation_id),
                "cause": removal.cause,
                "group": removal.group,
                "email": removal.recipient,
                "callbacks": self._way.callbacks,
            },
        }

    # --- Reading the answer ---

    def _read(self, answer: Answer) -> Accepted | Rejected | RetryLater | OutcomeUnknown:
        said = _said(answer)
        if OK <= answer.status < REDIRECTS:
            if said is None and (answer.body.strip() and answer.status != NO_CONTENT):
                return self._doubt()
            return self._outcome_by_reason(answer, said or {})
        if said is not None and said.get("status") in {"refused", "later"}:
            return self._outcome_by_reason(answer, said)
        if answer.status in LATER:
            return self._later(answer, said or {})
        if answer.status < REFUSALS:
            return self._refused(answer, said or {}, reason="protocol_error", final=False)
        if answer.status in RETRIED:
            return self._refused(answer, said or {}, reason="login_refused", final=False)
        if answer.status < FAULTS:
            return self._refused(answer, said or {}, reason="message_refused", final=True)
        return self._doubt()

    def _outcome_by_reason(
        self, answer: Answer, said: Mapping[str, Any]
    ) -> Accepted | Rejected | RetryLater | OutcomeUnknown:
        """By the word of the body; a success without one means sent."""
        match said.get("status", "sent"):
            case "sent" | "removed":
                return Accepted(server=self._server, reply_code=answer.status)
            case "refused" if said.get("about") == "address":
                return self._refused(answer, said, reason="address_refused", final=True)
            case "refused":
                return self._refused(answer, said, reason="message_refused", final=said.get("retry") is not True)
            case "later":
                return self._later(answer, said)
            case "unknown":
                return OutcomeUnknown(server=self._server, cause="said_unknown")
            case _:
                return self._doubt()

    def _refused(self, answer: Answer, said: Mapping[str, Any], *, reason: str, final: bool) -> Rejected:
        return Rejected(
            server=self._server,
            reason=reason,
            final=final,
            about_address=reason == "address_refused",
            reply_code=answer.status,
            reply=_words(said.get("reason")),
        )

    def _later(self, answer: Answer, said: Mapping[str, Any]) -> RetryLater:
        now, asked = self._now(), said.get("retry_after_s")
        wait_s = float(asked) if isinstance(asked, int) else parse_retry_after(answer.retry_after, now)
        wait_s = LATER_S if wait_s is None else min(max(wait_s, 0), LATER_S_MAX)
        return RetryLater(server=self._server, reason=_word(said.get("reason")), until=now + timedelta(seconds=wait_s))

    def _doubt(self) -> OutcomeUnknown:
        return OutcomeUnknown(server=self._server, cause="bad_reply")


def message_type(letter: OutboundMessage) -> str:
    """What a letter is to the other side."""
    if letter.template in NOTICES:
        return NOTICES[letter.template]
    return "invite.test" if letter.is_test else "invite.requested"


def webhook_id(letter: OutboundMessage) -> str:
    """The same on every try of a delivery, or of a notice: by it the other side tells a repeat from a second one.

    A notice's mail would be told apart by the left side of its Message-ID, the reservation and what it is about.
    """
    if letter.template in NOTICES:
        _, _, about = letter.message_id.strip("<>").partition("@")[0].rpartition(".")
        return f"notice_{letter.reservation_id.hex}_{about}"
    return f"invite_{letter.reservation_id.hex}_{letter.delivery}"


def _said(answer: Answer) -> Mapping[str, Any] | None:
    """The object in the body; None if there is none."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _word(said: object) -> str:
    """A reason that may stand in an event: one short word of plain letters, since anything else might be personal."""
    word = said if isinstance(said, str) else ""
    is_word = len(word) <= WORD_MAX and word.isascii() and word.replace("_", "").replace("-", "").isalpha()
    return word if is_word else "later"


def _words(said: object) -> str:
    """What the other side said, on one line, for the vault."""
    text = said if isinstance(said, str) else ""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:REPLY_MAX]
