"""The page of one reservation: its story, what may be done about it, and a reply to copy."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.i18n.catalogs import LANGUAGES
from api.web.staff_auth.context import Desk
from api.web.staff_auth.rendering import language_of, support_page
from api.web.staff_auth.sessions import Staff, SupportRoute, TheDesk, Viewer, new_nonce
from api.web.support.actions.commands import (
    DONE,
    DONE_LENGTH_MAX,
    ActionForm,
    Ask,
    acts_of,
    reservation_command,
    text_key,
)
from api.web.support.actions.notes import NOTE_LENGTH_MAX
from api.web.support.actions.preview import Preview, glance
from api.web.support.actions.unmask import unmasked_until
from api.web.support.reply_text import reply
from api.web.support.view_models import line_views, masked, note_ids, staff_ids
from domain.commands.context import CommandContext
from domain.events import CaseOpened, UseRefunded, UseReserved
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.ports import Language
from projections.read_models.statements import StatementEntry

SOMEBODY = "somebody-else@example.invalid"
SOMEWHERE = "another group"
"""An address that nobody has: whether a recipient could be corrected at all does not depend on to whom."""

TO_THE_SAME: Final = frozenset({"resend", "rebind"})
"""Acts that write to the same address once more, which is of no use once its person was forgotten."""

BETWEEN_MAX: Final = 4
"""Events after a correction: CaseClosed, AccessCorrected, AccessRemoved and UseReserved follow its refund."""

router = APIRouter(prefix="/support/reservations/{reservation_id}", route_class=SupportRoute)


@router.get("")
async def reservation_page(
    request: Request,
    desk: TheDesk,
    staff: Viewer,
    reservation_id: UUID,
    done: Annotated[str, Query(max_length=DONE_LENGTH_MAX)] = "",
) -> Response:
    """The story of one reservation, its acts, and a reply to copy."""
    language = language_of(request)
    view = await desk.services.read(lambda: _view(desk, staff, reservation_id, language))
    return support_page(
        request,
        "reservation.html",
        staff,
        done=done if done in DONE else None,
        nonce=new_nonce(),
        note_length_max=NOTE_LENGTH_MAX,
        **view,
    )


def found_reservation(desk: Desk, reservation_id: UUID) -> tuple[Reservation, RedeemCode]:
    """A reservation and its code as they stand.

    Raises:
        ApplicationError: NOT_FOUND.
    """
    item = desk.find.find_reservation(reservation_id)
    code = (
        None
        if item is None
        else desk.statements.find_code_at(item.code_id, desk.statements.find_newest_version(item.code_id))
    )
    if item is None or code is None:
        raise ApplicationError("NOT_FOUND")
    return item, code


def _view(desk: Desk, staff: Staff, reservation_id: UUID, language: Language) -> dict[str, Any]:
    item, code = found_reservation(desk, reservation_id)
    now = desk.services.now()
    lines = desk.statements.read_entries(item.code_id, item.versions)
    shown_until = unmasked_until(desk, staff, "unmasked_email", reservation_id, now)
    address = desk.find.find_email_addresses([reservation_id]).get(reservation_id)
    ids = note_ids(lines, replies_too=shown_until is not None) if staff.may("support") else []
    people = desk.staff.find_email_addresses(staff_ids(line.event for line in lines))
    names = {str(key): name for key, name in people.items()}
    hint = desk.find.find_suffix(item.code_id)
    return {
        "item": item,
        "state": item.public_state,
        "code": code,
        "hint": hint,
        "case": _case(item, lines),
        "address": address if shown_until else masked(address),
        "shown_until": shown_until,
        "lines": line_views(lines, language, {reservation_id: address}, names, desk.find.read_private_texts(ids)),
        "acts": [each for each in _offered(desk, item, code, language) if address or each.act not in TO_THE_SAME],
        "words": {act: text_key(act, item) for act in acts_of(item)},
        "corrected_by": _correction(desk, item, lines),
        "replies": {each: reply(item, hint, each) for each in LANGUAGES},
    }


def _case(item: Reservation, lines: list[StatementEntry]) -> CaseOpened | None:
    """The case that waits for a decision, if there is one."""
    opened = (line.event for line in reversed(lines) if isinstance(line.event, CaseOpened))
    return next((event for event in opened if event.case_id == item.case_id), None)


def _correction(desk: Desk, item: Reservation, lines: list[StatementEntry]) -> UUID | None:
    """The reservation to which the use moved: opened in the same append, after the ends of a case and of an access."""
    at = [line.version for line in lines if isinstance(line.event, UseRefunded) and line.event.cause == "corrected"]
    following = desk.statements.read_entries(item.code_id, range(at[-1] + 1, at[-1] + 1 + BETWEEN_MAX)) if at else []
    opened = [line.event for line in following if isinstance(line.event, UseReserved)]
    return next((event.reservation_id for event in opened if event.corrects == item.reservation_id), None)


def _offered(desk: Desk, item: Reservation, code: RedeemCode, language: Language) -> list[Preview]:
    services = desk.services
    ask = Ask(CommandContext(now=services.now(), actor="staff"), services.storage.vault, services.new_id)
    form = ActionForm(email=SOMEBODY, group=SOMEWHERE)
    return [
        glance(desk, act, reservation_command(act, item.reservation_id, form, ask), code, item, language)
        for act in acts_of(item)
    ]
