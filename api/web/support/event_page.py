"""One event: what it says, as it is stored, what caused it, and what it caused. And why a number is what it is."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.schemas.numbers import IN_DIGITS
from api.use_cases.explain_balance import explanation_of
from api.web.staff_auth.context import Desk
from api.web.staff_auth.form_values import VERSION_MAX, filter_moment_of
from api.web.staff_auth.rendering import language_of, support_page
from api.web.staff_auth.sessions import Staff, SupportRoute, TheDesk, Viewer
from api.web.support.view_models import line_views, note_ids, staff_ids
from domain.events import ReservationEvent
from domain.ports import Language

CAUSED_SHOWN: Final = 25
EXPLAINED_MAX: Final = 50

router = APIRouter(prefix="/support/codes/{code_id}", route_class=SupportRoute)


@router.get("/events/{version}")
async def event_page(
    request: Request,
    desk: TheDesk,
    staff: Viewer,
    code_id: UUID,
    version: Annotated[int, Path(ge=1, le=VERSION_MAX), IN_DIGITS],
) -> Response:
    """The event, and its neighbours in causation."""
    language = language_of(request)
    view = await desk.services.read(lambda: _event(desk, staff, code_id, version, language))
    return support_page(request, "event.html", staff, code_id=code_id, **view)


@router.get("/explain")
async def explain(
    request: Request,
    desk: TheDesk,
    staff: Viewer,
    code_id: UUID,
    as_of: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Each use that counts or is held, by name, and why the others do not."""
    language, moment = language_of(request), filter_moment_of(as_of)

    def look() -> dict[str, Any]:
        now = desk.services.now()
        found = explanation_of(desk.find, code_id, now, language, as_of=moment, most=EXPLAINED_MAX)
        if found is None:
            raise ApplicationError("NOT_FOUND")
        return {"found": found, "hint": desk.find.find_suffix(code_id)}

    view = await desk.services.read(look)
    return support_page(request, "explain.html", staff, code_id=code_id, as_of=moment, **view)


def _event(desk: Desk, staff: Staff, code_id: UUID, version: int, language: Language) -> dict[str, Any]:
    lines = desk.statements.read_entries(code_id, [version])
    if not lines:
        raise ApplicationError("NOT_FOUND")
    event = lines[0].event
    after = desk.find.list_effects(code_id, version, CAUSED_SHOWN + 1)
    around = [*([event.caused_by] if event.caused_by else []), *after[:CAUSED_SHOWN]]
    shown = [*lines, *desk.statements.read_entries(code_id, around)]
    ids = {line.event.reservation_id for line in shown if isinstance(line.event, ReservationEvent)}
    people = desk.staff.find_email_addresses(staff_ids(line.event for line in shown))
    texts = desk.find.read_private_texts(note_ids(lines, replies_too=False)) if staff.may("support") else {}
    views = line_views(
        shown,
        language,
        dict(desk.find.find_email_addresses(list(ids))),
        {str(key): name for key, name in people.items()},
        texts,
    )
    by_version = {view.version: view for view in views[1:]}
    return {
        "line": views[0],
        "head": desk.statements.find_newest_version(code_id),
        "cause": by_version.get(event.caused_by or 0),
        "caused": [by_version[each] for each in after[:CAUSED_SHOWN] if each in by_version],
        "is_more": len(after) > CAUSED_SHOWN,
        "hint": desk.find.find_suffix(code_id),
        "request_id": event.request_id,
    }
