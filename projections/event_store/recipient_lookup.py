"""Whose reservations the rarer commands look at, besides those that they name."""

from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import UUID

from domain.command_bus import Command, ReservationCommand
from domain.commands.access.rebind import RebindReservation, RequestRebind
from domain.commands.code.revoke import ContinueRevocation, RevokeCode
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.reserve import ReserveUse
from domain.commands.reservation.resolve_case import RefundAfterOutage, ResolveReservation
from domain.model.invariants import is_removal_open
from domain.working_set import WorkingSet

LOOKS_AT_MOVES = (RebindReservation, RefundReservation, CorrectRecipient, ResolveReservation, RefundAfterOutage)
"""Commands that would leave a rebind under way with nothing to move, or begin one."""


def recipients_referenced(
    commands: Sequence[Command], targeted: Mapping[UUID, UUID], book: WorkingSet
) -> set[tuple[UUID, UUID]]:
    """Code and person of those to whom a use is corrected, or who ask for a rebind.

    Args:
        commands: Of one batch.
        targeted: The codes of reservations that commands name.
        book: Knows codes and persons by their digests already.
    """
    persons: set[tuple[UUID, UUID]] = set()
    for command in commands:
        if isinstance(command, CorrectRecipient) and command.reservation_id in targeted:
            persons.add((targeted[command.reservation_id], book.recipient_id(command.recipient)))
        elif isinstance(command, RequestRebind) and (code_id := book.code_id(command.code_digests)):
            persons.add((code_id, book.recipient_id(command.recipient)))
    return persons


def reservations_referenced(commands: Sequence[Command]) -> list[UUID]:
    """Reservations that commands are about; a rebind's own too, which is there if its first answer was lost."""
    named = [command.reservation_id for command in commands if isinstance(command, ReservationCommand)]
    return named + [command.new_reservation_id for command in commands if isinstance(command, RebindReservation)]


def tied_to(book: WorkingSet) -> set[UUID]:
    """Reservations on which commands about the loaded ones bear: what rebinds move, and what waits for a removal."""
    moved = {item.follows for item in book.reservations.values() if item.kind == "rebind" and item.follows}
    ended = [item.access for item in book.reservations.values() if is_removal_open(item)]
    return moved | {access.replaced_by for access in ended if access is not None and access.replaced_by is not None}


def may_be_retaken(targets: Sequence[UUID], commands: Sequence[Command], book: WorkingSet) -> list[UUID]:
    """Those of the named reservations whose use is refunded, or may be so by another command of this batch.

    Args:
        targets: Reservations that commands name, each as often as it is named.
        commands: Of one batch; a redeem gives back what is overdue on its code, revoking what is held.
        book: Holds the named reservations.
    """
    asked = Counter(targets)
    freed = {book.code_id(command.code_digests) for command in commands if isinstance(command, ReserveUse)}
    freed |= {command.code_id for command in commands if isinstance(command, RevokeCode | ContinueRevocation)}
    found = (book.reservations[key] for key in asked if key in book.reservations)
    return [
        item.reservation_id
        for item in found
        if item.status == "refunded" or asked[item.reservation_id] > 1 or item.code_id in freed
    ]
