"""Notes of staff: they stand in the history and change nothing."""

from uuid import UUID

from msgspec import Struct

from domain.commands.context import Context, Decision, stamp
from domain.errors import NoSuchCode, ReservationUnknown
from domain.events import CodeNoted, NoteAdded
from domain.ports import TextDraft
from domain.working_set import WorkingSet


class NoteOnCode(Struct, frozen=True, kw_only=True):
    """Write something down about a code. A note with an id that is kept already is the same note, sent twice."""

    context: Context
    code_id: UUID
    note: TextDraft


class NoteOnReservation(Struct, frozen=True, kw_only=True):
    """Write something down about a reservation; otherwise as `NoteOnCode`."""

    context: Context
    reservation_id: UUID
    note: TextDraft


def note_on_code(command: NoteOnCode, book: WorkingSet) -> Decision:
    """Add the note to the code's history, once.

    Raises:
        NoSuchCode: There is no such code.
    """
    code = book.codes.get(command.code_id)
    if code is None:
        raise NoSuchCode
    if book.has_text(command.note.text_id):
        return Decision(code.code_id, ())
    event = CodeNoted(**stamp(command.context, code).fields, text_id=command.note.text_id)
    return Decision(code.code_id, [event])


def note_on_reservation(command: NoteOnReservation, book: WorkingSet) -> Decision:
    """Add the note to the reservation's history, once.

    Raises:
        ReservationUnknown: There is no such reservation.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    if book.has_text(command.note.text_id):
        return Decision(item.code_id, (), item.reservation_id)
    event = NoteAdded(
        **stamp(command.context, book.codes[item.code_id]).fields,
        reservation_id=item.reservation_id,
        text_id=command.note.text_id,
    )
    return Decision(item.code_id, [event], item.reservation_id)
