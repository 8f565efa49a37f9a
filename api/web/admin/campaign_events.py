"""What the numbers of a campaign follow from: its balance over time, its uses, and its events with their proofs."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.blocking_route import heavy_read
from api.http.pagination import Page
from api.schemas.parsing import parse_filter_time, parse_optional
from api.use_cases.past_states.campaign_history import explain_campaign
from api.web.admin.context import AdminContext, AdminContextDep
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import SupportRoute, Viewer
from api.web.staff_auth.staff import Staff
from api.web.support.event_page import EventVersion, load_event
from api.web.support.history.balance_chart import BalanceChart
from api.web.support.history.balance_page import load_chart, render_balance
from api.web.support.history.folding import PageLines, complete_last_run
from api.web.support.history.proof_page import ProofVersions, render_proofs
from api.web.support.history.time_axis import SCALE_LENGTH_MAX
from api.web.support.view_models import EventLine, ShownStream, build_lines
from domain.model.campaign import Campaign
from domain.ports import Language
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.stream_entry import Entry

EVENTS_PER_PAGE: Final = 15
EXPLAINED_MAX: Final = 50

router = APIRouter(prefix="/admin/campaigns/{campaign_id}", route_class=SupportRoute)


@router.get("/balance")
def show_balance(
    request: Request,
    admin: AdminContextDep,
    staff: Viewer,
    campaign_id: UUID,
    scale: Annotated[str, Query(max_length=SCALE_LENGTH_MAX)] = "",
) -> Response:
    """Show the chart of a campaign and its numbers."""
    campaign = CampaignReader(admin.services.storage).find_campaign_state(campaign_id)
    if campaign is None or not campaign.counts_uses:
        raise ApplicationError("NOT_FOUND")
    now = admin.services.now()
    return render_balance(request, staff, admin.campaign_histories, ShownStream.of_campaign(campaign), now, scale)


@router.get("/explain")
@heavy_read()
def explain_uses(
    request: Request,
    admin: AdminContextDep,
    staff: Viewer,
    campaign_id: UUID,
    as_of: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Show what makes each number, the terms, and each use that counts with its code and its reservation."""
    at, reader = parse_optional(parse_filter_time, "as_of", as_of), CampaignReader(admin.services.storage)
    now, language = admin.services.now(), get_language(request)
    campaign = reader.find_campaign_state(campaign_id)
    explanation = explain_campaign(
        admin.campaign_histories, reader, campaign_id, now, language, as_of=at, most=EXPLAINED_MAX
    )
    if explanation is None or campaign is None:
        raise ApplicationError("NOT_FOUND")
    return support_page(
        request,
        "campaign_explain.html",
        staff,
        show=ShownStream.of_campaign(campaign),
        as_of=at,
        explanation=explanation,
        suffixes=admin.find_suffixes([use.code_id for use in explanation.uses]),
    )


@router.get("/events/{version}")
def show_campaign_event(
    request: Request, admin: AdminContextDep, staff: Viewer, campaign_id: UUID, version: EventVersion
) -> Response:
    """Show one event of a campaign in its stored form, with its proof and what was used after it."""
    entries = list(admin.campaign_histories.read_page(campaign_id, version - 1, 1))
    if not entries:
        raise ApplicationError("NOT_FOUND")
    show, (line,) = ShownStream.of_campaign(entries[0].state), list_lines(admin, staff, entries, get_language(request))
    view = load_event(admin.support, admin.campaign_histories, show, line)
    return support_page(request, "campaign_event.html", staff, **view)


@router.get("/proofs")
def list_campaign_proofs(
    admin: AdminContextDep, _: Viewer, campaign_id: UUID, versions: ProofVersions = "0"
) -> Response:
    """Return the proofs of some events of a campaign, which the browser checks."""
    return render_proofs(admin.support, campaign_id, versions)


def load_campaign_chart(
    admin: AdminContext, campaign: Campaign | None, *, is_true_scale: bool | None, at: datetime
) -> BalanceChart | None:
    """Draw the balance of a campaign with the cursor at a time; None if no use of it was ever counted."""
    if campaign is None or not campaign.counts_uses:
        return None
    histories, now = admin.campaign_histories, admin.services.now()
    chart = load_chart(histories, campaign.campaign_id, now, is_true_scale=is_true_scale, at=at)
    return chart if any(step.sample.used for step in chart.steps) else None


def page_lines(
    admin: AdminContext, staff: Staff, campaign_id: UUID, until: int, language: Language
) -> PageLines[Campaign]:
    """Return a page of events up to a version, newest first; the next page is up to the version that it names."""

    def read(until: int, limit: int) -> PageLines[Campaign]:
        after = max(0, until - limit - 1)
        entries = list(admin.campaign_histories.read_page(campaign_id, after, until - after))
        page = Page.of(list_lines(admin, staff, entries[::-1], language), limit, find_place)
        return PageLines(page.rows, page.next)

    def find_place(line: EventLine[Campaign]) -> int:
        return line.version - 1

    return complete_last_run(read(until, EVENTS_PER_PAGE), read, find_place)


def list_lines(
    admin: AdminContext, staff: Staff, entries: list[Entry[Campaign]], language: Language
) -> list[EventLine[Campaign]]:
    """Return lines of events, in their order, each with its code."""
    named = (getattr(entry.event, "code_id", None) for entry in entries)
    code_ids = {code_id for code_id in named if code_id is not None}
    return build_lines(admin.support, staff, entries, language, suffixes=admin.find_suffixes(list(code_ids)))
