"""Notes of staff on a code or a reservation, which become part of the history."""

import hashlib
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form
from fastapi.responses import Response

from api.errors import ApplicationError
from api.use_cases import code_actions, reservation_actions
from api.web.forms import request_id_from_nonce
from api.web.rendering import see_other
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, SupportWithForm

NOTE_LENGTH_MAX: Final = 2000

router = APIRouter(prefix="/support", route_class=SupportRoute)


@router.post("/codes/{code_id}/notes")
def note_on_code(
    support: SupportContextDep,
    staff: SupportWithForm,
    code_id: UUID,
    note: Annotated[str, Form()] = "",
    nonce: Annotated[str, Form()] = "",
) -> Response:
    """Add a note to a code."""
    caller = staff.caller(request_id_from_nonce(nonce))
    code_actions.add_note(support.services, caller, code_id, note=_checked(note), note_id=_note_id(nonce))
    return see_other(f"/support/codes/{code_id}?done=note")


@router.post("/reservations/{reservation_id}/notes")
def note_on_reservation(
    support: SupportContextDep,
    staff: SupportWithForm,
    reservation_id: UUID,
    note: Annotated[str, Form()] = "",
    nonce: Annotated[str, Form()] = "",
) -> Response:
    """Add a note to a reservation."""
    caller, note_id = staff.caller(request_id_from_nonce(nonce)), _note_id(nonce)
    reservation_actions.add_note(support.services, caller, reservation_id, note=_checked(note), note_id=note_id)
    return see_other(f"/support/reservations/{reservation_id}?done=note")


def _checked(note: str) -> str:
    """Return the note, trimmed.

    Raises:
        ApplicationError: MALFORMED, it is empty or too long.
    """
    if not 0 < len(note.strip()) <= NOTE_LENGTH_MAX:
        raise ApplicationError("MALFORMED")
    return note.strip()


def _note_id(nonce: str) -> UUID:
    """Return the id of a note by its form, so that a form sent twice adds one note.

    Raises:
        ApplicationError: MALFORMED, the form is not one of ours.
    """
    if not nonce.isalnum():
        raise ApplicationError("MALFORMED")
    return UUID(bytes=hashlib.sha256(b"note\0" + nonce.encode()).digest()[:16], version=4)
