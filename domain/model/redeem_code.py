"""The aggregate: one code's terms, counters and binding. Its size does not grow with its history.

Single reservations are not in here; they are found through the reservation rows (see `domain.working_set`).
"""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.events import (
    AccessCorrected,
    AccessExpired,
    AccessRemovalFailed,
    AccessRemoved,
    AccessReplaced,
    AccessRevoked,
    CaseClosed,
    CaseOpened,
    CodeIssued,
    CodeNoted,
    CodePaused,
    CodeResumed,
    CodeRevoked,
    CodeTermsChanged,
    Event,
    ExpiryAnnounced,
    InviteAccepted,
    InviteAttempted,
    InviteBounced,
    InviteDeferred,
    InviteFailed,
    InviteOutcomeUnknown,
    InviteReleased,
    InviteSent,
    LateSuccessRecorded,
    NoteAdded,
    OpeningBalanceImported,
    RebindReserved,
    ResendRequested,
    UseRefunded,
    UseReserved,
)

SNAPSHOT_VERSION = 1
"""Number of the fold: one higher whenever the same events lead to another state, so that no kept state is believed."""

CodeState = Literal["active", "held", "exhausted", "paused", "expired", "revoked"]


class RedeemCode(Struct, frozen=True, kw_only=True, gc=False):
    """State of one code after `version` events.

    Attributes:
        last_at: `at` of the newest event; no later event takes effect before it.
        used: Uses counted now (sent or retaken, and not refunded since).
        reserved: Uses held now.
        bound: Whether the code belongs to its first recipient.
        owner_id: The recipient that the live and sent reservations bind the code to; None when there are none.
        sent_binding: How many of the binding reservations are sent.
        is_paused: Whether it takes no new reservations for now.
        revoked_by: Version of the event by which it takes none for ever; None if it was not revoked.
        rebinds_max: How often each access that it gives may be moved; None: as often as the policy says.
        bound_to: The only recipient who may redeem it, whether or not anything was sent; None: its first one.
    """

    code_id: UUID
    version: int
    last_at: datetime
    issued_at: datetime
    max_uses: int | None
    bound: bool
    expires_at: datetime | None
    validity_days: int | None
    group: str | None
    used: int = 0
    reserved: int = 0
    owner_id: UUID | None = None
    sent_binding: int = 0
    is_paused: bool = False
    revoked_by: int | None = None
    rebinds_max: int | None = None
    bound_to: UUID | None = None

    def is_bound_to_another(self, recipient_id: UUID) -> bool:
        """Whether it is bound to a person other than this one."""
        owners = {self.bound_to, self.owner_id if self.bound else None} - {None}
        return bool(owners - {recipient_id})

    @property
    def available(self) -> int | None:
        """Uses that a new reservation may take; None without limit. Never clamped: negative would be a defect."""
        return None if self.max_uses is None else self.max_uses - self.used - self.reserved

    @property
    def is_revoked(self) -> bool:
        """Whether it takes no new reservations for ever, and gives back what is held."""
        return self.revoked_by is not None

    def is_expired(self, now: datetime) -> bool:
        """Whether the code takes no new reservations because its time is over."""
        return self.expires_at is not None and self.expires_at <= now

    def state(self, now: datetime) -> CodeState:
        """One word for lists and pages: what a new person would be told first."""
        if self.is_revoked:
            return "revoked"
        if self.is_paused:
            return "paused"
        if self.is_expired(now):
            return "expired"
        if self.available is None or self.available > 0:
            return "active"
        return "held" if self.reserved else "exhausted"


BALANCE_NEUTRAL_EVENTS: Final[frozenset[type[Event]]] = frozenset(
    {
        InviteAttempted,
        InviteFailed,
        InviteDeferred,
        InviteOutcomeUnknown,
        InviteReleased,
        InviteBounced,
        InviteAccepted,
        CaseOpened,
        CaseClosed,
        ResendRequested,
        RebindReserved,
        ExpiryAnnounced,
        AccessExpired,
        AccessReplaced,
        AccessCorrected,
        AccessRevoked,
        AccessRemoved,
        AccessRemovalFailed,
        NoteAdded,
        CodeNoted,
    }
)


