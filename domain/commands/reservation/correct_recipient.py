"""Correcting a mistyped address: the use moves to the right person in one append (rule 10).

It is a refund and a new reservation, so the old letter's link is dead and the new one is a delivery of its own. No
moment lies between them in which somebody else could take the use. Pause and expiry don't stop it. What a group's own
system may have given the first address ends in the same append; the second invitation waits until that is removed.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from domain.commands import case_events
from domain.commands.access import end_on_refund
from domain.commands.context import Context, Decision, EventStamp, stamp
from domain.commands.delivery.accept_invite import LINK
from domain.commands.reservation.settle_due import after_lapse
from domain.errors import (
    CodeIsRevoked,
    CodeUnknown,
    CorrectionTokenRequired,
    RecipientNotCorrectable,
    Refusal,
    ReservationUnknown,
)
from domain.events import STAFF, AccessRemoved, Event, UseRefunded, UseReserved
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import RecipientDraft, TextDraft
from domain.working_set import WorkingSet


class CorrectRecipient(Struct, frozen=True, kw_only=True):
    """Move a use to another address.

    `new_reservation_id` is new and random. `code_digests` must be those of the reservation's code where the person
    themselves asks; None where staff do. `token_of` is the reservation whose correction token the request carried: a
    person needs that of this reservation, staff need none. `note`, the reason, goes to the vault.
    """

    context: Context
    reservation_id: UUID
    recipient: RecipientDraft
    new_reservation_id: UUID
    code_digests: Sequence[bytes] | None = None
    token_of: UUID | None = None
    note: TextDraft | None = None


def correct_recipient(command: CorrectRecipient, book: WorkingSet, policy: Policy) -> Decision:
    """Refund the old reservation and hold the use for the new address; give the new one if that was done before.

    Raises:
        ReservationUnknown, CodeUnknown (the code is not the reservation's), CorrectionTokenRequired (of persons only),
            RecipientNotCorrectable, CodeIsRevoked: in this order of precedence; `why` is rebind (it holds no use),
            refunded, leased, waiting (for an access to be removed), accepted (of persons, and where the group's own
            system reported it), ended, moving, same, corrected_before, unknown or too_late (these three of persons
            only), address_taken, bound or kept_binding (the code itself is bound to another), in this order too, with
            the revoked code after moving.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    if command.code_digests is not None and book.code_id(command.code_digests) != item.code_id:
        raise CodeUnknown
    if command.context.actor not in STAFF and command.token_of != item.reservation_id:
        raise CorrectionTokenRequired
    code = book.codes[item.code_id]
    recipient_id = book.recipient_id(command.recipient)
    theirs = book.of_recipient(code.code_id, recipient_id)
    if (before := next((other for other in theirs if other.corrects == item.reservation_id), None)) is not None:
        return Decision(code.code_id, (), before.reservation_id)
    now = stamp(command.context, code)
    lapsed, code, item = after_lapse(code, item, now, case_events.derived_id(item), policy)
    try:
        _check(command, code, item, recipient_id, theirs, policy, is_moving=bool(book.moves(item)))
    except Refusal as refusal:
        return Decision(code.code_id, lapsed, item.reservation_id, refusal)
    events = _corrected(command, code, item, recipient_id, now, policy)
    return Decision(code.code_id, [*lapsed, *events], command.new_reservation_id)


def _check(
    command: CorrectRecipient,
    code: RedeemCode,
    item: Reservation,
    recipient_id: UUID,
    theirs: Sequence[Reservation],
    policy: Policy,
    *,
    is_moving: bool,
) -> None:
    """Raise what stands in the way."""
    is_by_person = command.context.actor not in STAFF
    why = _state_obstacle(item, is_by_person=is_by_person) or ("moving" if is_moving else None)
    if why is None and code.is_revoked:
        raise CodeIsRevoked
    if why is None and recipient_id == item.recipient_id:
        why = "same"
    if why is None and is_by_person:
        why = _requires_staff(item, command.context, policy)
    if why is None and any(other.occupies_use for other in theirs):
        why = "address_taken"
    if why is None and code.bound and code.reserved + code.sent_binding > 1:
        why = "bound"
    if why is None and code.bound_to not in {None, recipient_id}:
        why = "kept_binding"
    if why is not None:
        raise RecipientNotCorrectable(why)


def _state_obstacle(item: Reservation, *, is_by_person: bool) -> str | None:
    if not item.is_use:
        return "rebind"
    if item.status == "refunded":
        return "refunded"
    if item.lease is not None:
        return "leased"
    if item.is_waiting_for_removal:
        return "waiting"
    if item.accepted_at is not None and (is_by_person or item.accepted_via != LINK):
        return "accepted"
    return "ended" if item.access is not None and item.access.ending is not None else None


def _requires_staff(item: Reservation, context: Context, policy: Policy) -> str | None:
    """Return why only staff may correct it; None if the person may."""
    if item.corrects is not None:
        return "corrected_before"
    if item.is_live and item.ever_unknown:
        return "unknown"
    return None if item.may_person_correct(context.now, policy.correct_within_s) else "too_late"


def _corrected(
    command: CorrectRecipient, code: RedeemCode, item: Reservation, recipient_id: UUID, now: EventStamp, policy: Policy
) -> Sequence[Event]:
    """The refund, the end of the first access, and the reservation that waits until that is removed."""
    refund = UseRefunded(
        **now.fields,
        reservation_id=item.reservation_id,
        cause="corrected",
        held="reserved" if item.is_live else "used",
        kind=item.kind,
        text_id=command.note.text_id if command.note else None,
        caused_by=item.moved_by,
    )
    closed = case_events.closed(item, now, "corrected", caused_by=code.version + 1)
    ended = end_on_refund.corrected(item, command.new_reservation_id, now, caused_by=code.version + 1)
    is_removed = any(isinstance(event, AccessRemoved) for event in ended)
    reserved = UseReserved(
        **now.fields,
        reservation_id=command.new_reservation_id,
        recipient_id=recipient_id,
        deadline=now.at + timedelta(seconds=policy.reservation_ttl_s),
        language=item.language,
        group=item.group,
        corrects=item.reservation_id,
        waits_for=item.reservation_id if ended and not is_removed else None,
        validity_days=None if item.access is None else item.access.validity_days,
        caused_by=code.version + 1,
    )
    return [refund, *closed, *ended, reserved]
