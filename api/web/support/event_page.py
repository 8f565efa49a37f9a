"""The page of one event: its sentence, its stored form, its cause and its effects; and the explanation of a balance."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.blocking_route import heavy_read
from api.schemas.numbers import IN_DIGITS
from api.schemas.parsing import parse_filter_time, parse_optional
from api.use_cases.explain_balance import explanation_of
from api.use_cases.past_states.causes import find_causes
from api.web.forms import VERSION_MAX
from api.web.masking import mask_if_known
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, Viewer
from api.web.staff_auth.staff import Staff
from api.web.support.history.cause_rows import build_cause_rows
from api.web.support.history.cause_tracks import draw_tracks
from api.web.support.history.proof_page import load_panel
from api.web.support.view_models import EventLine, ShownStream, build_lines, name_event_kind
from domain.ports import Language
from projections.event_store.snapshots import StreamState
from projections.read_models.statements import HistoryReader

EXPLAINED_MAX: Final = 50
EventVersion = Annotated[int, Path(ge=1, le=VERSION_MAX), IN_DIGITS]

router = APIRouter(prefix="/support/codes/{code_id}", route_class=SupportRoute)


@router.get("/events/{version}")
def show_event(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    code_id: UUID,
    version: EventVersion,
) -> Response:
    """Show the event, its cause and its effects."""
    view = _load_code_event(support, staff, code_id, version, get_language(request))
    return support_page(request, "event.html", staff, **view)


@router.get("/explain")
@heavy_read()
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
    shown = [*explanation.uses, *explanation.held, *explanation.not_counted]
    addresses = support.reader.find_email_addresses([each.reservation_id for each in shown])
    return support_page(
        request,
        "explain.html",
        staff,
        show=ShownStream.of_code(code_id, support.reader.find_suffix(code_id), language),
        as_of=at,
        explanation=explanation,
        addresses={reservation_id: mask_if_known(address) for reservation_id, address in addresses.items()},
    )


def load_event(
    support: SupportContext, histories: HistoryReader[StreamState], show: ShownStream, line: EventLine[StreamState]
) -> dict[str, Any]:
    """Return what the page of an event of a code or campaign shows: the event, its neighbors and its proof."""
    head, proof = histories.find_newest_version(show.stream_id), load_panel(support, show.path)
    return {"show": show, "line": line, "head": head, "proof": proof}


def _load_code_event(
    support: SupportContext, staff: Staff, code_id: UUID, version: int, language: Language
) -> dict[str, Any]:
    entries = support.statements.read_entries(code_id, [version])
    graph = find_causes(support.reader, support.statements, code_id, version)
    if not entries or graph is None:
        raise ApplicationError("NOT_FOUND")
    ids = {key for each in graph.events.values() if (key := each.named_reservation) is not None}
    addresses: dict[UUID, str | None] = dict(support.reader.find_email_addresses(list(ids)))
    campaign_name = support.reader.find_campaign_name(code_id)
    (line,) = build_lines(support, staff, entries, language, addresses=addresses, campaign_name=campaign_name)
    drawing = draw_tracks(list(graph.events), graph.links)
    show = ShownStream.of_code(code_id, support.reader.find_suffix(code_id), language)
    return {
        **load_event(support, support.statements, show, line),
        "kind": name_event_kind(type(line.event).__name__, language),
        "link": f"{support.services.settings.public_url.rstrip('/')}{show.path}/events/{version}",
        "rows": build_cause_rows(graph, drawing, addresses, language, campaign_name),
        "width": drawing.width,
        "has_cause": any(each.effect == version for each in graph.links),
        "has_effect": any(each.cause == version for each in graph.links),
        "is_more": graph.is_more,
        "companions": graph.companions,
        "has_more_companions": graph.has_more_companions,
    }
