"""The pages of campaigns: a list, a form for a new one, and one with its balance, terms, codes, events and actions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response
from msgspec import structs

from api.errors import ApplicationError
from api.http.blocking_route import heavy_read
from api.http.etags import expected_terms, tag_of
from api.http.pagination import Page, count_list, fill_page, format_cursor, parse_cursor
from api.i18n.catalogs import translator
from api.i18n.messages import refusal_detail, refusal_title
from api.schemas.campaign_terms import CAMPAIGN_TERMS
from api.schemas.numbers import IN_DIGITS
from api.schemas.parsing import parse_filter_time, parse_optional
from api.use_cases.campaign_actions import (
    change_campaign,
    create_campaign,
    default_terms,
    end_campaign,
    pause_campaign,
    resume_campaign,
)
from api.use_cases.code_actions import join_campaign
from api.use_cases.waiting_lists.places import name_places, remove
from api.web.admin.campaign_counting import ask_for_counting, needs_choice, read_counting
from api.web.admin.campaign_events import list_lines, load_campaign_chart, page_lines
from api.web.admin.campaign_form import blame_field, fill_form, read_terms
from api.web.admin.confirmation import Question, ask_confirmation
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.admin.new_group import ask_about_new_group
from api.web.forms import FormDep, FormFields, describe_reason_form, id_from_nonce, is_valid_reason, new_nonce
from api.web.list_order import SortedBy
from api.web.rendering import see_other
from api.web.staff_auth.rendering import get_language
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute, Viewer
from api.web.staff_auth.staff import Staff
from api.web.support.charts import BalanceBar, draw_bar, scale_to_largest
from api.web.support.history.folding import fold_lines
from api.web.support.history.proof_page import load_panel
from api.web.support.history.time_axis import SCALE_LENGTH_MAX, name_other_scale, parse_scale
from api.web.support.rejected_requests import (
    REJECTIONS_COUNTED_MAX,
    REJECTIONS_RANGE,
    count_rejections,
    url_of_rejections,
)
from api.web.support.view_models import ShownStream, name_code_state
from domain.commands.campaign.campaign_limits import count_only_for_waiting
from domain.errors import TermsConflict
from domain.events.campaign import CampaignTerms
from domain.model.campaign import Campaign, CampaignState
from domain.ports import Language
from domain.values.group_name import NAME_LENGTH_MAX
from domain.values.number_bounds import VERSIONS
from projections.definitions.tables.code_balances import code_from_named_row
from projections.read_models.campaign_list import CampaignBalance, CampaignReader
from projections.read_models.pagination import NEWEST

PER_PAGE: Final = 20
BY_CREATION: Final = SortedBy(column="created", default="newest")
STATES: Final = get_args(CampaignState)
CODES_PER_PAGE: Final = 10
CELLS_MAX: Final = 5
GROUPS_OFFERED: Final = 50
TIME_LENGTH_MAX: Final = 40
PLACES_SHOWN: Final = 50
"""Places of the waiting list on the page; the API and the command line list all."""
REDEMPTIONS_COUNTED_MAX: Final = 100_000
"""Most redemptions of a campaign that a page counts by how far they got: some 0.2 s."""

CampaignAction = Literal["pause", "resume", "end"]
ACTIONS: Final[Mapping[CampaignAction, Callable[..., CampaignBalance]]] = {
    "pause": pause_campaign,
    "resume": resume_campaign,
    "end": end_campaign,
}

router = APIRouter(prefix="/admin/campaigns", route_class=SupportRoute)


class CampaignCard(NamedTuple):
    """A campaign in a list."""

    balance: CampaignBalance
    state: str
    bar: BalanceBar


class FunnelRow(NamedTuple):
    """One step of the funnel; `redemptions` is None for the steps before them, `width` is in percent."""

    name: str
    codes: int
    redemptions: int | None
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPageView:
    """Which parts of its lists the page of a campaign shows, and the form of its terms if that was sent."""

    cursor: str | None = None
    until: int | None = None
    is_true_scale: bool | None = None
    as_of: datetime | None = None
    fields: FormFields | None = None
    is_changed: bool = False
    is_saved: bool = False
    join_error: str | None = None


@router.get("")
def list_campaigns(
    request: Request,
    admin: AdminContextDep,
    staff: Viewer,
    by: Annotated[SortedBy, Depends(BY_CREATION.choose)],
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    state: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """List the campaigns in a state, or all, by the time of their creation, with the form for a new one."""
    return _render_list(
        request, admin, staff, FormFields({}), by.keep({"state": state} if state in STATES else {}), cursor
    )


@router.post("")
def create_on_page(request: Request, admin: AdminContextDep, staff: AdminWithForm, fields: FormDep) -> Response:
    """Create a campaign. The form's nonce is the id of the campaign, so that sending it twice creates one."""
    campaign_id = id_from_nonce(fields.values.get("nonce", ""))
    terms = read_terms(fields, admin.services.now())
    ask_about_new_group(fields, admin.services.storage, terms.group)
    if not fields.errors:
        try:
            create_campaign(admin.services, staff.caller(), terms, campaign_id)
        except ApplicationError as error:
            blame_field(fields, error)
        else:
            return see_other(f"/admin/campaigns/{campaign_id}")
    return _render_list(request, admin, staff, fields)


