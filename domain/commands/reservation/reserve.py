"""Reserve a use: the answer to a redeem request.

The recipient's own pending or sent reservation comes before every rule about the code's state (rule 1); the order of
the rules is `ReserveUse.refusals`. Nothing depends on the sweep: overdue reservations that block the request are
refunded in the same commit.
"""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Final
from uuid import UUID

from msgspec import Struct

from domain.asks import Asks, Names
from domain.commands.campaign.campaign_limits import (
    check_campaign_is_open,
    check_campaign_limits,
    check_domain,
    check_throwaway,
    find_flag,
)
from domain.commands.context import CommandContext, Decision, EventStamp, event_stamp
from domain.commands.invitation_limits import find_hidden_answer
from domain.commands.reads import Reads, ask_for_drafts, recipients_of
from domain.commands.reservation.settle_due import (
    expire_lease,
    is_released_by_revocation,
    release_on_revocation,
    release_overdue,
)
from domain.errors import (
    AddressUndeliverable,
    CampaignDayLimitReached,
    CampaignExhausted,
    CampaignHasEnded,
    CampaignHeld,
    CampaignIsPaused,
    CampaignNotStarted,
    CodeExhausted,
    CodeExpired,
    CodeHeld,
    CodeIsPaused,
    CodeIsRevoked,
    CodeNotStarted,
    CodeUnknown,
    DomainNotAllowed,
    EmailMismatch,
    FollowedReservationUnknown,
    IdempotencyKeyReused,
    InvitationsLimited,
    PersonLimitReached,
    RefusalOrder,
    ThrowawayAddress,
)
from domain.events.reservation import UseReserved
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation, keep_terms
from domain.policy import Policy
from domain.ports import Language, RecipientDraft
from domain.working_set import WorkingSet
from domain.writes import IdempotencyKey, RememberedKey


class ReserveUse(Struct, frozen=True, kw_only=True):
    """Reserve one use of a code for one recipient.

    `reservation_id` is new and random. `group`, if given, must be the code's own.
    """

    refusals: ClassVar[RefusalOrder] = (
        CodeUnknown,
        IdempotencyKeyReused,
        FollowedReservationUnknown,
        CodeIsRevoked,
        CodeIsPaused,
        CodeExpired,
        CodeNotStarted,
        CampaignNotStarted,
        CampaignHasEnded,
        CampaignIsPaused,
        DomainNotAllowed,
        ThrowawayAddress,
        EmailMismatch,
        CodeHeld,
        CodeExhausted,
        CampaignHeld,
        CampaignExhausted,
        CampaignDayLimitReached,
        PersonLimitReached,
        AddressUndeliverable,
        InvitationsLimited,
    )

    context: CommandContext
    code_digests: Sequence[bytes]
    recipient: RecipientDraft
    reservation_id: UUID
    language: Language
    again: UUID | None = None
    key: IdempotencyKey | None = None
    group: str | None = None


def _name(commands: Sequence[ReserveUse], names: Names) -> None:
    names.name_texts([command.code_digests for command in commands])


def _ask(commands: Sequence[ReserveUse], seen: WorkingSet, asks: Asks) -> None:
    again = {command.again for command in commands if command.again is not None}
    asks.reservations_by_id |= again
    asks.followers |= again
    asks.keys.update(key.scope_digest for command in commands if command.key for key in command.key.spellings())
    asks.reservations_by_id.update(remembered.reservation_id for remembered in seen.remembered.values())
    if not seen.codes:
        return
    for digests, count in Counter(tuple(command.code_digests) for command in commands).items():
        if (code_id := seen.code_id(digests)) is not None:
            asks.redeems[code_id] = asks.redeems.get(code_id, 0) + count
    asks.freed |= asks.redeems.keys()
    asks.awaited |= asks.redeems.keys()
    if any(campaign.counts_by_mailbox for campaign in seen.campaigns.values()):
        ask_for_drafts(commands, [seen.code_id(command.code_digests) for command in commands], seen, asks)
    closed = {code_id for code_id in asks.redeems if _refuses_new(code_id, commands[-1].context.now, seen)}
    known_digests = seen.recipient_ids.keys()
    if closed or known_digests:
        persons = {
            (code_id, seen.recipient_id(command.recipient))
            for command in commands
            if (code_id := seen.code_id(command.code_digests)) is not None
            and (code_id in closed or not known_digests.isdisjoint(command.recipient.digests))
        }
        asks.persons |= persons
        asks.suppressions.update(recipient_id for _, recipient_id in persons)