def opened(code_id: UUID, version: int, event: CodeIssued) -> RedeemCode:
    """The code as its first event leaves it."""
    return RedeemCode(
        code_id=code_id,
        version=version,
        last_at=event.at,
        issued_at=event.at,
        max_uses=event.max_uses,
        bound=event.bound,
        expires_at=event.expires_at,
        validity_days=event.validity_days,
        group=event.group,
        rebinds_max=event.rebinds_max,
        bound_to=event.bound_to,
    )


def evolve(this: RedeemCode, version: int, event: Event) -> RedeemCode:
    """The code after one more event of its stream. Never refuses; an unknown event is a defect and raises."""
    if type(event) in BALANCE_NEUTRAL_EVENTS:
        return replace(this, version=version, last_at=event.at)
    match event:
        case UseReserved():
            owner_id = event.recipient_id if this.bound else None
            return replace(this, version=version, last_at=event.at, reserved=this.reserved + 1, owner_id=owner_id)
        case InviteSent() if event.delivery == 1 and event.kind == "redeem":
            return _counted(this, version, event.at, this.owner_id, from_reserved=1)
        case LateSuccessRecorded() if event.effect == "retaken" and event.kind == "redeem":
            owner_id = event.recipient_id if this.bound else None
            return _counted(this, version, event.at, owner_id, from_reserved=0)
        case UseRefunded() if event.kind == "redeem":
            return _given_back(this, version, event)
        case OpeningBalanceImported():
            return replace(this, version=version, last_at=event.at, used=this.used + event.uses)
        case CodeTermsChanged() | CodePaused() | CodeResumed() | CodeRevoked():
            return _with_admin_change(this, version, event)
        case InviteSent() | LateSuccessRecorded() | UseRefunded():
            return replace(this, version=version, last_at=event.at)  # of a further delivery, a rebind, a duplicate
        case _:
            message = f"no fold for {type(event).__name__}"
            raise TypeError(message)


def _counted(
    this: RedeemCode, version: int, at: datetime, owner_id: UUID | None, *, from_reserved: Literal[0, 1]
) -> RedeemCode:
    """One use more, which was held until now or had been given back."""
    return replace(
        this,
        version=version,
        last_at=at,
        reserved=this.reserved - from_reserved,
        used=this.used + 1,
        sent_binding=this.sent_binding + 1,
        owner_id=owner_id,
    )


def _given_back(this: RedeemCode, version: int, event: UseRefunded) -> RedeemCode:
    """One use less, held or counted; the last binding reservation to go takes the binding with it."""
    from_reserved = event.held == "reserved"
    reserved = this.reserved - 1 if from_reserved else this.reserved
    sent_binding = this.sent_binding if from_reserved else this.sent_binding - 1
    return replace(
        this,
        version=version,
        last_at=event.at,
        reserved=reserved,
        used=this.used if from_reserved else this.used - 1,
        sent_binding=sent_binding,
        owner_id=this.owner_id if reserved or sent_binding else None,
    )


def _with_admin_change(
    this: RedeemCode, version: int, event: CodeTermsChanged | CodePaused | CodeResumed | CodeRevoked
) -> RedeemCode:
    """What staff decided about the code itself."""
    match event:
        case CodeTermsChanged():
            return replace(
                this,
                version=version,
                last_at=event.at,
                max_uses=event.max_uses,
                expires_at=event.expires_at,
                validity_days=event.validity_days,
                group=event.group,
                rebinds_max=event.rebinds_max,
                bound_to=event.bound_to,
            )
        case CodePaused() | CodeResumed():
            return replace(this, version=version, last_at=event.at, is_paused=isinstance(event, CodePaused))
        case CodeRevoked():
            return replace(this, version=version, last_at=event.at, revoked_by=version)
