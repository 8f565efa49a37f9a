"""Pages that prove the number of a campaign: its uses one by one, and one event as stored; and proofs of its events."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.blocking_route import heavy_read
from api.schemas.numbers import IN_DIGITS
from api.schemas.parsing import parse_filter_time, parse_optional
from api.use_cases.past_states.campaign_history import explain_campaign
from api.web.admin.campaign_evidence.campaign_lines import list_lines
from api.web.admin.context import AdminContextDep, admin_page
from api.web.forms import VERSION_MAX
from api.web.staff_auth.rendering import get_language
from api.web.staff_auth.sessions import SupportRoute, Viewer
from api.web.support.history.proof_page import ProofVersions, load_panel, render_proofs
from api.web.support.view_models import dump_event
from projections.read_models.campaign_list import CampaignReader

EXPLAINED_MAX: Final = 50

router = APIRouter(prefix="/admin/campaigns/{campaign_id}", route_class=SupportRoute)


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
    texts = admin.codes.find_texts([use.code_id for use in explanation.uses], clear=False)
    return admin_page(
        request,
        "campaign_explain.html",
        staff,
        campaign_id=campaign_id,
        name=campaign.terms.name,
        as_of=at,
        explanation=explanation,
        suffixes={code_id: text.suffix for code_id, text in texts.items()},
    )


@router.get("/events/{version}")
def show_campaign_event(
    request: Request,
    admin: AdminContextDep,
    staff: Viewer,
    campaign_id: UUID,
    version: Annotated[int, Path(ge=1, le=VERSION_MAX), IN_DIGITS],
) -> Response:
    """Show one event of a campaign in its stored form, with its proof and what was used after it."""
    entries = list(admin.campaign_histories.read_page(campaign_id, version - 1, 1))
    if not entries:
        raise ApplicationError("NOT_FOUND")
    entry = entries[0]
    return admin_page(
        request,
        "campaign_event.html",
        staff,
        campaign_id=campaign_id,
        campaign=entry.state,
        line=list_lines(admin, entries, get_language(request))[0],
        event=entry.event,
        raw=dump_event(entry),
        head=admin.campaign_histories.find_newest_version(campaign_id),
        proof=load_panel(admin.support, f"/admin/campaigns/{campaign_id}"),
    )


@router.get("/proofs")
def list_campaign_proofs(
    admin: AdminContextDep, _: Viewer, campaign_id: UUID, versions: ProofVersions = "0"
) -> Response:
    """Return the proofs of some events of a campaign, which the browser checks."""
    return render_proofs(admin.support, campaign_id, versions)