def _refuses_new(code_id: UUID, now: datetime, seen: WorkingSet) -> bool:
    """Return whether a new recipient is refused by the code or its campaign in any case.

    Then the same is read as for a known recipient: a refusal is free, so its time must not tell the two apart.
    """
    if (code := seen.codes.get(code_id)) is None:
        return False
    campaign = None if code.campaign_id is None else seen.campaigns[code.campaign_id]
    return (
        code.state(now) != "active"
        or code.is_bound_to_another(None)
        or (campaign is not None and campaign.state(now) != "active")
    )


def _code_text_of(command: ReserveUse) -> Sequence[bytes]:
    return command.code_digests


RESERVE_READS: Final[Reads[ReserveUse]] = Reads(
    name=_name, ask=_ask, drafts_in=recipients_of, code_text_of=_code_text_of
)


def reserve_use(command: ReserveUse, working_set: WorkingSet, policy: Policy) -> Decision:
    """Return the recipient's own reservation, or reserve a new use.

    Raises:
        Refusal: One of `ReserveUse.refusals`, in that order.
    """
    code = working_set.find_code(command.code_digests)
    if code is None or command.group not in {None, code.terms.group}:
        raise CodeUnknown
    if (remembered := _find_remembered_result(command, code, working_set)) is not None:
        return Decision(code.code_id, reservation_id=remembered, key=command.key)
    if command.reservation_id in working_set.reservations:  # this very command made it before its answer was lost
        return Decision(code.code_id, reservation_id=command.reservation_id, key=command.key)

    stamp = event_stamp(command.context, code, not_before=working_set.find_count_start(code))
    recipient_id = working_set.recipient_id(command.recipient)
    own_reservations = [
        reservation for reservation in working_set.reservations_of(code.code_id, recipient_id) if reservation.is_use
    ]
    follows, existing = _find_existing_reservation(command, code, own_reservations, stamp)
    hidden = None if existing is None else find_hidden_answer(command.context)
    if hidden is not None:  # decided as for a recipient without reservations
        recipient_id, own_reservations = command.reservation_id, []
    elif existing is not None:
        lapse_events = expire_lease(code, existing, stamp, policy)
        return Decision(code.code_id, lapse_events, existing.reservation_id, key=command.key)

    if code.is_revoked:
        return _reject_as_revoked(code, own_reservations, stamp)
    _check_code_is_open(code, stamp)
    check_campaign_is_open(code, working_set, stamp.now)
    check_domain(code, working_set, command.recipient)
    check_throwaway(code, working_set, command.recipient, policy)
    to_release, refusal = _select_overdue_to_release(code, recipient_id, own_reservations, working_set, stamp, policy)
    if refusal is not None:
        return Decision(code.code_id, release_overdue(code, to_release, stamp), refusal=refusal)
    check_campaign_limits(code, working_set, (recipient_id, command.recipient), stamp.now, policy, freed=to_release)
    if (suppression := working_set.find_suppression(recipient_id, code.terms.group)) is not None:
        raise AddressUndeliverable(suppression.cause)
    if hidden is not None:
        raise hidden
    campaign = None if code.campaign_id is None else working_set.campaigns[code.campaign_id].terms
    event = UseReserved(
        **stamp.fields,
        reservation_id=command.reservation_id,
        recipient_id=recipient_id,
        deadline=stamp.now + timedelta(seconds=policy.reservation_ttl_s),
        language=command.language,
        **keep_terms(UseReserved, code.terms, campaign),
        follows=follows,
        flag=find_flag(code, working_set, command.recipient, policy),
    )
    return Decision(
        code.code_id,
        [*release_overdue(code, to_release, stamp), event],
        command.reservation_id,
        recipients=(command.recipient,),
        key=command.key,
        follow_up="send",
    )


def _find_remembered_result(command: ReserveUse, code: RedeemCode, working_set: WorkingSet) -> UUID | None:
    """Return the reservation that the same key and the same body led to before."""
    keys = () if command.key is None else command.key.spellings()
    remembered = next(
        (working_set.remembered[key.scope_digest] for key in keys if key.scope_digest in working_set.remembered), None
    )
    if remembered is None:
        return None
    if remembered.body_digest not in {key.body_digest for key in keys} and not _is_repeat_of(
        command, code, remembered, working_set
    ):
        raise IdempotencyKeyReused
    return remembered.reservation_id


def _is_repeat_of(command: ReserveUse, code: RedeemCode, remembered: RememberedKey, working_set: WorkingSet) -> bool:
    """Return whether a stored reservation is what the command asks for: the same code, recipient and `again`.

    It recognizes a repeat if the digest of the first body was made under a pepper that is no longer in the keyring.
    """
    reservation = working_set.reservations.get(remembered.reservation_id)
    if reservation is None or reservation.code_id != code.code_id:
        return False
    return (
        reservation.recipient_id == working_set.recipient_id(command.recipient) and reservation.follows == command.again
    )


