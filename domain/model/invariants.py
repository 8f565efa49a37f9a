"""Invariants after every event (docs/reference/rules.md), for handlers, tests and `ledger verify`.

A rule reads one event and the state before and after it, so a whole log can be checked in constant memory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from domain.events.access import (
    AccessCorrected,
    AccessExpired,
    AccessRemovalFailed,
    AccessRemoved,
    AccessReplaced,
    AccessRevoked,
    ExpiryAnnounced,
    InviteReminded,
)
from domain.events.campaign import CampaignEvent
from domain.events.code import CodeJoinedCampaign, CodeTermsChanged, OpeningBalanceImported
from domain.events.event import STAFF, Event
from domain.events.reservation import (
    CaseClosed,
    CaseOpened,
    InviteAttempted,
    InviteBounced,
    InviteFailed,
    InviteReleased,
    InviteSent,
    LateSuccessRecorded,
    RebindReserved,
    ReservationEvent,
    ReservationStarted,
    UseRefunded,
    UseReserved,
)
from domain.model.campaign import Campaign, find_broken_campaign_rules
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation

STAFF_REFUND_CAUSES: Final = frozenset({"resolved", "outage", "corrected"})
"""Causes of a refund by which staff refund an unknown outcome."""


class InvariantViolationError(AssertionError):
    """New events would break an invariant. This is a bug: nothing of the batch may be committed."""


def check_balance(before: RedeemCode | None, event: Event, code: RedeemCode) -> RedeemCode:
    """Check invariant 1 and that no counter is negative after an event, and return the code.

    Raises:
        InvariantViolationError: The balance would be wrong; the caller must not commit.
    """
    if not keeps_balance(before, event, code):
        message = (
            f"code {code.code_id} at version {code.version}: used {code.used}, reserved {code.reserved}, "
            f"limit {code.terms.max_uses}"
        )
        raise InvariantViolationError(message)
    return code


def keeps_balance(before: RedeemCode | None, event: Event, after: RedeemCode) -> bool:
    """Invariant 1: no counter is below zero, and no event grants a use beyond the limit; uses over it may stay."""
    if after.used < 0 or after.reserved < 0 or not 0 <= after.sent_binding <= after.used:
        return False
    limit = after.terms.max_uses
    if limit is None or after.occupied <= limit:
        return True
    if before is None:
        return False
    if isinstance(event, CodeTermsChanged):
        is_higher = before.terms.max_uses is not None and before.terms.max_uses <= limit
        return is_higher or event.counting == "all"
    is_moved = isinstance(event, UseReserved) and event.corrects is not None  # refunded in the same commit
    return is_moved or after.occupied <= before.occupied


def counts_only_success(before: RedeemCode | None, event: Event, after: RedeemCode) -> bool:
    """Invariant 3: InviteSent, a counted late success or an opening balance counts.

    Only a counted use is refunded as used.
    """
    change = after.used - (before.used if before else 0)
    match event:
        case InviteSent():
            return change in {0, 1}
        case LateSuccessRecorded():
            return change == (1 if event.effect == "retaken" and event.kind == "redeem" else 0)
        case UseRefunded():
            return change == (-1 if event.held == "used" and event.kind == "redeem" else 0)
        case OpeningBalanceImported():
            return change == event.uses > 0
        case _:
            return change == 0


def takes_no_use_for_a_rebind(before: RedeemCode | None, event: Event, after: RedeemCode) -> bool:
    """A rebind moves an access: none of its events reserves, counts or refunds a use."""
    if before is None or not (isinstance(event, RebindReserved) or getattr(event, "kind", None) == "rebind"):
        return True
    return (after.used, after.reserved, after.owner_id) == (before.used, before.reserved, before.owner_id)


def goes_forward_in_time(before: RedeemCode | None, event: Event, _after: RedeemCode) -> bool:
    """`at` is never before `at` of the event before."""
    return before is None or event.at >= before.last_at


def joins_once_and_unreserved(before: RedeemCode | None, event: Event, after: RedeemCode) -> bool:
    """Invariant 12: a code keeps its campaign, and had no reserved use when it joined it."""
    if before is None or (before.campaign_id, before.campaign_since) == (after.campaign_id, after.campaign_since):
        return True
    return isinstance(event, CodeJoinedCampaign) and before.campaign_id is None and not before.reserved


def is_bound_while_taken(_before: RedeemCode | None, _event: Event, after: RedeemCode) -> bool:
    """Rule 9: a bound code has an owner exactly while a reservation is pending or sent; an open code has none."""
    return (after.owner_id is not None) == (after.bound and after.reserved + after.sent_binding > 0)


def is_sent_once(before: Reservation | None, event: ReservationEvent, _after: Reservation) -> bool:
    """Invariant 4: at most one InviteSent for each delivery."""
    return not isinstance(event, InviteSent) or (before is not None and event.delivery not in before.proved_deliveries)


def alternates_taken_and_released(before: Reservation | None, event: ReservationEvent, _after: Reservation) -> bool:
    """Invariant 4: reserved or counted, and refunded, alternate; a refund names the state before it."""
    status = before.status if before else None
    match event:
        case ReservationStarted():
            return status is None
        case InviteSent() if event.delivery == 1:
            return status == "live"
        case LateSuccessRecorded() if event.effect == "retaken":
            return status == "refunded"
        case UseRefunded():
            return (status, event.held) in {("live", "reserved"), ("sent", "used")}
        case _:
            return status is not None


def is_refunded_by_persons_if_unknown(before: Reservation | None, event: ReservationEvent, _after: Reservation) -> bool:
    """Invariant 10: only staff refund a use whose invitation may have been sent."""
    in_doubt = before is not None and before.ever_unknown and before.is_live
    if not in_doubt or not isinstance(event, UseRefunded):
        return True
    return event.actor in STAFF and event.cause in STAFF_REFUND_CAUSES


def has_one_case_at_a_time(before: Reservation | None, event: ReservationEvent, _after: Reservation) -> bool:
    """A case is opened only if none is open, and only the open one is closed."""
    open_case_id = before.case_id if before else None
    match event:
        case CaseOpened():
            return open_case_id is None
        case CaseClosed():
            return open_case_id == event.case_id
        case _:
            return True


def is_due_or_parked(_before: Reservation | None, _event: ReservationEvent, after: Reservation) -> bool:
    """Invariant 2: a pending or resent reservation has a due time, an open case, or waits for a removal."""
    is_waiting = after.case_id is not None or after.is_waiting_for_removal
    return not after.is_being_processed or (after.due_at is None) == is_waiting


def ends_once_and_not_early(before: Reservation | None, event: ReservationEvent, _after: Reservation) -> bool:
    """An access ends once, and expires not before its expiry date. Staff may revoke the access of a refunded use."""
    match event:
        case AccessExpired():
            ends_at = before.access_ends_at if before else None
            return before is not None and before.has_active_access and ends_at is not None and event.at >= ends_at
        case AccessReplaced():
            return before is not None and before.has_active_access
        case AccessCorrected():
            is_first = before is not None and (before.access is None or before.access.ending is None)
            return is_first and before is not None and before.refund_cause == "corrected"
        case AccessRevoked() if event.actor in STAFF:
            return before is not None and (before.access is None or before.access.ending is None)
        case _:
            return True


def is_removed_after_its_end(before: Reservation | None, event: ReservationEvent, _after: Reservation) -> bool:
    """No active access is removed, and none is removed twice."""
    if not isinstance(event, AccessRemoved | AccessRemovalFailed):
        return True
    return before is not None and before.access is not None and before.access.removal == "removing"


def is_announced_once(before: Reservation | None, event: ReservationEvent, _after: Reservation) -> bool:
    """The recipient is warned while the access is active, once for each mark, the nearer ones later."""
    if not isinstance(event, ExpiryAnnounced):
        return True
    ends_at = before.access_ends_at if before else None
    if before is None or before.access is None or not before.has_active_access or ends_at is None:
        return False
    return event.waits_from < ends_at and (before.access.last_mark is None or event.days < before.access.last_mark)


def is_reminded_once(before: Reservation | None, event: ReservationEvent, _after: Reservation) -> bool:
    """The recipient is reminded once, while the invitation is not accepted and the access is active."""
    if not isinstance(event, InviteReminded):
        return True
    ends_at = before.access_ends_at if before else None
    if before is None or before.access is None or not before.has_active_access or ends_at is None:
        return False
    return event.waits_from < ends_at and before.accepted_at is None and before.access.reminded is None


def spends_no_attempt_on_connections(before: Reservation | None, event: ReservationEvent, after: Reservation) -> bool:
    """Rule 4: a failure of the connection does not spend the attempt that was begun; any other failure does."""
    if not isinstance(event, InviteFailed) or before is None:
        return True
    return after.attempts == before.attempts - (1 if event.about_connection else 0)


def keeps_its_end(before: Reservation | None, _event: ReservationEvent, after: Reservation) -> bool:
    """The expiry date of an access does not change once the access began."""
    return before is None or before.access_ends_at is None or before.access_ends_at == after.access_ends_at


def is_reported_rightly(before: Reservation | None, event: ReservationEvent, _after: Reservation) -> bool:
    """Invariant 16: a delivery bounces once, and a bounce refunds only a use whose one copy certainly bounced."""
    match event:
        case InviteBounced() if event.mail == "invite":
            return before is not None and event.delivery not in before.bounced_deliveries
        case UseRefunded() if event.cause == "bounced":
            is_only_copy = before is not None and not before.other_copies and not before.ever_unknown
            is_sent = before is not None and before.status == "sent" and before.accepted_at is None
            return before is not None and is_only_copy and is_sent and before.delivery in before.bounced_deliveries
        case _:
            return True


def waits_for_the_former_end(before: Reservation | None, event: ReservationEvent, _after: Reservation) -> bool:
    """Invariant 11: an invitation that waits for a removal is sent only after its release. Nothing else is released."""
    match event:
        case InviteAttempted() | InviteSent():
            return before is not None and not before.is_waiting_for_removal
        case InviteReleased():
            return before is not None and before.is_waiting_for_removal
        case _:
            return True


@dataclass
class Corrections:
    """The corrected accesses of one code and the invitations that wait for them: invariant 11, across reservations.

    Codes without corrections take no memory.
    """

    _code_id: UUID | None = field(default=None, init=False)
    _ended: dict[UUID, Reservation] = field(default_factory=dict, init=False)
    _waiting: dict[UUID, UUID] = field(default_factory=dict, init=False)

    def find_broken_rules(self, before: Reservation | None, event: ReservationEvent, after: Reservation) -> list[str]:
        """Return the names of the rules that one event breaks.

        Events of a code come in order, before those of the next code.
        """
        if after.code_id != self._code_id:
            self._code_id, self._ended, self._waiting = after.code_id, {}, {}
        if isinstance(event, AccessCorrected) or after.reservation_id in self._ended:
            self._ended[after.reservation_id] = after
        holds = self._is_in_order(before, event) and not self._has_unreleased(event)
        if after.waits_for is not None:
            self._waiting[after.waits_for] = after.reservation_id
        elif before is not None and before.waits_for is not None:
            self._waiting.pop(before.waits_for, None)
        return [] if holds else ["invariant 11: a corrected invitation waits for the former end"]

    def _is_in_order(self, before: Reservation | None, event: ReservationEvent) -> bool:
        """Return whether an invitation waits exactly if the corrected access is still to be removed."""
        match event:
            case ReservationStarted():
                former = None if event.corrects is None else self._ended.get(event.corrects)
                return event.waits_for == (former.reservation_id if former and is_removal_open(former) else None)
            case InviteReleased():
                former = None if before is None or before.waits_for is None else self._ended.get(before.waits_for)
                return former is not None and not is_removal_open(former)
            case _:
                return True

    def _has_unreleased(self, event: ReservationEvent) -> bool:
        """Return whether an access was removed before this event without releasing the invitation that waits."""
        return any(
            event.reservation_id not in {former_id, waiting_id} and not is_removal_open(self._ended[former_id])
            for former_id, waiting_id in self._waiting.items()
            if former_id in self._ended
        )


def is_removal_open(reservation: Reservation) -> bool:
    """Return whether the access has ended and the channel has not removed it yet."""
    return reservation.access is not None and reservation.access.removal in {"removing", "removal_failed"}


# Names begin with the number of the invariant or rule in docs/reference/rules.md, or with what they are about.
CODE_RULES: Final[Mapping[str, Callable[[RedeemCode | None, Event, RedeemCode], bool]]] = {
    "invariant 1: no use is granted beyond the limit": keeps_balance,
    "invariant 3: only a success counts": counts_only_success,
    "invariant 3: a rebind takes no use": takes_no_use_for_a_rebind,
    "invariant 12: a code joins one campaign, without reserved uses": joins_once_and_unreserved,
    "event log: time never goes back": goes_forward_in_time,
    "rule 9: bound while taken": is_bound_while_taken,
}
RESERVATION_RULES: Final[Mapping[str, Callable[[Reservation | None, ReservationEvent, Reservation], bool]]] = {
    "invariant 4: sent once per delivery": is_sent_once,
    "invariant 4: taken and refunded by turns": alternates_taken_and_released,
    "invariant 10: no machine refunds an unknown": is_refunded_by_persons_if_unknown,
    "rule 6: one case at a time": has_one_case_at_a_time,
    "invariant 2: due or parked": is_due_or_parked,
    "access: ends once, not early": ends_once_and_not_early,
    "access: removed after its end": is_removed_after_its_end,
    "access: its end is announced once": is_announced_once,
    "access: its recipient is reminded once": is_reminded_once,
    "access: its end does not move": keeps_its_end,
    "rule 4: a connection spends no attempt": spends_no_attempt_on_connections,
    "invariant 11: nothing is sent while it waits": waits_for_the_former_end,
    "invariant 16: a bounce refunds nothing uncertain": is_reported_rightly,
}


def find_broken_code_rules(before: RedeemCode | None, event: Event, after: RedeemCode) -> list[str]:
    """Return the names of the rules of a code that one event breaks."""
    return [name for name, holds in CODE_RULES.items() if not holds(before, event, after)]


def find_broken_reservation_rules(before: Reservation | None, event: ReservationEvent, after: Reservation) -> list[str]:
    """Return the names of the rules of a reservation that one of its events breaks."""
    return [name for name, holds in RESERVATION_RULES.items() if not holds(before, event, after)]


def check_transition(before: Reservation, event: ReservationEvent, after: Reservation) -> Reservation:
    """Check the rules of a reservation for one event, and return its new state.

    Raises:
        InvariantViolationError: A use would be counted or refunded out of turn; the caller must not commit.
    """
    if broken := find_broken_reservation_rules(before, event, after):
        message = f"reservation {before.reservation_id}, {type(event).__name__}: {', '.join(broken)}"
        raise InvariantViolationError(message)
    return after


def check_campaign(before: Campaign | None, event: CampaignEvent, after: Campaign) -> Campaign:
    """Check the rules of a campaign for one event, and return its new state.

    Raises:
        InvariantViolationError: Its limit would be exceeded; the caller must not commit.
    """
    if broken := find_broken_campaign_rules(before, event, after):
        message = f"campaign {after.campaign_id}, {type(event).__name__}: {', '.join(broken)}"
        raise InvariantViolationError(message)
    return after