@router.get("/{campaign_id}")
def show_campaign(
    request: Request,
    admin: AdminContextDep,
    staff: Viewer,
    campaign_id: UUID,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    until: Annotated[int | None, Query(ge=1, le=VERSIONS.most), IN_DIGITS] = None,
    scale: Annotated[str, Query(max_length=SCALE_LENGTH_MAX)] = "",
    as_of: Annotated[str, Query(max_length=TIME_LENGTH_MAX)] = "",
) -> Response:
    """Show one campaign: its balance, its terms, how far its codes got, and its newest codes and events.

    As of an earlier time, show what its events until then say.
    """
    is_saved = request.query_params.get("saved") == "yes"
    at = parse_optional(parse_filter_time, "as_of", as_of)
    view = CampaignPageView(cursor=cursor, until=until, is_true_scale=parse_scale(scale), as_of=at, is_saved=is_saved)
    return (_render_campaign if at is None else _render_past)(request, admin, staff, campaign_id, view)


@router.post("/{campaign_id}")
@heavy_read()
def change_on_page(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, fields: FormDep, campaign_id: UUID
) -> Response:
    """Change the terms, unless they were changed since the form was rendered.

    If limits begin to count uses, ask which ones and why, and say what each choice would mean. If the waiting list
    closes, say how many places and offers end, and ask why.
    """
    balance = find_campaign(admin, campaign_id)
    before, counting = balance.campaign.terms, read_counting(fields)
    terms = read_terms(fields, admin.services.now(), before)
    ask_about_new_group(fields, admin.services.storage, terms.group, campaign_id)
    if not fields.errors and needs_choice(fields, balance.campaign, terms):
        return ask_for_counting(request, admin, staff, balance, fields, structs.asdict(terms))
    if not fields.errors and _must_ask_about_waiting(fields, balance.campaign, terms):
        return _ask_about_waiting(request, admin, staff, balance.campaign, fields)
    if not fields.errors and terms == before and counting is None:
        return see_other(f"/admin/campaigns/{campaign_id}")
    if not fields.errors:
        try:
            expected = expected_terms(fields.values.get("seen", ""), before)
            change_campaign(
                admin.services,
                staff.caller(),
                campaign_id,
                structs.asdict(terms),
                expected=expected,
                counting=counting,
                note=fields.values.get("reason", "").strip(),
            )
        except ApplicationError as error:
            if error.code == TermsConflict.code:
                view = CampaignPageView(fields=fields, is_changed=True)
                return _render_campaign(request, admin, staff, campaign_id, view)
            blame_field(fields, error)
        else:
            return see_other(f"/admin/campaigns/{campaign_id}?saved=yes")
    return _render_campaign(request, admin, staff, campaign_id, CampaignPageView(fields=fields))


def _must_ask_about_waiting(fields: FormFields, campaign: Campaign, terms: CampaignTerms) -> bool:
    is_closed = terms.waiting_hours is None and bool(campaign.waiting)
    return is_closed and not is_valid_reason(fields.values.get("reason", ""))


