"""Move an access to another group: a rebind. It takes no use, and the access keeps its expiry date.

A rebind is a separate reservation with the same guarantees as one of a use: a deadline, attempts under leases, and a
case if its outcome is unknown. The former access ends only when the new invitation is sent.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, Final
from uuid import UUID

from domain.asks import Asks, Names
from domain.commands.context import CommandContext, Decision, EventStamp, event_stamp, id_of_text
from domain.commands.reads import Reads, ask_for_rebinds, name_reservations, recipients_of
from domain.commands.reservation.settle_due import release_overdue
from domain.errors import (
    CodeIsPaused,
    CodeIsRevoked,
    CodeUnknown,
    CorrectionTokenRequired,
    GrantExpired,
    InvitationsLimited,
    RebindNotPossible,
    RefusalOrder,
    ReservationUnknown,
)
from domain.events.event import STAFF, Event
from domain.events.reservation import RebindReserved
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation, keep_terms
from domain.policy import Policy
from domain.ports import Language, RecipientDraft, TextDraft
from domain.values.group_name import NamesGroup
from domain.values.timestamps import shifted
from domain.working_set import WorkingSet


class RequestRebind(NamesGroup, frozen=True, kw_only=True):
    """A person asks to move their newest access on a code to another group.

    `new_reservation_id` is new and random. `language` is that of the emails. `token_of` is the reservation whose
    correction token the request carried: a person moves the access of that one, or of the rebind that moved it since.
    Operators need none.
    """

    refusals: ClassVar[RefusalOrder] = (
        CodeUnknown,
        CorrectionTokenRequired,
        RebindNotPossible,
        CodeIsRevoked,
        CodeIsPaused,
        GrantExpired,
        InvitationsLimited,
    )

    context: CommandContext
    code_digests: Sequence[bytes]
    recipient: RecipientDraft
    new_reservation_id: UUID
    group: str
    language: Language
    token_of: UUID | None = None


class RebindReservation(NamesGroup, frozen=True, kw_only=True):
    """Staff move the access of one reservation to another group. `note`, the reason, goes to the vault."""

    refusals: ClassVar[RefusalOrder] = (
        ReservationUnknown,
        RebindNotPossible,
        CodeIsRevoked,
        CodeIsPaused,
        GrantExpired,
    )

    context: CommandContext
    reservation_id: UUID
    new_reservation_id: UUID
    group: str
    note: TextDraft | None = None


def _name_in_request(commands: Sequence[RequestRebind], names: Names) -> None:
    names.name_texts([command.code_digests for command in commands])


def _ask_for_request(commands: Sequence[RequestRebind], seen: WorkingSet, asks: Asks) -> None:
    if seen.codes:
        asks.persons.update(
            (code_id, seen.recipient_id(command.recipient))
            for command in commands
            if (code_id := seen.code_id(command.code_digests)) is not None
        )


def _name_both(commands: Sequence[RebindReservation], names: Names) -> None:
    """Name the new reservation, too: it exists if the first answer was lost."""
    name_reservations(commands, names)
    names.reservations.extend(command.new_reservation_id for command in commands)


REQUEST_REBIND_READS: Final[Reads[RequestRebind]] = Reads(
    name=_name_in_request, ask=_ask_for_request, drafts_in=recipients_of
)
REBIND_READS: Final[Reads[RebindReservation]] = Reads(name=_name_both, ask=ask_for_rebinds)


def request_rebind(command: RequestRebind, working_set: WorkingSet, policy: Policy) -> Decision:
    """Return the recipient's own rebind, or begin one.

    Raises:
        Refusal: One of `RequestRebind.refusals`, in that order; the token is checked of persons only.
    """
    code = working_set.find_code(command.code_digests)
    if code is None:
        raise CodeUnknown
    own_reservations = working_set.reservations_of(code.code_id, working_set.recipient_id(command.recipient))
    if command.context.actor not in STAFF:
        own_reservations = [
            reservation for reservation in own_reservations if _is_covered(reservation, command.token_of, working_set)
        ]
        if not own_reservations:
            raise CorrectionTokenRequired
    former = _newest_access(own_reservations, working_set)
    if former is None:
        raise RebindNotPossible("nothing_sent")
    return _begin_rebind(command, code, former, working_set, policy)


def rebind_reservation(command: RebindReservation, working_set: WorkingSet, policy: Policy) -> Decision:
    """Begin to move an access, or return the rebind that moves it already.

    Raises:
        ReservationUnknown: There is no such reservation.
        Refusal: One of `RebindReservation.refusals`, in that order; `why` is nothing_sent, moved (a later
            reservation has the access), same_group, withdrawn (staff revoked it), used_up or too_late; the last two
            bind persons only.
    """
    reservation = working_set.reservation(command.reservation_id)
    code = working_set.codes[reservation.code_id]
    return _begin_rebind(command, code, reservation, working_set, policy, command.note)


def _newest_access(own_reservations: Sequence[Reservation], working_set: WorkingSet) -> Reservation | None:
    """Return the reservation whose access would be moved: the newest active one, else the newest that ended."""
    sent = [
        reservation
        for reservation in own_reservations
        if reservation.status == "sent" and not working_set.has_moved(reservation)
    ]
    active = [reservation for reservation in sent if reservation.has_active_access]
    newest = active or sent
    return newest[-1] if newest else None


def _is_covered(reservation: Reservation, token_of: UUID | None, working_set: WorkingSet) -> bool:
    """Return whether a token's reservation is this one, or one whose access this one has moved.

    Such a chain has no loops.
    """
    current: Reservation | None = reservation
    while current is not None and current.reservation_id != token_of:
        current = None if current.is_use else working_set.followed_by(current)
    return current is not None


def _begin_rebind(
    command: RequestRebind | RebindReservation,
    code: RedeemCode,
    former: Reservation,
    working_set: WorkingSet,
    policy: Policy,
    note: TextDraft | None = None,
) -> Decision:
    if command.new_reservation_id in working_set.reservations:  # this very command began it before its answer was lost
        return Decision(code.code_id, reservation_id=command.new_reservation_id)
    stamp = event_stamp(command.context, code)
    pending_rebinds = [reservation for reservation in working_set.moves(former) if reservation.is_live]
    overdue = [reservation for reservation in pending_rebinds if reservation.is_overdue(stamp.now)]
    if (
        unsettled := next((reservation for reservation in pending_rebinds if reservation not in overdue), None)
    ) is not None:
        return Decision(code.code_id, reservation_id=unsettled.reservation_id)
    if former.kind == "rebind" and former.has_active_access and former.group == command.group:
        return Decision(code.code_id, reservation_id=former.reservation_id)
    _check(command, code, former, working_set, stamp, policy)
    events = [*release_overdue(code, overdue, stamp), _rebind_event(command, former, stamp, policy, note)]
    return Decision(code.code_id, events, command.new_reservation_id, text=note, follow_up="send")


def _check(
    command: RequestRebind | RebindReservation,
    code: RedeemCode,
    former: Reservation,
    working_set: WorkingSet,
    stamp: EventStamp,
    policy: Policy,
) -> None:
    """Raise the first refusal of a rebind."""
    if former.status != "sent":
        raise RebindNotPossible("nothing_sent")
    if working_set.has_moved(former):
        raise RebindNotPossible("moved")
    if former.group == command.group:
        raise RebindNotPossible("same_group")
    if code.is_revoked:
        raise CodeIsRevoked
    if code.is_paused:
        raise CodeIsPaused
    if former.access is not None and former.access.ending == "withdrawn":
        raise RebindNotPossible("withdrawn")
    if former.is_access_over(stamp.now):
        raise GrantExpired
    if command.context.actor not in STAFF:
        _check_bounds(code, former, stamp, policy)


def _check_bounds(code: RedeemCode, former: Reservation, stamp: EventStamp, policy: Policy) -> None:
    """Check the limits for recipients: how often, and how many days after the activation."""
    limit = policy.rebinds_max if code.terms.rebinds_max is None else code.terms.rebinds_max
    if _rebind_count(former) >= limit:
        raise RebindNotPossible("used_up")
    activated_at = former.activated_at
    if activated_at is not None and stamp.now > shifted(activated_at, timedelta(days=policy.rebind_days)):
        raise RebindNotPossible("too_late")


def _rebind_count(reservation: Reservation) -> int:
    return 0 if reservation.access is None else reservation.access.moves


def _rebind_event(
    command: RequestRebind | RebindReservation,
    former: Reservation,
    stamp: EventStamp,
    policy: Policy,
    note: TextDraft | None,
) -> Event:
    """Return the start of a rebind.

    Its deadline is not after the end of the access, so an unsent rebind is refunded by then.
    """
    deadline = stamp.now + timedelta(seconds=policy.reservation_ttl_s)
    if former.access_ends_at is not None:
        deadline = min(deadline, former.access_ends_at)
    return RebindReserved(
        **stamp.fields,
        reservation_id=command.new_reservation_id,
        recipient_id=former.recipient_id,
        deadline=deadline,
        language=command.language if isinstance(command, RequestRebind) else former.language,
        **{**keep_terms(RebindReserved, former, former), "group": command.group},
        follows=former.reservation_id,
        activated_at=former.activated_at,
        moves=_rebind_count(former) + 1,
        text_id=id_of_text(note),
        caused_by=former.moved_by,
    )
