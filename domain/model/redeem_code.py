"""The aggregate: one code's terms, counters and binding. Its size does not grow with its history.

Reservations are separate; the store finds them by their rows (see `domain.working_set`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.events.campaign import CampaignEvent
from domain.events.code import (
    CodeIssued,
    CodeJoinedCampaign,
    CodePaused,
    CodeResumed,
    CodeRevoked,
    CodeTermsChanged,
    OpeningBalanceImported,
)
from domain.events.code_terms import CodeTerms
from domain.events.event import Event
from domain.events.registry import EVENT_TYPES
from domain.events.reservation import (
    InviteSent,
    LateSuccessRecorded,
    UseRefunded,
    UseReserved,
)
from domain.ports import RecipientDraft
from domain.values.email_domains import admits_domain
from domain.values.limits.thresholds import find_next_time, find_passed, find_reached

SNAPSHOT_VERSION = 3
"""Version of the fold. Raise it whenever the same events lead to another state, so that no stored snapshot is used."""

CodeState = Literal["active", "held", "exhausted", "paused", "not_started", "expired", "revoked"]


class RedeemCode(Struct, frozen=True, kw_only=True, gc=False):
    """State of one code after `version` events.

    Attributes:
        last_at: `at` of the newest event; no later event takes effect before it.
        used: Uses counted now (sent or counted again, and not refunded since).
        reserved: Uses reserved now.
        terms: What the code promises now.
        bound: Whether the code belongs to its first recipient.
        owner_id: The recipient whom the pending and sent reservations bind the code to; None without any.
        sent_binding: How many of the binding reservations are sent.
        is_paused: Whether it takes no new reservations for now.
        revoked_by: Version of the event that revoked it; None if it is not revoked.
        bound_to: The only recipient who may redeem it, whether or not anything was sent; None: its first one.
        campaign_id: The campaign that it belongs to permanently; None: it belongs to no campaign yet.
        campaign_since: Version of the event by which it joined the campaign; None without a campaign.
    """

    code_id: UUID
    version: int
    last_at: datetime
    issued_at: datetime
    terms: CodeTerms
    bound: bool
    used: int = 0
    reserved: int = 0
    owner_id: UUID | None = None
    sent_binding: int = 0
    is_paused: bool = False
    revoked_by: int | None = None
    bound_to: UUID | None = None
    campaign_id: UUID | None = None
    campaign_since: int | None = None

    def counts_in_campaign(self, versions: Sequence[int]) -> bool:
        """Return whether a use counts in the campaign: it was reserved while the code belonged to it.

        Args:
            versions: Those of the events of its reservation.
        """
        return self.campaign_since is not None and versions[0] > self.campaign_since

    def is_bound_to_another(self, recipient_id: UUID | None) -> bool:
        """Return whether it is bound to another recipient than this one; None: one whom the ledger does not have."""
        owners = {self.bound_to, self.owner_id if self.bound else None} - {None}
        return bool(owners - {recipient_id})

    @property
    def occupied(self) -> int:
        """Uses that are counted or reserved now."""
        return self.used + self.reserved

    @property
    def available(self) -> int | None:
        """Uses that a new reservation may take; None without limit. Never clamped.

        It is negative while more uses are counted and reserved than a limit allows that was set below them.
        """
        max_uses = self.terms.max_uses
        return None if max_uses is None else max_uses - self.occupied

    @property
    def is_held(self) -> bool:
        """Whether only reserved uses, which may be refunded, stand between the counted ones and the limit."""
        return self.terms.max_uses is not None and self.used < self.terms.max_uses <= self.occupied

    @property
    def reached_thresholds(self) -> tuple[str, ...]:
        """The thresholds that its reserved and counted uses, or the time of its newest event, reach; in order."""
        terms = self.terms
        of_uses = find_reached(terms.notify_at, terms.max_uses, self.occupied)
        return of_uses if self.is_revoked else of_uses + find_passed(terms.notify_at, terms.expires_at, self.last_at)

    @property
    def next_report_at(self) -> datetime | None:
        """When it reaches the next threshold before its end; None: none, or it was revoked."""
        return None if self.is_revoked else find_next_time(self.terms.notify_at, self.terms.expires_at, self.last_at)

    @property
    def is_revoked(self) -> bool:
        """Whether it accepts no new reservations permanently, and its reserved uses are refunded."""
        return self.revoked_by is not None

    def has_started(self, now: datetime) -> bool:
        """Return whether the code accepts reservations already, as far as its start is concerned."""
        starts_at = self.terms.starts_at
        return starts_at is None or starts_at <= now

    def admits(self, recipient: RecipientDraft) -> bool:
        """Return whether its terms admit the domain of a recipient's address."""
        allowed, denied = self.terms.allowed_domains, self.terms.denied_domains
        return (allowed is None and denied is None) or admits_domain(recipient.domain, allowed, denied)

    def is_expired(self, now: datetime) -> bool:
        """Return whether the code accepts no new reservations because it has expired."""
        expires_at = self.terms.expires_at
        return expires_at is not None and expires_at <= now

    def state(self, now: datetime) -> CodeState:
        """Return the state for lists and pages: the first reason why a new recipient would be refused, or active."""
        if self.is_revoked:
            return "revoked"
        if self.is_paused:
            return "paused"
        if self.is_expired(now):
            return "expired"
        if not self.has_started(now):
            return "not_started"
        if self.available is None or self.available > 0:
            return "active"
        return "held" if self.is_held else "exhausted"


