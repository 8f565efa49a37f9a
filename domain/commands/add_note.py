"""Notes of staff: they appear in the history and change no state."""

from collections.abc import Sequence
from typing import ClassVar, Final
from uuid import UUID

from msgspec import Struct

from domain.asks import Asks
from domain.commands.context import CommandContext, Decision, event_stamp
from domain.commands.reads import Reads, name_codes, name_reservations
from domain.errors import NoSuchCode, RefusalOrder, ReservationUnknown
from domain.events.code import CodeNoted
from domain.events.reservation import NoteAdded
from domain.ports import TextDraft
from domain.working_set import WorkingSet


class NoteOnCode(Struct, frozen=True, kw_only=True):
    """A note about a code. A note whose id is stored already is the same note, sent twice."""

    refusals: ClassVar[RefusalOrder] = (NoSuchCode,)

    context: CommandContext
    code_id: UUID
    note: TextDraft


class NoteOnReservation(Struct, frozen=True, kw_only=True):
    """A note about a reservation. A note whose id is stored already is the same note, sent twice."""

    refusals: ClassVar[RefusalOrder] = (ReservationUnknown,)

    context: CommandContext
    reservation_id: UUID
    note: TextDraft


def _ask(commands: Sequence[NoteOnCode | NoteOnReservation], _seen: WorkingSet, asks: Asks) -> None:
    asks.texts.update(command.note.text_id for command in commands)


CODE_NOTE_READS: Final[Reads[NoteOnCode]] = Reads(name=name_codes, ask=_ask)
RESERVATION_NOTE_READS: Final[Reads[NoteOnReservation]] = Reads(name=name_reservations, ask=_ask)


def note_on_code(command: NoteOnCode, working_set: WorkingSet) -> Decision:
    """Add the note to the code's history, once.

    Raises:
        NoSuchCode: There is no such code.
    """
    code = working_set.code(command.code_id)
    if working_set.has_text(command.note.text_id):
        return Decision(code.code_id)
    event = CodeNoted(**event_stamp(command.context, code).fields, text_id=command.note.text_id)
    return Decision(code.code_id, [event], text=command.note)


def note_on_reservation(command: NoteOnReservation, working_set: WorkingSet) -> Decision:
    """Add the note to the reservation's history, once.

    Raises:
        ReservationUnknown: There is no such reservation.
    """
    reservation = working_set.reservation(command.reservation_id)
    if working_set.has_text(command.note.text_id):
        return Decision(reservation.code_id, reservation_id=reservation.reservation_id)
    event = NoteAdded(
        **event_stamp(command.context, working_set.codes[reservation.code_id]).for_reservation(reservation),
        text_id=command.note.text_id,
    )
    return Decision(reservation.code_id, [event], reservation.reservation_id, text=command.note)
