"""The state of one reservation, and what follows from it; `reservation_transitions` folds it from its events."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from msgspec import Struct

from domain.events.campaign import CAMPAIGN_TERM_NAMES, CampaignTerms
from domain.events.code_terms import TERM_NAMES, CodeTerms
from domain.events.event import ActorKind, Event, Kind, RefundCause
from domain.events.reservation import RebindReserved, ReservationStarted, UseReserved
from domain.model.access import Access
from domain.ports import EMAIL_CHANNELS, Language
from domain.values.timestamps import is_impossible

Status = Literal["live", "sent", "refunded"]
PublicState = Literal["reserved", "waiting", "sending", "sent", "refunded", "unknown"]


LinkCopy = Literal["revealed", "resent", "channel"]
"""A copy of a link besides its first email: staff saw it, a further email has it, an external system was given it."""


class Lease(Struct, frozen=True, kw_only=True, gc=False):
    """An attempt of one worker. `version` and `channel` are those of its InviteAttempted; the rest says whose it is."""

    attempt: int
    version: int
    channel: str
    until: datetime
    worker: str | None
    task_id: str | None


class Reservation(Struct, frozen=True, kw_only=True, gc=False):
    """The reservation of one use for one recipient.

    Attributes:
        versions: Versions, in the code's stream, of the events that made this state.
        moved_by: The last of them that was more than a note; it causes the next event.
        status: live (pending), sent (counted) or refunded.
        delivery: Number of the newest delivery, from 1.
        delivery_at: When that delivery was requested; the date of its email.
        resending: Whether a resend is pending, or waits as a case.
        attempts: Attempts spent on that delivery: begun, neither deferred by the channel nor ended by its connection.
        connection_failures: How many attempts in a row failed at their connection; they set the pause before the next.
        next_attempt_at: Time of the next attempt; None while leased, parked or settled.
        timed_at: When the lease or the time of the next attempt was stored, by the clock of that time.
        ever_unknown: Whether the outcome of any attempt was unknown: then the system never refunds it.
        case_id: The open case; it parks a pending reservation.
        proved_attempts: Attempts whose success is in the log.
        proved_deliveries: Deliveries that were definitely sent, counted or not.
        bounced_deliveries: Deliveries that bounced.
        bounced_at: When the newest delivery bounced; None if it did not.
        staff_request_id: The last request by which staff changed it.
        staff_act: Name of the event by which they did so.
        accepted_via: How the acceptance became known: by the email's link or a channel's callback; None before.
        opened_by: Kind of the actor who requested it.
        request_id: The request that reserved it; its emails carry it.
        access: The access of its invitation, if it has an expiry date, was moved, or has ended.
        waits_for: The reservation whose access must be removed before this invitation is sent; None once it is.
        channels: Names of the channels that were asked to send it.
        is_link_revealed: Whether staff saw its link, to hand it over by other means.
    """

    reservation_id: UUID
    code_id: UUID
    recipient_id: UUID
    versions: tuple[int, ...]
    moved_by: int
    reserved_at: datetime
    deadline: datetime
    language: Language
    kind: Kind = "redeem"
    status: Status = "live"
    group: str | None = None
    follows: UUID | None = None
    corrects: UUID | None = None
    delivery: int = 1
    delivery_at: datetime
    resending: bool = False
    attempts: int = 0
    connection_failures: int = 0
    last_attempt: int = 0
    next_attempt_at: datetime | None = None
    timed_at: datetime
    deferred: bool = False
    lease: Lease | None = None
    ever_unknown: bool = False
    case_id: UUID | None = None
    sent_at: datetime | None = None
    accepted_at: datetime | None = None
    accepted_via: str | None = None
    access_revoked_at: datetime | None = None
    refunded_at: datetime | None = None
    refund_cause: RefundCause | None = None
    refund_request_id: str | None = None
    proved_attempts: tuple[int, ...] = ()
    proved_deliveries: tuple[int, ...] = ()
    bounced_deliveries: tuple[int, ...] = ()
    bounced_at: datetime | None = None
    staff_request_id: str | None = None
    staff_act: str | None = None
    opened_by: ActorKind = "person"
    request_id: str | None = None
    access: Access | None = None
    waits_for: UUID | None = None
    channels: tuple[str, ...] = ()
    is_link_revealed: bool = False

    def was_handled_in_request(self, request_id: str | None, *event_types: type[Event]) -> bool:
        """Return whether this request made the last staff event, of one of these types.

        One request id may stand for several staff events in a row.
        """
        names = {event_type.__name__ for event_type in event_types}
        return request_id is not None and self.staff_request_id == request_id and self.staff_act in names

    @property
    def is_live(self) -> bool:
        """Whether it is pending: neither sent nor refunded."""
        return self.status == "live"

    @property
    def is_being_processed(self) -> bool:
        """Whether something is or was to be sent: it is pending, or sent with a resend requested."""
        return self.is_live or self.resending

    @property
    def occupies_use(self) -> bool:
        """Whether it is pending or sent: then it takes one of the code's uses and binds the code."""
        return self.status != "refunded"

    @property
    def public_state(self) -> PublicState:
        """The state in the API and on pages."""
        if self.status == "refunded":
            return "refunded"
        if self.status == "sent":
            return "sent"
        if self.case_id is not None:
            return "unknown"
        if self.lease is not None:
            return "sending"
        if self.ever_unknown:
            return "unknown"
        return "waiting" if self.deferred or self.is_waiting_for_removal else "reserved"

    @property
    def due_at(self) -> datetime | None:
        """The earliest time at which something is due; None if nothing is."""
        if self.case_id is not None or not self.is_being_processed or self.is_waiting_for_removal:
            return None
        if self.lease is not None:
            return self.lease.until
        if self.next_attempt_at is None:
            return self.deadline
        return min(self.next_attempt_at, self.deadline)

    @property
    def is_deferred(self) -> bool:
        """Whether it is pending and its channel asked to retry later, for example because a team is full."""
        return self.deferred and self.is_live and self.case_id is None

    @property
    def is_use(self) -> bool:
        """Whether it takes one of the code's uses; a rebind takes none."""
        return self.kind == "redeem"

    @property
    def activated_at(self) -> datetime | None:
        """When the access was first given, in any group; None before that."""
        return (self.access.activated_at if self.access else None) or self.sent_at

    @property
    def validity_days(self) -> int | None:
        """Days of access after the invitation; None without end."""
        return None if self.access is None else self.access.validity_days

    @property
    def remind_days(self) -> int | None:
        """Days before the expiry at which its recipient is reminded to accept; None: no reminder."""
        return None if self.access is None else self.access.remind_days

    @property
    def access_ends_at(self) -> datetime | None:
        """When the access expires; None without an expiry, or before it begins. A rebind does not change it."""
        return None if self.access is None else self.access.ends_at(self.sent_at)

    @property
    def access_due_at(self) -> datetime | None:
        """When something is due about the access: a reminder, a warning, its end, or its removal."""
        if self.access is None:
            return None
        return self.access.due_at(self.sent_at, is_sent=self.status == "sent", is_accepted=self.accepted_at is not None)

    @property
    def has_active_access(self) -> bool:
        """Whether its invitation was sent and counts, and the access has not ended."""
        return self.status == "sent" and (self.access is None or self.access.ending is None)

    @property
    def needs_no_delivery(self) -> bool:
        """Whether no resend is needed: the invitation was accepted, or the access has ended."""
        return self.accepted_at is not None or (self.status == "sent" and not self.has_active_access)

    @property
    def is_held_elsewhere(self) -> bool:
        """Whether an external system may have given access whose end is not recorded yet.

        The system was asked and did not definitely refuse; or the reservation was imported and may be from one.
        """
        may_be_sent = bool(self.proved_deliveries) or self.ever_unknown
        return may_be_sent and not self.is_by_email_only and (self.access is None or self.access.ending is None)

    @property
    def is_by_email_only(self) -> bool:
        """Whether only channels were asked that cannot remove access.

        Unknown, so false, for an imported reservation.
        """
        return bool(self.channels) and EMAIL_CHANNELS.issuperset(self.channels)

    @property
    def other_copies(self) -> tuple[LinkCopy, ...]:
        """Where its link may be besides in its first email; while there is such a copy, a bounce proves nothing."""
        copies: dict[LinkCopy, bool] = {
            "revealed": self.is_link_revealed,
            "resent": self.last_attempt > 1,
            "channel": not self.is_by_email_only,
        }
        return tuple(name for name, exists in copies.items() if exists)

    @property
    def is_waiting_for_removal(self) -> bool:
        """Whether its invitation waits until the access of the corrected reservation is removed."""
        return self.waits_for is not None

    def is_access_over(self, now: datetime) -> bool:
        """Return whether the access that it gives, or would give, has expired."""
        return self.access_ends_at is not None and self.access_ends_at <= now

    def has_access_ended(self, now: datetime) -> bool:
        """Return whether its access was ended, or has expired and no sweep has recorded it yet."""
        return (self.access is not None and self.access.ending is not None) or self.is_access_over(now)

    def may_person_correct(self, now: datetime, within_s: int) -> bool:
        """Return whether the recipient may still correct the email address; always before it is sent.

        Args:
            now: Database time.
            within_s: Seconds after sending, and again after the newest delivery bounced.
        """
        if self.sent_at is None:
            return True
        return now <= max(self.sent_at, self.bounced_at or self.sent_at) + timedelta(seconds=within_s)

    def is_leased(self, now: datetime) -> bool:
        """Return whether a worker has the lease at `now`."""
        return self.lease is not None and self.lease.until > now and not is_impossible(self.timed_at, now)

    def is_attempt_due(self, now: datetime) -> bool:
        """Return whether the time of the next attempt has come."""
        next_at = self.next_attempt_at
        return next_at is not None and (next_at <= now or is_impossible(self.timed_at, now))

    def is_overdue(self, now: datetime) -> bool:
        """Return whether the system may refund it.

        It is past its deadline, and neither leased, ever unknown, parked nor waiting.
        """
        return (
            self.is_live
            and self.deadline <= now
            and self.lease is None
            and not self.ever_unknown
            and self.case_id is None
            and not self.is_waiting_for_removal
        )


