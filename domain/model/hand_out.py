"""Hand-outs, and the codes that they gave to recipients, as their events leave them.

Both are read back from the rows of their projections, which hold what `changes_of` returns for each event.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID, uuid5

from msgspec import Struct
from msgspec.structs import replace

from domain.events.event import Event
from domain.events.hand_out import (
    CodeHandedOut,
    HandedOutCodeEvent,
    HandOutBounced,
    HandOutChanged,
    HandOutComplained,
    HandOutCreated,
    HandOutDelayed,
    HandOutEnded,
    HandOutEvent,
    HandOutFailed,
    HandOutPaused,
    HandOutReminded,
    HandOutResendRequested,
    HandOutResumed,
    HandOutSent,
    HandOutSkipped,
    HandOutUnknown,
)
from domain.ports import Language

HandOutState = Literal["draft", "scheduled", "running", "paused", "ended"]
MailState = Literal["queued", "sent", "failed", "unknown", "skipped", "bounced"]
"""Outcome of the newest email with a code: none yet, accepted, definitely not sent, not known, not wanted, bounced."""


class HandOutText(NamedTuple):
    """The subject and the text of a hand-out's emails in one language; the ledger's own replace empty ones."""

    subject: str = ""
    body: str = ""


NO_TEXTS: Final[Mapping[Language, HandOutText]] = MappingProxyType({})


class Mailing(Struct, frozen=True, kw_only=True):
    """How the emails of a hand-out are.

    Attributes:
        per_minute: Most emails per minute; None for as fast as workers send.
        texts: The hand-out's own texts by language; none are empty.
    """

    per_minute: int | None
    texts: Mapping[Language, HandOutText]


class HandOut(Struct, frozen=True, kw_only=True, gc=False):
    """State of one hand-out.

    Attributes:
        campaign_id: The campaign whose codes it hands out.
        state: Whether recipients get codes; `ended` is permanent. A draft has never sent anything. A scheduled one
            starts at `starts_at`.
        per_minute: Most emails per minute; None for as fast as workers send.
        starts_at: Start that was planned last, also after it and during a pause; None if none was.
    """

    hand_out_id: UUID
    campaign_id: UUID
    state: HandOutState
    per_minute: int | None = None
    starts_at: datetime | None = None

    def state_at(self, now: datetime) -> HandOutState:
        """Return its state at a time: a scheduled one runs from its start."""
        is_due = self.state == "scheduled" and self.starts_at is not None and self.starts_at <= now
        return "running" if is_due else self.state

    def find_start_ahead(self, now: datetime) -> datetime | None:
        """Return the start of one that is scheduled, or was before its pause; None if none is ahead."""
        is_ahead = self.state in {"scheduled", "paused"} and self.starts_at is not None and self.starts_at > now
        return self.starts_at if is_ahead else None


class HandedOutCode(Struct, frozen=True, kw_only=True, gc=False):
    """A code that was issued for one recipient.

    Attributes:
        mail: Number of the newest email with the code, from 1.
        mail_state: Outcome of that email.
        reminder: Number of the email that reminds of the code; None if none was due yet.
        codes: How many codes the recipient's line of the list has.
        line_id: The first code of the line, which has the emails of all; None for the first.
    """

    code_id: UUID
    hand_out_id: UUID
    recipient_id: UUID
    mail: int
    mail_state: MailState
    reminder: int | None = None
    codes: int = 1
    line_id: UUID | None = None


def list_codes_of_line(line_id: UUID, codes: int) -> list[UUID]:
    """Return the ids of all codes of a line, its first code first: the same ones for every worker that issues them."""
    return [line_id, *(uuid5(line_id, f"code {nth}") for nth in range(2, codes + 1))]


def evolve_hand_out(hand_out: HandOut | None, campaign_id: UUID, event: HandOutEvent) -> HandOut:
    """Return a hand-out after one more event.

    Raises:
        LookupError: No event before it creates the hand-out: a bug.
    """
    if isinstance(event, HandOutCreated):
        state: HandOutState = "draft" if event.is_draft else "running"
        return HandOut(hand_out_id=event.hand_out_id, campaign_id=campaign_id, state=state, per_minute=event.per_minute)
    if hand_out is None:
        raise LookupError(f"no event creates hand-out {event.hand_out_id}")
    if isinstance(event, HandOutChanged):
        return replace(hand_out, per_minute=event.per_minute)
    starts_at = event.starts_at if isinstance(event, HandOutResumed) else None
    return replace(hand_out, state=state_after(event), starts_at=starts_at or hand_out.starts_at)


def state_after(event: HandOutEvent) -> HandOutState | None:
    """Return the state of a hand-out that an event of it leads to; None if the event does not change it."""
    if isinstance(event, HandOutChanged):
        return None
    if isinstance(event, HandOutEnded):
        return "ended"
    if isinstance(event, HandOutCreated) and event.is_draft:
        return "draft"
    if isinstance(event, HandOutResumed) and event.starts_at is not None:
        return "scheduled"
    return "paused" if isinstance(event, HandOutPaused) else "running"


def evolve_handed_out_code(handed_out: HandedOutCode | None, code_id: UUID, event: HandedOutCodeEvent) -> HandedOutCode:
    """Return a handed-out code after one more event.

    Raises:
        LookupError: No event before it hands the code out: a bug.
    """
    if isinstance(event, CodeHandedOut):
        return HandedOutCode(code_id=code_id, **changes_of(event))
    if handed_out is None:
        raise LookupError(f"no event hands out code {code_id}")
    return replace(handed_out, **changes_of(event))


def changes_of(event: HandedOutCodeEvent) -> dict[str, Any]:
    """Return the fields of `HandedOutCode` that an event sets."""
    match event:
        case CodeHandedOut():
            return {
                "hand_out_id": event.hand_out_id,
                "recipient_id": event.recipient_id,
                "mail": 1,
                "mail_state": "queued",
                "codes": event.codes,
                "line_id": event.line_id,
            }
        case HandOutResendRequested():
            return {"mail": event.mail, "mail_state": "queued"}
        case HandOutReminded():
            return {"mail": event.mail, "mail_state": "queued", "reminder": event.mail}
        case HandOutDelayed() | HandOutComplained():
            return {}
        case HandOutBounced() if event.superseded:
            return {}
        case _:
            return {"mail_state": MAIL_STATES[type(event)]}


MAIL_STATES: dict[type[Event], MailState] = {
    HandOutSent: "sent",
    HandOutFailed: "failed",
    HandOutUnknown: "unknown",
    HandOutSkipped: "skipped",
    HandOutBounced: "bounced",
}
"""The state of an email after an event that says its outcome."""
