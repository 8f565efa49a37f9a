"""Whose reservations the rarer commands look at, besides those that they name."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from domain.book import Book
from domain.deciding import Command, ReservationCommand
from domain.decisions.correct import CorrectRecipient
from domain.decisions.rebind import RebindReservation, RequestRebind
from domain.decisions.refund import RefundReservation
from domain.decisions.resolve import RefundAfterOutage, ResolveReservation

LOOKS_AT_MOVES = (RebindReservation, RefundReservation, CorrectRecipient, ResolveReservation, RefundAfterOutage)
"""Commands that would leave a rebind under way with nothing to move, or begin one."""


def persons_named(commands: Sequence[Command], targeted: Mapping[UUID, UUID], book: Book) -> set[tuple[UUID, UUID]]:
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


def reservations_named(commands: Sequence[Command]) -> list[UUID]:
    """Reservations that commands are about; a rebind's own too, which is there if its first answer was lost."""
    named = [command.reservation_id for command in commands if isinstance(command, ReservationCommand)]
    return named + [command.new_reservation_id for command in commands if isinstance(command, RebindReservation)]
