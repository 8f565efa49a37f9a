"""The page of one event: its sentence, its stored form, its cause and its effects; and the explanation of a balance."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.schemas.numbers import IN_DIGITS
from api.schemas.parsing import parse_filter_time, parse_optional
from api.use_cases.explain_balance import explanation_of
from api.web.forms import VERSION_MAX
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, Viewer
from api.web.staff_auth.staff import Staff
from api.web.support.history.proof_page import load_panel
from api.web.support.view_models import build_lines, collect_note_ids, collect_staff_ids
from domain.events import ReservationEvent
from domain.ports import Language

CAUSED_SHOWN: Final = 25
EXPLAINED_MAX: Final = 50

router = APIRouter(prefix="/support/codes/{code_id}", route_class=SupportRoute)


@router.get("/events/{version}")
def show_event(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    code_id: UUID,
    version: Annotated[int, Path(ge=1, le=VERSION_MAX), IN_DIGITS],
) -> Response:
    """Show the event, its cause and its effects."""
    language = get_language(request)
    view = _load_event(support, staff, code_id, version, language)
    return support_page(request, "event.html", staff, code_id=code_id, **view)


@router.get("/explain")
def explain_balance_page(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    code_id: UUID,
    as_of: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Show each use that counts or is reserved, by name, and why the others do not."""
    language, at = get_language(request), parse_optional(parse_filter_time, "as_of", as_of)
    now = support.services.now()
    explanation = explanation_of(support.reader, code_id, now, language, as_of=at, most=EXPLAINED_MAX)
    if explanation is None:
        raise ApplicationError("NOT_FOUND")
    return support_page(
        request,
        "explain.html",
        staff,
        code_id=code_id,
        as_of=at,
        explanation=explanation,
        suffix=support.reader.find_suffix(code_id),
    )


def _load_event(
    support: SupportContext, staff: Staff, code_id: UUID, version: int, language: Language
) -> dict[str, Any]:
    lines = support.statements.read_entries(code_id, [version])
    if not lines:
        raise ApplicationError("NOT_FOUND")
    event = lines[0].event
    caused_versions = support.reader.list_effects(code_id, version, CAUSED_SHOWN + 1)
    neighbors = [*([event.caused_by] if event.caused_by else []), *caused_versions[:CAUSED_SHOWN]]
    entries = [*lines, *support.statements.read_entries(code_id, neighbors)]
    ids = {line.event.reservation_id for line in entries if isinstance(line.event, ReservationEvent)}
    people = support.sessions.find_email_addresses(collect_staff_ids(line.event for line in entries))
    texts = (
        support.reader.read_private_texts(collect_note_ids(lines, with_replies=False))
        if staff.has_role("support")
        else {}
    )
    views = build_lines(
        entries,
        language,
        dict(support.reader.find_email_addresses(list(ids))),
        {str(key): name for key, name in people.items()},
        texts,
    )
    by_version = {view.version: view for view in views[1:]}
    return {
        "line": views[0],
        "proof": load_panel(support, code_id),
        "head": support.statements.find_newest_version(code_id),
        "cause": by_version.get(event.caused_by or 0),
        "caused": [
            by_version[version_caused]
            for version_caused in caused_versions[:CAUSED_SHOWN]
            if version_caused in by_version
        ],
        "is_more": len(caused_versions) > CAUSED_SHOWN,
        "suffix": support.reader.find_suffix(code_id),
        "request_id": event.request_id,
    }