def _ask_about_waiting(
    request: Request, admin: AdminContext, staff: Staff, campaign: Campaign, fields: FormFields
) -> Response:
    places, say = campaign.without_expired_offers(admin.services.now()).waiting, translator(get_language(request))
    offers = sum(place.offered_until is not None for place in places)
    question = Question(
        "close_waiting_list",
        "campaigns",
        campaign.terms.name,
        f"/admin/campaigns/{campaign.campaign_id}",
        (
            (say("page.admin.campaign.places"), f"{len(places):,}"),
            (say("page.admin.campaign.offers"), f"{offers:,}"),
        ),
        is_below_subject=True,
        carried=tuple((name, value) for name, value in fields.values.items() if name not in {"token", "reason"}),
    )
    return ask_confirmation(request, staff, question, fields.values.get("reason"))


@router.post("/{campaign_id}/codes")
def add_code(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, fields: FormDep, campaign_id: UUID
) -> Response:
    """Let an existing code join the campaign, after a question; a refusal is shown next to the field."""
    code_id, language = admin.services.reader.find_code(fields.values.get("code", "")), get_language(request)
    refusal = None if code_id is not None else ApplicationError("CODE_INVALID")
    if code_id is not None and fields.values.get("confirmed") != "yes":
        return _ask_to_join(request, admin, staff, campaign_id, fields.values["code"])
    if code_id is not None:
        try:
            join_campaign(admin.services, staff.caller(), code_id, campaign_id)
        except ApplicationError as error:
            refusal = error
    if refusal is not None:
        view = CampaignPageView(join_error=refusal_detail(refusal.code, language, **refusal.facts))
        return _render_campaign(request, admin, staff, campaign_id, view)
    return see_other(f"/admin/campaigns/{campaign_id}#codes")


def _ask_to_join(request: Request, admin: AdminContext, staff: Staff, campaign_id: UUID, typed: str) -> Response:
    name = find_campaign(admin, campaign_id).campaign.terms.name
    question = Question(
        "join_campaign",
        "campaigns",
        name,
        f"/admin/campaigns/{campaign_id}",
        ((translator(get_language(request))("page.support.code"), f"…{typed.strip()[-4:]}"),),
        is_below_subject=True,
        carried=(("code", typed), ("confirmed", "yes")),
        has_reason=False,
    )
    return ask_confirmation(request, staff, question)


@router.get("/{campaign_id}/{action}")
def confirm_action(
    request: Request, admin: AdminContextDep, staff: Admin, campaign_id: UUID, action: CampaignAction
) -> Response:
    """Say what an action does and ask for a confirmation."""
    return _ask_for_reason(request, admin, staff, campaign_id, action)