def _find_existing_reservation(
    command: ReserveUse, code: RedeemCode, own_reservations: Sequence[Reservation], stamp: EventStamp
) -> tuple[UUID | None, Reservation | None]:
    """Return the sent reservation that a new one would follow, and the result if there is one already."""
    if not own_reservations and command.again is None:
        return None, None
    active = [
        reservation
        for reservation in own_reservations
        if reservation.occupies_use and not _awaits_release(reservation, code, stamp)
    ]
    if command.again is not None:
        followed = next(
            (reservation for reservation in own_reservations if reservation.reservation_id == command.again), None
        )
        if followed is None:
            raise FollowedReservationUnknown
        if followed.status == "sent":
            follower = next(
                (reservation for reservation in active if reservation.follows == followed.reservation_id), None
            )
            return followed.reservation_id, follower
    live = [reservation for reservation in active if reservation.is_live]
    sent = [reservation for reservation in active if not reservation.is_live]
    return None, live[-1] if live else sent[-1] if sent else None


def _awaits_release(reservation: Reservation, code: RedeemCode, stamp: EventStamp) -> bool:
    """Return whether the reservation only waits for a command that refunds it."""
    return reservation.is_overdue(stamp.now) or (
        code.is_revoked and is_released_by_revocation(reservation) and not reservation.ever_unknown
    )


def _check_code_is_open(code: RedeemCode, stamp: EventStamp) -> None:
    """Check that a code takes reservations.

    Raises:
        CodeIsPaused, CodeExpired, CodeNotStarted: It does not.
    """
    if code.is_paused:
        raise CodeIsPaused
    if code.is_expired(stamp.now):
        raise CodeExpired
    if (starts_at := code.terms.starts_at) is not None and not code.has_started(stamp.now):
        raise CodeNotStarted(starts_at, retry_after_s=_seconds_until(starts_at, stamp))


def _reject_as_revoked(code: RedeemCode, own_reservations: Sequence[Reservation], stamp: EventStamp) -> Decision:
    """Refuse because the code is revoked; refund the recipient's own reservation if that is still to be done."""
    awaiting_release = [reservation for reservation in own_reservations if _awaits_release(reservation, code, stamp)]
    events = [
        event for reservation in awaiting_release for event in release_on_revocation(code, reservation, stamp, None)
    ]
    return Decision(code.code_id, events, refusal=CodeIsRevoked())


def _select_overdue_to_release(
    code: RedeemCode,
    recipient_id: UUID,
    own_reservations: Sequence[Reservation],
    working_set: WorkingSet,
    stamp: EventStamp,
    policy: Policy,
) -> tuple[list[Reservation], CodeHeld | None]:
    """Return the overdue reservations to refund first: the recipient's own, and those that block the request.

    The refusal is that of a code so far over its limit that refunding all that were loaded is not enough. They are
    refunded all the same, so that repeated requests reach the rest.

    Raises:
        EmailMismatch, CodeHeld, CodeExhausted: Refunding all of them would not be enough.
    """
    to_release = [reservation for reservation in own_reservations if reservation.is_overdue(stamp.now)]
    if code.bound_to is not None and code.bound_to != recipient_id:
        raise EmailMismatch
    if code.bound and code.owner_id not in {None, recipient_id}:
        if code.sent_binding:
            raise EmailMismatch
        to_release = working_set.overdue(code.code_id, stamp.now)[: policy.overdue_per_command]
        if len(to_release) < code.reserved:
            raise _code_held_error(code, working_set, stamp, policy)
    if code.available is None or (missing := 1 - code.available - len(to_release)) <= 0:
        return to_release, None
    overdue = working_set.overdue(code.code_id, stamp.now)
    others = [reservation for reservation in overdue if reservation not in to_release][:missing]
    if len(others) == missing:
        return [*to_release, *others], None
    if not code.is_held:
        raise CodeExhausted
    return [*to_release, *others], _code_held_error(code, working_set, stamp, policy)


def _code_held_error(code: RedeemCode, working_set: WorkingSet, stamp: EventStamp, policy: Policy) -> CodeHeld:
    """Return the refusal while pending reservations hold the code.

    Retry at the earliest deadline ahead, else after one lifetime.
    """
    ahead = working_set.earliest_deadline(code.code_id, stamp.now)
    if ahead is None:
        return CodeHeld(retry_after_s=policy.reservation_ttl_s)
    return CodeHeld(retry_after_s=_seconds_until(ahead, stamp))


def _seconds_until(ahead: datetime, stamp: EventStamp) -> int:
    """Return the whole seconds until a time ahead, rounded up, so that a retry after them is not too early."""
    return max(1, math.ceil((ahead - stamp.now).total_seconds()))
