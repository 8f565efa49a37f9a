"""Correct a mistyped email address: the use moves to the right recipient in one append (rule 10).

A correction is a refund and a new reservation, so the link of the old email stops working and the new email is a new
delivery. No other recipient can take the use in between. A pause or an expired code has no effect. What an external
system may have given the first address ends in the same append; the second invitation waits until that is removed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Final
from uuid import UUID

from msgspec import Struct

from domain.asks import Asks, Names
from domain.commands.access.end_on_refund import end_corrected_access
from domain.commands.campaign.campaign_limits import check_campaign_limits, check_domain, check_throwaway, find_flag
from domain.commands.case_events import close_case, derive_case_id
from domain.commands.context import CommandContext, Decision, EventStamp, event_stamp, id_of_text
from domain.commands.reads import Reads, ask_for_drafts, ask_for_rebinds, name_reservations, recipients_of
from domain.commands.reservation.settle_due import settle_lapsed_lease
from domain.errors import (
    AddressUndeliverable,
    CampaignDayLimitReached,
    CampaignExhausted,
    CampaignHeld,
    CodeIsRevoked,
    CodeUnknown,
    CorrectionTokenRequired,
    DomainNotAllowed,
    InvitationsLimited,
    PersonLimitReached,
    RecipientNotCorrectable,
    Refusal,
    RefusalOrder,
    ReservationUnknown,
    ThrowawayAddress,
)
from domain.events.access import AccessRemoved
from domain.events.event import STAFF, Event
from domain.events.reservation import LINK, ReservationFlag, UseRefunded, UseReserved
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation, keep_terms
from domain.policy import Policy
from domain.ports import RecipientDraft, TextDraft
from domain.working_set import WorkingSet


class CorrectRecipient(Struct, frozen=True, kw_only=True):
    """Move a use to another email address.

    `new_reservation_id` is new and random. `code_digests` must be those of the reservation's code if the recipient
    asks; None for staff. `token_of` is the reservation whose correction token the request carried: a recipient needs
    that of this reservation, staff need none. `note`, the reason, goes to the vault.
    """

    refusals: ClassVar[RefusalOrder] = (
        ReservationUnknown,
        CodeUnknown,
        CorrectionTokenRequired,
        RecipientNotCorrectable,
        CodeIsRevoked,
        DomainNotAllowed,
        ThrowawayAddress,
        CampaignHeld,
        CampaignExhausted,
        CampaignDayLimitReached,
        PersonLimitReached,
        AddressUndeliverable,
        InvitationsLimited,
    )

    context: CommandContext
    reservation_id: UUID
    recipient: RecipientDraft
    new_reservation_id: UUID
    code_digests: Sequence[bytes] | None = None
    token_of: UUID | None = None
    note: TextDraft | None = None


def _name(commands: Sequence[CorrectRecipient], names: Names) -> None:
    name_reservations(commands, names)
    # A person who may name any code must not be able to lock it.
    names.compared_texts.update(tuple(command.code_digests) for command in commands if command.code_digests)


def _ask(commands: Sequence[CorrectRecipient], seen: WorkingSet, asks: Asks) -> None:
    ask_for_rebinds(commands, seen, asks)
    targets = [(command, seen.reservations.get(command.reservation_id)) for command in commands]
    persons = {(target.code_id, seen.recipient_id(command.recipient)) for command, target in targets if target}
    asks.persons |= persons
    asks.suppressions.update(recipient_id for _, recipient_id in persons)
    asks.awaited.update(target.code_id for _, target in targets if target)
    ask_for_drafts(commands, [target.code_id if target else None for _, target in targets], seen, asks)


CORRECT_READS: Final[Reads[CorrectRecipient]] = Reads(name=_name, ask=_ask, drafts_in=recipients_of)


def correct_recipient(command: CorrectRecipient, working_set: WorkingSet, policy: Policy) -> Decision:
    """Refund the old reservation and reserve the use for the new address; return the new one if that was done before.

    Raises:
        Refusal: One of `CorrectRecipient.refusals`, in that order; the code and the token are checked of persons only.
            `why` is rebind (it holds no use),
            refunded, leased, waiting (for an access to be removed), accepted (of persons, and where the group's own
            system reported it), ended, moving, same, corrected_before, unknown or too_late (these three of persons
            only), address_taken, bound or kept_binding (the code itself is bound to another), in this order too, with
            the revoked code after moving and the domain that the code does not admit before address_taken. A
            correction, unlike a rebind, brings a new address, so the domains of the terms as they are now apply; the
            start of the code does not.
    """
    reservation = working_set.reservation(command.reservation_id)
    if command.code_digests is not None and working_set.code_id(command.code_digests) != reservation.code_id:
        raise CodeUnknown
    if command.context.actor not in STAFF and command.token_of != reservation.reservation_id:
        raise CorrectionTokenRequired
    code = working_set.codes[reservation.code_id]
    recipient_id = working_set.recipient_id(command.recipient)
    theirs = working_set.reservations_of(code.code_id, recipient_id)
    if (
        earlier_correction := next((other for other in theirs if other.corrects == reservation.reservation_id), None)
    ) is not None:
        return Decision(code.code_id, reservation_id=earlier_correction.reservation_id)
    stamp = event_stamp(command.context, code, not_before=working_set.find_count_start(code))
    lapse_events, code, reservation = settle_lapsed_lease(code, reservation, stamp, derive_case_id(reservation), policy)
    try:
        _check(command, code, reservation, recipient_id, theirs, working_set, policy)
        check_campaign_limits(
            code,
            working_set,
            (recipient_id, command.recipient),
            stamp.now,
            policy,
            freed=[reservation],
            keeps_use=True,
        )
        if (suppression := working_set.find_suppression(recipient_id, reservation.group)) is not None:
            raise AddressUndeliverable(suppression.cause)
    except Refusal as error:
        return Decision(code.code_id, lapse_events, refusal=error)
    flag = find_flag(code, working_set, command.recipient, policy)
    events = _correction_events(command, code, reservation, (recipient_id, flag), stamp, policy)
    return Decision(
        code.code_id,
        [*lapse_events, *events],
        command.new_reservation_id,
        recipients=(command.recipient,),
        text=command.note,
        follow_up="send",
    )


def _check(
    command: CorrectRecipient,
    code: RedeemCode,
    reservation: Reservation,
    recipient_id: UUID,
    theirs: Sequence[Reservation],
    working_set: WorkingSet,
    policy: Policy,
) -> None:
    """Raise the first refusal of a correction."""
    is_by_person = command.context.actor not in STAFF
    why = _find_state_obstacle(reservation, command.context.now, is_by_person=is_by_person) or (
        "moving" if working_set.moves(reservation) else None
    )
    if why is None and code.is_revoked:
        raise CodeIsRevoked
    if why is None and recipient_id == reservation.recipient_id:
        why = "same"
    if why is None and is_by_person:
        why = _find_staff_only_reason(reservation, command.context, policy)
    if why is None:
        check_domain(code, working_set, command.recipient)
        check_throwaway(code, working_set, command.recipient, policy)
    if why is None and any(other.occupies_use for other in theirs):
        why = "address_taken"
    if why is None and code.bound and code.reserved + code.sent_binding > 1:
        why = "bound"
    if why is None and code.bound_to not in {None, recipient_id}:
        why = "kept_binding"
    if why is not None:
        raise RecipientNotCorrectable(why)


def _find_state_obstacle(reservation: Reservation, now: datetime, *, is_by_person: bool) -> str | None:
    if not reservation.is_use:
        return "rebind"
    if reservation.status == "refunded":
        return "refunded"
    if reservation.lease is not None:
        return "leased"
    if reservation.is_waiting_for_removal:
        return "waiting"
    if reservation.accepted_at is not None and (is_by_person or reservation.accepted_via != LINK):
        return "accepted"
    return "ended" if reservation.has_access_ended(now) else None


def _find_staff_only_reason(reservation: Reservation, context: CommandContext, policy: Policy) -> str | None:
    """Return why only staff may correct the address; None if the recipient may."""
    if reservation.corrects is not None:
        return "corrected_before"
    if reservation.is_live and reservation.ever_unknown:
        return "unknown"
    return None if reservation.may_person_correct(context.now, policy.correct_within_s) else "too_late"


def _correction_events(
    command: CorrectRecipient,
    code: RedeemCode,
    reservation: Reservation,
    recipient: tuple[UUID, ReservationFlag | None],
    stamp: EventStamp,
    policy: Policy,
) -> Sequence[Event]:
    """Return the refund, the end of the first access, and the reservation that waits until that access is removed."""
    refund = UseRefunded(
        **stamp.for_reservation(reservation),
        cause="corrected",
        held="reserved" if reservation.is_live else "used",
        text_id=id_of_text(command.note),
        caused_by=reservation.moved_by,
    )
    closed = close_case(reservation, stamp, "corrected", caused_by=code.version + 1)
    ended = end_corrected_access(reservation, command.new_reservation_id, stamp, caused_by=code.version + 1)
    is_removed = any(isinstance(event, AccessRemoved) for event in ended)
    reserved = UseReserved(
        **stamp.fields,
        reservation_id=command.new_reservation_id,
        recipient_id=recipient[0],
        flag=recipient[1],
        deadline=stamp.now + timedelta(seconds=policy.reservation_ttl_s),
        language=reservation.language,
        **keep_terms(UseReserved, reservation, reservation),
        corrects=reservation.reservation_id,
        waits_for=reservation.reservation_id if ended and not is_removed else None,
        caused_by=code.version + 1,
    )
    return [refund, *closed, *ended, reserved]