@router.post("/{campaign_id}/{action}")
def run_action(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    campaign_id: UUID,
    action: CampaignAction,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Pause, resume or end a campaign, for a reason."""
    if not is_valid_reason(reason):
        return _ask_for_reason(request, admin, staff, campaign_id, action, reason)
    ACTIONS[action](admin.services, staff.caller(), campaign_id, note=reason.strip())
    return see_other(f"/admin/campaigns/{campaign_id}")


def _ask_for_reason(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    campaign_id: UUID,
    action: CampaignAction,
    reason: str | None = None,
) -> Response:
    balance = find_campaign(admin, campaign_id)
    form = describe_reason_form(reason)
    return admin_page(request, "campaign_action.html", staff, balance=balance, action=action, **form)


@router.get("/{campaign_id}/waiting-list/{place_id}")
def confirm_removal(
    request: Request, admin: AdminContextDep, staff: Admin, campaign_id: UUID, place_id: UUID
) -> Response:
    """Say what the removal of a person from the waiting list does, and ask for a confirmation."""
    return _ask_for_removal(request, admin, staff, campaign_id, place_id)


@router.post("/{campaign_id}/waiting-list/{place_id}")
def remove_place(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    campaign_id: UUID,
    place_id: UUID,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Remove a person from the waiting list, for a reason. A place that has ended changes nothing."""
    if not is_valid_reason(reason):
        return _ask_for_removal(request, admin, staff, campaign_id, place_id, reason)
    remove(admin.services, staff.caller(), campaign_id, place_id, reason.strip())
    return see_other(f"/admin/campaigns/{campaign_id}")


def _ask_for_removal(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    campaign_id: UUID,
    place_id: UUID,
    reason: str | None = None,
) -> Response:
    campaign = find_campaign(admin, campaign_id).campaign
    place = next((each for each in name_places(admin.services, campaign) if each.place_id == place_id), None)
    if place is None:
        raise ApplicationError("NOT_FOUND")
    form = describe_reason_form(reason)
    return admin_page(request, "waiting_place.html", staff, campaign=campaign, place=place, **form)


def find_campaign(admin: AdminContext, campaign_id: UUID) -> CampaignBalance:
    """Return a campaign with the sums of its codes.

    Raises:
        ApplicationError: NOT_FOUND.
    """
    balance = CampaignReader(admin.services.storage).find_campaign(campaign_id)
    if balance is None:
        raise ApplicationError("NOT_FOUND")
    return balance


def _render_list(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    fields: FormFields,
    by: SortedBy = BY_CREATION,
    cursor: str | None = None,
) -> Response:
    now, reader = admin.services.now(), CampaignReader(admin.services.storage)

    def pick(campaign: Campaign) -> Campaign | None:
        return campaign if by.filters.get("state") in {None, campaign.state(now)} else None

    page = fill_page(
        lambda place, number: reader.list_states(place, number, by.order),
        pick,
        lambda campaign: (campaign.created_at, campaign.campaign_id),
        by.find_place(cursor),
        PER_PAGE,
    )
    balances = reader.find_balances([campaign.campaign_id for campaign in page.rows])
    rows = [balances[campaign.campaign_id] for campaign in page.rows]
    return admin_page(
        request,
        "campaigns.html",
        staff,
        status=422 if fields.errors else 200,
        cards=[CampaignCard(row, row.campaign.state(now), _draw(row, CELLS_MAX)) for row in rows],
        states=STATES,
        total=count_list(
            admin.services.storage, "campaign_list", page, is_first=cursor is None, is_filtered=bool(by.filters)
        ),
        next=page.next and format_cursor(*page.next),
        is_first=cursor is None,
        by=by,
        nonce=fields.values.get("nonce") or new_nonce(),
        **_form(admin, fields.values, fields.errors),
    )


def _render_campaign(
    request: Request, admin: AdminContext, staff: Staff, campaign_id: UUID, view: CampaignPageView
) -> Response:
    balance, now, language = find_campaign(admin, campaign_id), admin.services.now(), get_language(request)
    campaign, fields = balance.campaign.without_expired_offers(now), view.fields
    seen = tag_of(campaign.terms)
    errors = {} if fields is None else fields.errors
    return admin_page(
        request,
        "campaign.html",
        staff,
        status=409 if view.is_changed else 422 if errors or view.join_error else 200,
        balance=balance,
        bar=_draw(balance),
        seen=seen if fields is None or view.is_changed else fields.values.get("seen", ""),
        is_changed=view.is_changed,
        is_saved=view.is_saved,
        join_error=view.join_error,
        is_form_open=fields is not None,
        actions=_list_actions(campaign),
        counted_max=REJECTIONS_COUNTED_MAX,
        places=name_places(admin.services, campaign, PLACES_SHOWN),
        for_waiting=campaign.for_waiting,
        only_for_waiting=count_only_for_waiting(campaign, None, now),
        cursor=view.cursor,
        **_list_parts(admin, balance, view, now, language),
        **_load_history(admin, staff, campaign, campaign, view, language),
        **_form(admin, fill_form(campaign.terms) if fields is None else fields.values, errors),
    )


def _render_past(
    request: Request, admin: AdminContext, staff: Staff, campaign_id: UUID, view: CampaignPageView
) -> Response:
    """Render a campaign as of a time. Its events do not say which uses were counted, nor what became of its codes."""
    now_named = CampaignReader(admin.services.storage).find_campaign_state(campaign_id)
    if now_named is None:
        raise ApplicationError("NOT_FOUND")
    campaign = None if view.as_of is None else admin.campaign_histories.fold_until(campaign_id, view.as_of)
    if campaign is not None and view.as_of is not None:
        campaign = campaign.without_expired_offers(view.as_of)
    history = _load_history(admin, staff, now_named, campaign, view, get_language(request))
    return admin_page(request, "campaign.html", staff, is_saved=False, campaign_terms=CAMPAIGN_TERMS, **history)


def _load_history(
    admin: AdminContext,
    staff: Staff,
    now_named: Campaign,
    campaign: Campaign | None,
    view: CampaignPageView,
    language: Language,
) -> dict[str, Any]:
    """Return a campaign at the time of the view, in which it may not exist yet, with its chart and its events."""
    at, campaign_id = view.as_of or admin.services.now(), now_named.campaign_id
    query = {} if view.as_of is None else {"as_of": view.as_of.isoformat()}
    newest = campaign.version if campaign else 0
    until = view.until or newest
    events = page_lines(admin, staff, campaign_id, until if view.as_of is None else min(until, newest), language)
    before = list(admin.campaign_histories.read_page(campaign_id, view.until, 1)) if view.until else []
    last_line = next(iter(list_lines(admin, staff, before, language)), None)
    show = ShownStream.of_campaign(campaign or now_named)
    chart = load_campaign_chart(admin, campaign, is_true_scale=view.is_true_scale, at=at)
    return {
        "show": show,
        "campaign": campaign,
        "as_of": view.as_of,
        "at": at,
        "query": urlencode(query),
        "state": campaign.state(at) if campaign else None,
        "left_on_day": campaign.find_available_on_day(at) if campaign else None,
        "chart": chart,
        "scale_url": chart and "?" + urlencode({**query, "scale": name_other_scale(is_true_scale=chart.is_true_scale)}),
        "rows": fold_lines(
            events.lines, named=[view.until] if view.until else [], before=last_line, is_cut=events.is_cut
        ),
        "next_event": events.next,
        "until": view.until,
        "proof": load_panel(admin.support, show.path),
    }


def _list_parts(
    admin: AdminContext, balance: CampaignBalance, view: CampaignPageView, now: datetime, language: Language
) -> dict[str, Any]:
    """Return the lists of the page: codes, and refusals by reason."""
    reader, campaign_id = CampaignReader(admin.services.storage), balance.campaign.campaign_id
    rows = admin.codes.list_of_campaign(campaign_id, parse_cursor(view.cursor, NEWEST), CODES_PER_PAGE + 1)
    codes = Page.of(rows, CODES_PER_PAGE, lambda row: format_cursor(row["issued_at"], row["code_id"]))
    refusals = count_rejections(admin.services.storage, now, campaign_id)
    funnel = _list_funnel(reader, balance)
    return {
        "funnel": funnel,
        "is_funnel_cut": any(row.redemptions == REDEMPTIONS_COUNTED_MAX for row in funnel if row.name == "redeemed"),
        "counts_opened": any(row.name == "opened" for row in funnel),
        "redemptions_max": REDEMPTIONS_COUNTED_MAX,
        "codes": [
            (code := code_from_named_row(row), row["hint"], name_code_state(code, now, language)) for row in codes.rows
        ],
        "next": codes.next,
        "refusals": None
        if refusals is None
        else [
            (
                refusal_title(reason, language),
                count,
                url_of_rejections(REJECTIONS_RANGE, reason=reason, campaign=campaign_id),
            )
            for reason, count in refusals
        ],
        "counted": sum(count for _, count in refusals or []),
    }


def _list_funnel(reader: CampaignReader, balance: CampaignBalance) -> list[FunnelRow]:
    """Return how many codes of a campaign got as far as each step; a campaign without hand-outs lacks their steps."""
    campaign_id = balance.campaign.campaign_id
    handed_out, opened_forms = reader.count_handed_out_codes(campaign_id)
    steps: list[tuple[str, int, int | None]] = [
        ("issued", balance.codes, None),
        *([("handed_out", handed_out, None), ("opened", opened_forms, None)] if handed_out else []),
        *reader.read_funnel(campaign_id, REDEMPTIONS_COUNTED_MAX),
    ]
    widths = scale_to_largest([codes for _, codes, _ in steps])
    return [FunnelRow(*step, width) for step, width in zip(steps, widths, strict=True)]


def _list_actions(campaign: Campaign) -> list[CampaignAction]:
    if campaign.ended_by is not None:
        return []
    return ["resume" if campaign.is_paused else "pause", "end"]


def _draw(balance: CampaignBalance, cells_max: int = 24) -> BalanceBar:
    campaign = balance.campaign
    return draw_bar(
        balance.used,
        balance.reserved,
        free=campaign.available,
        limit=campaign.terms.max_uses,
        cells_max=cells_max,
    )


def _form(admin: AdminContext, values: Mapping[str, str], errors: Mapping[str, str]) -> dict[str, Any]:
    return {
        "values": values,
        "errors": errors,
        "campaign_terms": CAMPAIGN_TERMS,
        "term_defaults": default_terms(admin.services.settings),
        "name_length_max": NAME_LENGTH_MAX,
        "groups": [line.name for line in admin.groups.list_page("", GROUPS_OFFERED)],
    }