_NEUTRAL: Final = frozenset(
    kind for kind in EVENT_TYPES.values() if not (kind.CHANGES_STATE or issubclass(kind, CampaignEvent))
)
"""Types of events after which a code is as before, apart from version and time."""


def evolve_code(code: RedeemCode | None, code_id: UUID, version: int, event: Event) -> RedeemCode:
    """Return the state of a code after one more event of its stream. Rules are checked elsewhere, so history replays.

    Args:
        code: The state before the event; None before the first one.
        code_id: Id of the stream.
        version: Version of the event in the stream, from 1.
        event: The event.

    Raises:
        TypeError: No code begins with such an event, or there is no fold for it: a bug.
    """
    if code is None:
        return _begin_code(code_id, version, event)
    if type(event) in _NEUTRAL:
        return replace(code, version=version, last_at=event.at)
    match event:
        case UseReserved():
            owner_id = event.recipient_id if code.bound else None
            return replace(code, version=version, last_at=event.at, reserved=code.reserved + 1, owner_id=owner_id)
        case InviteSent() if event.delivery == 1 and event.kind == "redeem":
            return _count_use(code, version, event.at, code.owner_id, from_reserved=1)
        case LateSuccessRecorded() if event.effect == "retaken" and event.kind == "redeem":
            owner_id = event.recipient_id if code.bound else None
            return _count_use(code, version, event.at, owner_id, from_reserved=0)
        case UseRefunded() if event.kind == "redeem":
            return _release_use(code, version, event)
        case (
            CodeJoinedCampaign()
            | OpeningBalanceImported()
            | CodeTermsChanged()
            | CodePaused()
            | CodeResumed()
            | CodeRevoked()
        ):
            return _apply_to_code_itself(code, version, event)
        case InviteSent() | LateSuccessRecorded() | UseRefunded():
            return replace(code, version=version, last_at=event.at)  # of a resend, a rebind, a duplicate
        case _:
            message = f"no fold for {type(event).__name__}"
            raise TypeError(message)


def _begin_code(code_id: UUID, version: int, event: Event) -> RedeemCode:
    if not isinstance(event, CodeIssued):
        message = f"{type(event).__name__} can't begin a stream"
        raise TypeError(message)
    return RedeemCode(
        code_id=code_id,
        version=version,
        last_at=event.at,
        issued_at=event.at,
        terms=event.terms,
        bound=event.bound,
        bound_to=event.bound_to,
        campaign_id=event.campaign_id,
        campaign_since=None if event.campaign_id is None else version,
    )


def _count_use(
    code: RedeemCode, version: int, at: datetime, owner_id: UUID | None, *, from_reserved: Literal[0, 1]
) -> RedeemCode:
    """Count a use that was reserved until now, or that had been refunded."""
    return replace(
        code,
        version=version,
        last_at=at,
        reserved=code.reserved - from_reserved,
        used=code.used + 1,
        sent_binding=code.sent_binding + 1,
        owner_id=owner_id,
    )


def _release_use(code: RedeemCode, version: int, event: UseRefunded) -> RedeemCode:
    """Release a reserved or counted use. The last use that binds the code ends its binding."""
    from_reserved = event.held == "reserved"
    reserved = code.reserved - 1 if from_reserved else code.reserved
    sent_binding = code.sent_binding if from_reserved else code.sent_binding - 1
    return replace(
        code,
        version=version,
        last_at=event.at,
        reserved=reserved,
        used=code.used if from_reserved else code.used - 1,
        sent_binding=sent_binding,
        owner_id=code.owner_id if reserved or sent_binding else None,
    )


def _apply_to_code_itself(
    code: RedeemCode,
    version: int,
    event: CodeJoinedCampaign | OpeningBalanceImported | CodeTermsChanged | CodePaused | CodeResumed | CodeRevoked,
) -> RedeemCode:
    """Return the state after it joined a campaign, an opening balance, a change of terms, a pause or a revocation."""
    match event:
        case CodeJoinedCampaign():
            return replace(
                code, version=version, last_at=event.at, campaign_id=event.campaign_id, campaign_since=version
            )
        case OpeningBalanceImported():
            return replace(code, version=version, last_at=event.at, used=code.used + event.uses)
        case CodeTermsChanged():
            return replace(code, version=version, last_at=event.at, terms=event.terms, bound_to=event.bound_to)
        case CodePaused() | CodeResumed():
            return replace(code, version=version, last_at=event.at, is_paused=isinstance(event, CodePaused))
        case CodeRevoked():
            return replace(code, version=version, last_at=event.at, revoked_by=version)