KEPT_TERMS: Final = tuple(name for name in TERM_NAMES if name in ReservationStarted.__struct_fields__)
"""Terms of its code that a reservation keeps: a later change of them changes no invitation that is promised already."""
KEPT_CAMPAIGN_TERMS: Final[Mapping[type[ReservationStarted], tuple[str, ...]]] = {
    start: tuple(name for name in CAMPAIGN_TERM_NAMES if name in start.__struct_fields__ and name not in TERM_NAMES)
    for start in (UseReserved, RebindReserved)
}
"""Terms of its campaign that a reservation keeps likewise, by its first event."""
if missing := ", ".join(
    name for name in (*KEPT_TERMS, *KEPT_CAMPAIGN_TERMS[UseReserved]) if not hasattr(Reservation, name)
):
    raise TypeError(f"domain/model/reservation.py: add {missing} to Reservation, because its first event keeps it")


def keep_terms(
    start: type[ReservationStarted],
    terms: CodeTerms | Reservation,
    campaign: CampaignTerms | Reservation | None = None,
) -> dict[str, Any]:
    """Return the kept terms with which a reservation begins.

    Args:
        start: The event.
        terms: Those of its code, or the reservation that it replaces.
        campaign: Those of its campaign, or that reservation; None without a campaign.
    """
    fields: dict[str, Any] = {name: getattr(terms, name) for name in KEPT_TERMS}
    if campaign is not None:
        fields |= {name: getattr(campaign, name) for name in KEPT_CAMPAIGN_TERMS[start]}
    return fields
