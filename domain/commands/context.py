"""What every command carries, and the stamp of its events."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct

from domain.errors import Refusal
from domain.events.campaign import CampaignEvent
from domain.events.event import ActorKind, Event
from domain.model.hand_out import NO_TEXTS, HandOutText
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.ports import CodeDraft, Language, RecipientDraft, TextDraft
from domain.values.timestamps import possible_time
from domain.writes import GivenCode, IdempotencyKey, NewSuppression


class InvitationWaits(Struct, frozen=True, kw_only=True):
    """How many seconds must pass before a further invitation may be reserved; 0 where a limit leaves room now.

    Attributes:
        recipient_s: For this recipient, whatever the code.
        again_s: For this recipient with this code by `again`.
        address_s: For a new recipient of an open code from this client address.
        others_s: Until this client address may learn of a further recipient whether they have uses.
    """

    recipient_s: int = 0
    again_s: int = 0
    address_s: int = 0
    others_s: int = 0


class CommandContext(Struct, frozen=True, kw_only=True):
    """Who asks, when (database time, aware UTC), and within which request.

    `approved_by`: staff id of the member of staff who approved what the actor proposed.
    `waits`: limits that a command which reserves an invitation would exceed; None where no limit is reached.
    """

    now: datetime
    actor: ActorKind
    actor_id: str | None = None
    approved_by: str | None = None
    request_id: str | None = None
    correlation_id: UUID | None = None
    waits: InvitationWaits | None = None


class EventStamp(Struct, frozen=True):
    """The time at which a command takes effect on one stream, and the fields that all its events share.

    Attributes:
        at: Database time, never before the stream's last event.
        now: The time that decides what is due, and from which new waits count. It is `at`, or database time if the
            stream is ahead because the clock went back.
        fields: `at`, the actor and the ids of request and correlation, by the names of an event's fields.
    """

    at: datetime
    now: datetime
    fields: dict[str, Any]

    def for_reservation(self, reservation: Reservation) -> dict[str, Any]:
        """Return the shared fields of events about one reservation."""
        return {**self.fields, "reservation_id": reservation.reservation_id}


FollowUp = Literal["send", "settle"]
"""What follows a command at once: a worker sends for its reservation, or further commands settle a revoked code."""


class Decision(Struct, frozen=True):
    """New events of one stream, and everything else that a command leaves.

    Attributes:
        code_id: The code that the stream is of.
        events: None if nothing changes.
        reservation_id: The reservation that the command was about, if it was about one.
        refusal: The result, if a rule refused the command and its events are stored all the same. Then nothing else is.
        recipients: Recipients whom the vault may not have yet.
        code_text: The text of a new code.
        text: A free text that an event may name; it is kept if one does.
        key: The Idempotency-Key that stands for the reservation from now on.
        given_code: The row of a list.
        follow_up: What follows at once; without it, the sweep does the same within its interval.
    """

    code_id: UUID
    events: Sequence[Event] = ()
    reservation_id: UUID | None = None
    refusal: Refusal | None = None
    recipients: Sequence[RecipientDraft] = ()
    code_text: CodeDraft | None = None
    text: TextDraft | None = None
    key: IdempotencyKey | None = None
    given_code: GivenCode | None = None
    follow_up: FollowUp | None = None


class CampaignDecision(Struct, frozen=True):
    """The new event of a campaign's stream, None if nothing changes, and the hand-out that the command was about.

    `hand_out_texts`: texts of the hand-out that change, by language. `text`: a reason that the event or the suppression
    may name. `more`: events that follow it, such as the uses that limits count from it on. `place_id`: the place on a
    waiting list that it was about. `recipients`: recipients whom the vault may not have yet. `suppression`: an address
    that is not written to from now on, also if no event says so.
    """

    campaign_id: UUID
    event: CampaignEvent | None
    hand_out_id: UUID | None = None
    hand_out_texts: Mapping[Language, HandOutText] = NO_TEXTS
    text: TextDraft | None = None
    more: Sequence[CampaignEvent] = ()
    place_id: UUID | None = None
    recipients: Sequence[RecipientDraft] = ()
    suppression: NewSuppression | None = None


def id_of_text(text: TextDraft | None) -> UUID | None:
    """Return the id by which an event names a free text; None without one."""
    return None if text is None else text.text_id


def event_stamp(context: CommandContext, code: RedeemCode | None, *, not_before: datetime | None = None) -> EventStamp:
    """Return the fields that all events of a command share.

    Time never goes back within a stream, even if the clock does; nor before a time that something else begins at.
    """
    now = context.now
    fields: dict[str, Any] = {
        "at": now,
        "actor": context.actor,
        "actor_id": context.actor_id,
        "approved_by": context.approved_by,
        "request_id": context.request_id,
        "correlation_id": context.correlation_id,
    }
    at = now if code is None else max(now, code.last_at)
    if not_before is not None and not_before > at:
        at = not_before
    if at == now:
        return EventStamp(now, now, fields)
    return EventStamp(at, possible_time(now, at), {**fields, "at": at, "recorded_at": now})
