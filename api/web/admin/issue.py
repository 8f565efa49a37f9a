"""The start page of the admin console: the form that issues codes, and the newest batches."""

import re
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.schemas.code_terms import TERMS
from api.schemas.parsing import SEVERAL_LINES, parse_id
from api.use_cases.administration.batches import start_batch
from api.use_cases.campaign_actions import apply_defaults, list_code_defaults
from api.use_cases.issue_codes import CodeTemplate
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.admin.new_group import ask_about_new_group
from api.web.forms import NOTE_LENGTH_MAX, FormDep, FormFields, id_from_nonce, new_nonce
from api.web.rendering import see_other
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute
from api.web.staff_auth.staff import Staff
from domain.events.code_terms import BLAMED_TERM, CodeTerms, find_contradictions
from domain.model.campaign import Campaign
from domain.values.number_bounds import Bounds
from projections.read_models.campaign_list import CampaignReader
from projections.repositories.issue_batches import NewBatch

COUNT: Final = Bounds(1, 1_000_000)
PREFIX_LENGTH_MAX: Final = 12
GROUPS_OFFERED: Final = 50
CAMPAIGNS_OFFERED: Final = 100
RECENT: Final = 10
_PREFIX: Final = re.compile(r"[A-Z0-9]*")

router = APIRouter(prefix="/admin", route_class=SupportRoute)


@router.get("")
def show_form(
    request: Request, admin: AdminContextDep, staff: Admin, campaign: Annotated[str, Query(max_length=36)] = ""
) -> Response:
    """Show the form, with a campaign chosen if the URL names one."""
    values = {"count": "1", "bound": "yes", "campaign": campaign}
    return _render(request, admin, staff, FormFields(values))


@router.post("/batches")
def start_issuing(request: Request, admin: AdminContextDep, staff: AdminWithForm, fields: FormDep) -> Response:
    """Store the batch and start it; its page shows the progress. The form's nonce is the batch's id."""
    new_batch = _new_batch(admin, staff, fields)
    if new_batch is None:
        return _render(request, admin, staff, fields)
    audit_log = admin.services.open_audit_log(staff.caller())
    start_batch(audit_log, admin.batches, new_batch)
    admin.runner.wake()
    return see_other(f"/admin/batches/{new_batch.batch_id}")


def template_of(fields: FormFields, admin: AdminContext) -> CodeTemplate:
    """Return the terms that a form names; errors are added to those of the fields."""
    values = {term.name: fields.term(term, admin.services.now()) for term in TERMS}
    terms = CodeTerms(**values)
    for why in find_contradictions(terms):
        fields.errors.setdefault(BLAMED_TERM[why], why)
    return CodeTemplate(terms=terms, bound=fields.values.get("bound", "yes") != "no")


def _new_batch(admin: AdminContext, staff: Staff, fields: FormFields) -> NewBatch | None:
    """Return the batch that the form requests; None if a field is invalid."""
    batch_id, template = id_from_nonce(fields.values.get("nonce", "")), template_of(fields, admin)
    count = fields.number("count", COUNT, default=1)
    prefix = fields.text("prefix", 2 * PREFIX_LENGTH_MAX).upper().replace("-", "").replace(" ", "")
    if len(prefix) > PREFIX_LENGTH_MAX or not _PREFIX.fullmatch(prefix):
        fields.errors["prefix"] = "prefix"
    note = fields.text("note", NOTE_LENGTH_MAX, pattern=SEVERAL_LINES)
    campaign = find_campaign(admin, fields)
    campaign_id = campaign.campaign_id if campaign else None
    ask_about_new_group(fields, admin.services.storage, template.terms.group, campaign_id)
    if fields.errors or count is None:
        return None
    services = admin.services
    return NewBatch(
        batch_id=batch_id,
        kind="issue",
        staff_id=staff.staff_id,
        prefix=prefix,
        terms=apply_defaults(template.terms, campaign, fields.named_terms) if campaign else template.terms,
        bound=template.bound,
        wanted=count,
        campaign_id=campaign_id,
        note=services.storage.vault.seal_text(note, services.new_id(), batch_id) if note else None,
    )


def find_campaign(admin: AdminContext, fields: FormFields) -> Campaign | None:
    """Return the campaign that a form names; None for none, or if it takes no more codes."""
    campaign_id = fields.parsed("campaign", parse_id)
    balance = None if campaign_id is None else CampaignReader(admin.services.storage).find_campaign(campaign_id)
    is_open = balance is not None and not balance.campaign.has_ended(admin.services.now())
    if "campaign" in fields.errors or (campaign_id is not None and not is_open):
        fields.errors["campaign"] = "campaign"
    return balance.campaign if balance is not None and is_open else None


def describe_code_terms(admin: AdminContext, fields: FormFields) -> dict[str, Any]:
    """Return what the fields of a code's terms need: what an empty one means, and the campaigns that are offered.

    `code_defaults` is what the codes of the chosen campaign have by default, and None if no campaign is offered.
    """
    campaigns = CampaignReader(admin.services.storage).list_open_campaigns(admin.services.now(), CAMPAIGNS_OFFERED)
    chosen = next((key for key, _ in campaigns if str(key) == fields.values.get("campaign")), None)
    campaign = None if chosen is None else CampaignReader(admin.services.storage).find_campaign_state(chosen)
    defaults = {} if campaign is None else list_code_defaults(campaign)
    return {"campaigns": campaigns, "code_defaults": defaults if campaigns else None}


def _render(request: Request, admin: AdminContext, staff: Staff, fields: FormFields) -> Response:
    now, highest_id = admin.services.now(), UUID(int=2**128 - 1)
    return admin_page(
        request,
        "issue.html",
        staff,
        status=422 if fields.errors else 200,
        values=fields.values,
        errors=fields.errors,
        nonce=fields.values.get("nonce") or new_nonce(),
        count_max=COUNT.most,
        **describe_code_terms(admin, fields),
        batches=admin.batches.list_page((now, highest_id), RECENT),
        groups=[line.name for line in admin.groups.list_page("", GROUPS_OFFERED)],
    )
