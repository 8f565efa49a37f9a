"""A reservation as its recipient sees it, and what this browser may still change about it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from api.i18n.messages import refusal_detail, state_message
from api.schemas.parsing import InvalidInputError, parse_id
from api.use_cases.lookups.repeated_redeem import find_repeat_refusal
from api.use_cases.services import Services
from api.web.masking import mask_if_known
from api.web.public.code_form import may_wait
from api.web.public.visitor import Visitor, find_token, list_own_reservations
from domain.events.event import REPEATABLE_CAUSES, RefundCause
from domain.model.reservation import PublicState, Reservation
from domain.ports import Language
from domain.values.timestamps import shifted
from projections.definitions.tables.code_balances import code_from_named_row
from projections.repositories.groups import GroupRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """A reservation as its page shows it. Times are aware; a row whose value is None is left out.

    Attributes:
        message: What its state means for the recipient.
        detail_code: Why it was refunded, if it was.
        email: Where the invitation goes: in full for the browser that redeemed, masked for every other one.
        group: The group that the recipient is invited to.
        deadline: The invitation is sent until then, or the use is refunded.
        next_attempt_at: Time of the next attempt, after one that failed.
        may_repeat: The person can redeem the code again, or ask for a place on its waiting list.
        may_correct: This browser may still correct the email address.
        is_rebind: It moves an access grant to another group.
        accepted_at: When the link in the invitation was opened, or the group's external system reported it.
        access_ends_at: Expiry date of the access, if there is one.
        access_ended_at: When the access ended.
        has_bounced: The newest email came back, and the invitation was not accepted.
        is_moved: The access ended because it was moved to another group.
        groups: Groups to which this browser may move the access now.
        successor: The reservation with the corrected address or the other group, if this browser made it.
        is_holder: This browser redeemed the code.
    """

    reservation_id: UUID
    state: PublicState
    message: str
    detail_code: RefundCause | None = None
    email: str | None = None
    group: str | None = None
    reserved_at: datetime | None = None
    deadline: datetime | None = None
    next_attempt_at: datetime | None = None
    sent_at: datetime | None = None
    refunded_at: datetime | None = None
    accepted_at: datetime | None = None
    may_repeat: bool = False
    may_correct: bool = False
    is_rebind: bool = False
    access_ends_at: datetime | None = None
    access_ended_at: datetime | None = None
    is_moved: bool = False
    has_bounced: bool = False
    groups: Sequence[str] = ()
    successor: UUID | None = None
    is_holder: bool = False


def find_status_view(services: Services, typed_id: str, language: Language, visitor: Visitor) -> StatusView | None:
    """Return the view of a reservation; None if there is no such reservation."""
    reservation = None
    with suppress(InvalidInputError):
        reservation = services.reader.find_reservation(parse_id("reservation_id", typed_id))
    if reservation is None:
        return None
    reservation_id = reservation.reservation_id
    address = services.reader.find_email_addresses([reservation_id]).get(reservation_id)
    is_holder = find_token(services, visitor, reservation_id) is not None
    is_retried = reservation.public_state in {"reserved", "waiting"} and reservation.attempts > 0
    error = find_repeat_refusal(services, reservation)
    refused = None if error is None else refusal_detail(error.code, language, **error.facts)
    is_repeatable = reservation.is_use and reservation.refund_cause in REPEATABLE_CAUSES
    cause, sent_at, access = reservation.refund_cause, reservation.sent_at, reservation.access
    return StatusView(
        reservation_id=reservation_id,
        state=reservation.public_state,
        message=state_message(reservation.public_state, language, cause=cause, sent_at=sent_at, refused=refused),
        detail_code=cause,
        email=address if is_holder else mask_if_known(address or None),
        group=reservation.group,
        reserved_at=reservation.reserved_at,
        deadline=reservation.deadline,
        next_attempt_at=reservation.next_attempt_at if is_retried or reservation.deferred else None,
        sent_at=sent_at,
        refunded_at=reservation.refunded_at,
        accepted_at=reservation.accepted_at,
        may_repeat=is_repeatable and (error is None or may_wait(error)),
        may_correct=is_holder and _may_correct(services, reservation),
        is_rebind=not reservation.is_use,
        access_ends_at=reservation.access_ends_at if sent_at else None,
        access_ended_at=access.ended_at if access else None,
        is_moved=access is not None and access.ending == "moved",
        has_bounced=reservation.accepted_at is None and reservation.bounced_at is not None,
        groups=_list_rebind_groups(services, reservation) if is_holder else (),
        successor=_find_successor(services, visitor, reservation),
        is_holder=is_holder,
    )


def _may_correct(services: Services, reservation: Reservation) -> bool:
    """Return whether to offer the correction; the command decides when it is asked for."""
    within_s, now = services.settings.policy.correct_within_s, services.now()
    is_outcome_unknown = reservation.is_live and reservation.ever_unknown
    if not reservation.is_use or reservation.has_access_ended(now) or is_outcome_unknown:
        return False
    if not reservation.may_person_correct(now, within_s):
        return False
    return reservation.occupies_use and reservation.accepted_at is None and reservation.corrects is None


def _find_successor(services: Services, visitor: Visitor, reservation: Reservation) -> UUID | None:
    """Return the reservation of this browser that corrected or moved another one; None if it has none."""
    replaced_by = reservation.access.replaced_by if reservation.access else None
    if replaced_by is None and reservation.refund_cause != "corrected":
        return None
    own_ids = list_own_reservations(services, visitor)
    if replaced_by in own_ids:
        return replaced_by
    own = (services.reader.find_reservation(own_id) for own_id in own_ids)
    return next((each.reservation_id for each in own if each and each.corrects == reservation.reservation_id), None)


def _list_rebind_groups(services: Services, reservation: Reservation) -> Sequence[str]:
    """Groups to offer for the access, as far as this reservation shows; the command decides when it is asked for."""
    policy, now, activated_at = services.settings.policy, services.now(), reservation.activated_at
    if not reservation.has_active_access or reservation.is_access_over(now) or activated_at is None:
        return ()
    if now > shifted(activated_at, timedelta(days=policy.rebind_days)):
        return ()
    names = [name for name in GroupRepository(services.storage).list_rebind_targets() if name != reservation.group]
    row = services.reader.find_balance(reservation.code_id) if names else None
    if row is None:
        return ()
    code = code_from_named_row(row)
    limit = policy.rebinds_max if code.terms.rebinds_max is None else code.terms.rebinds_max
    moves = reservation.access.moves if reservation.access else 0
    return names if not code.is_revoked and not code.is_paused and moves < limit else ()
