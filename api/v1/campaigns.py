"""Campaigns for staff and integrators: create, list, read, change, pause, resume, end, and read the history."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response

from api.errors import ApplicationError
from api.http.blocking_route import BlockingRoute, heavy_read
from api.http.dependencies import CreationKey, MayIssueCodes, MayReadCodes, TheLanguage, TheReason, TheServices
from api.http.etags import IfMatch, expected_terms, tag_of
from api.http.offered_reads import offer_as_tool
from api.http.openapi import OF_APPROVALS, PROTECTED, problem_responses
from api.http.pagination import Page, format_cursor, parse_cursor
from api.schemas.campaigns import (
    CampaignChange,
    CampaignExplanation,
    CampaignHistory,
    CampaignPage,
    CampaignRequest,
    CampaignView,
    LimitPreview,
    WaitingListEntry,
    WaitingListView,
    view_of_campaign,
)
from api.schemas.csv_cells import CSV_CONTENT
from api.schemas.csv_cells import TYPE as CSV_TYPE
from api.schemas.numbers import IN_DIGITS
from api.schemas.timestamps import LooseTimestamp
from api.use_cases import campaign_actions
from api.use_cases.idempotency import find_keyed_id
from api.use_cases.past_states.campaign_history import (
    csv_of_campaign_history,
    csv_of_campaign_uses,
    explain_campaign,
    list_history,
)
from api.use_cases.preview_limits import preview_limits, view_of_limit_choice
from api.use_cases.waiting_lists.places import list_places, remove
from domain.commands.campaign.manage_campaign import (
    ChangeCampaignTerms,
    CreateCampaign,
    EndCampaign,
    PauseCampaign,
    ResumeCampaign,
)
from domain.errors import NoSuchCampaign
from domain.values.number_bounds import USES, VERSIONS
from projections.hand_outs.hand_out_reader import HandOutReader
from projections.read_models.campaign_list import CampaignBalance, CampaignReader

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/campaigns",
    tags=["campaigns"],
    responses=PROTECTED,
)

PAGE_MAX = 100
HISTORY_MAX = 10_000
Limit = Annotated[int | None, Query(ge=USES.least, le=USES.most, description="As in the campaign."), IN_DIGITS]
Form = Annotated[Literal["json", "csv"], Query(alias="format")]


@router.post(
    "",
    status_code=201,
    responses=problem_responses("MALFORMED", CreateCampaign, "IDEMPOTENCY_KEY_REUSED"),
    summary="Create a campaign",
)
def create(
    body: CampaignRequest, services: TheServices, caller: MayIssueCodes, idempotency_key: CreationKey = None
) -> CampaignView:
    """Creates a campaign. Codes join it when they are issued.

    Its uses are counted from the beginning if it has a shared limit, `max_uses`, `max_per_person` or `max_per_day`.
    Shared limits can be added later.
    """
    campaign_id = find_keyed_id(services, caller, idempotency_key, "campaign", body)
    balance = campaign_actions.create_campaign(
        services, caller, body.terms(campaign_actions.default_terms(services.settings)), campaign_id
    )
    return view_of_campaign(balance, services.now())


@router.get("", summary="List campaigns in order of creation")
@offer_as_tool()
def list_campaigns(
    services: TheServices,
    _: MayReadCodes,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX), IN_DIGITS] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> CampaignPage:
    """Returns one page. `next` is the cursor of the next page."""
    rows = CampaignReader(services.storage).list_campaigns(parse_cursor(cursor), limit + 1)
    page = Page.of(rows, limit, lambda row: format_cursor(row.campaign.created_at, row.campaign.campaign_id))
    now = services.now()
    return CampaignPage(campaigns=[view_of_campaign(row, now) for row in page.rows], next=page.next)


@router.get(
    "/{campaign_id}/waiting-list",
    responses=problem_responses("CAMPAIGN_NOT_FOUND"),
    summary="Get the waiting list of a campaign",
)
def waiting_list(campaign_id: UUID, services: TheServices, _: MayReadCodes) -> WaitingListView:
    """Returns who waits, in the order in which uses are offered, with masked email addresses."""
    return _list_places(services, campaign_id)


@router.post(
    "/{campaign_id}/waiting-list/{place_id}/remove",
    responses=problem_responses("CAMPAIGN_NOT_FOUND"),
    summary="Remove a person from a waiting list",
)
def remove_place(
    campaign_id: UUID, place_id: UUID, services: TheServices, caller: MayIssueCodes, note: TheReason
) -> WaitingListView:
    """Ends a place, and returns the others. A use that was offered goes to the next person.

    The person gets no email, and can join again. A place that has ended changes nothing.
    """
    remove(services, caller, campaign_id, place_id, note)
    return _list_places(services, campaign_id)


@router.get("/{campaign_id}", responses=problem_responses("NOT_FOUND"), summary="Get a campaign")
@offer_as_tool()
def get(campaign_id: UUID, services: TheServices, _: MayReadCodes, response: Response) -> CampaignView:
    """Returns terms and balance of one campaign. The ETag represents its terms; redeeming does not change it."""
    balance = CampaignReader(services.storage).find_campaign(campaign_id)
    if balance is None:
        raise ApplicationError("NOT_FOUND")
    response.headers["ETag"] = tag_of(balance.campaign.terms)
    return view_of_campaign(balance, services.now())


@router.patch("/{campaign_id}", responses=problem_responses(ChangeCampaignTerms), summary="Change terms of a campaign")
def change(
    campaign_id: UUID,
    body: CampaignChange,
    services: TheServices,
    caller: MayIssueCodes,
    response: Response,
    if_match: IfMatch = None,
) -> CampaignView:
    """Changes the terms that the request names. A limit below the counted and reserved uses is refused.

    A campaign without limits of uses can get them: `counting` says whether they count all uses or those from now on.
    With `"counting": "all"`, a limit below the uses is accepted: they stay, and new ones are refused.

    With `If-Match`, the terms change only if they still have that ETag.
    """
    expected = None
    if if_match is not None:
        before = CampaignReader(services.storage).find_campaign_state(campaign_id)
        if before is None:
            raise ApplicationError.from_refusal(NoSuchCampaign())
        expected = expected_terms(if_match, before.terms)
    balance = campaign_actions.change_campaign(
        services,
        caller,
        campaign_id,
        body.changes(),
        expected=expected,
        counting=body.counting,
        note=body.note,
    )
    response.headers["ETag"] = tag_of(balance.campaign.terms)
    return _view(services, balance)


@router.get(
    "/{campaign_id}/limit-preview",
    responses=problem_responses("CAMPAIGN_NOT_FOUND"),
    summary="Preview limits of a campaign",
)
@heavy_read()
def preview(
    campaign_id: UUID,
    services: TheServices,
    language: TheLanguage,
    caller: MayReadCodes,
    max_uses: Limit = None,
    max_per_person: Limit = None,
    max_per_day: Limit = None,
) -> LimitPreview:
    """Returns what limits would mean if they counted all uses, and from now on; which uses would be over them.

    Limits that the request does not name stay as they are. Nothing is changed.
    """
    limits = {"max_uses": max_uses, "max_per_person": max_per_person, "max_per_day": max_per_day}
    named = {name: limit for name, limit in limits.items() if limit is not None}
    choices = preview_limits(services, caller, campaign_id, named)
    now = services.now()
    return LimitPreview(id=campaign_id, choices=[view_of_limit_choice(each, now, language) for each in choices])


@router.post("/{campaign_id}/pause", responses=problem_responses(PauseCampaign), summary="Pause a campaign")
def pause(campaign_id: UUID, services: TheServices, caller: MayIssueCodes, note: TheReason) -> CampaignView:
    """Stops new reservations of all its codes. Existing reservations continue."""
    return _view(services, campaign_actions.pause_campaign(services, caller, campaign_id, note=note))


@router.post("/{campaign_id}/resume", responses=problem_responses(ResumeCampaign), summary="Resume a paused campaign")
def resume(campaign_id: UUID, services: TheServices, caller: MayIssueCodes, note: TheReason) -> CampaignView:
    """Allows new reservations of its codes again."""
    return _view(services, campaign_actions.resume_campaign(services, caller, campaign_id, note=note))


@router.post(
    "/{campaign_id}/end", responses=problem_responses(EndCampaign, *OF_APPROVALS), summary="End a campaign permanently"
)
def end(campaign_id: UUID, services: TheServices, caller: MayIssueCodes, note: TheReason) -> CampaignView:
    """Stops new reservations of all its codes permanently. What is reserved is still sent."""
    return _view(services, campaign_actions.end_campaign(services, caller, campaign_id, note=note))


@router.get(
    "/{campaign_id}/history",
    responses={**problem_responses("NOT_FOUND"), 200: {"content": CSV_CONTENT}},
    response_model=CampaignHistory,
    summary="Get the history of a campaign",
)
@offer_as_tool("format")
@heavy_read()
def history(
    campaign_id: UUID,
    services: TheServices,
    language: TheLanguage,
    _: MayReadCodes,
    as_of: Annotated[LooseTimestamp | None, Query(description="Only events that took effect until this time.")] = None,
    after: Annotated[int, Query(ge=0, le=VERSIONS.most, description="Only events after this version."), IN_DIGITS] = 0,
    limit: Annotated[int, Query(ge=1, le=HISTORY_MAX), IN_DIGITS] = 1000,
    form: Form = "json",
) -> Response:
    """Returns every event in order, each with the uses after it and a sentence.

    For the next page, send the last `version` as `after`. An empty page is the end.
    """
    histories = services.campaign_histories
    if histories.find_newest_version(campaign_id) == 0:
        raise ApplicationError("NOT_FOUND")
    hand_outs = HandOutReader(services.storage)
    lines = list_history(histories, hand_outs, campaign_id, language, as_of, after=after, limit=limit)
    if form == "csv":
        return Response("".join(csv_of_campaign_history(lines)), media_type=CSV_TYPE)
    document = CampaignHistory(id=campaign_id, events=list(lines))
    return Response(document.model_dump_json(), media_type="application/json")


@router.get(
    "/{campaign_id}/explain",
    responses={**problem_responses("NOT_FOUND"), 200: {"content": CSV_CONTENT}},
    response_model=CampaignExplanation,
    summary="Explain the uses of a campaign",
)
@offer_as_tool("format")
@heavy_read()
def explain(
    campaign_id: UUID,
    services: TheServices,
    language: TheLanguage,
    _: MayReadCodes,
    as_of: Annotated[LooseTimestamp | None, Query(description="Only events that took effect until this time.")] = None,
    form: Form = "json",
) -> Response:
    """Explains each number: used, reserved, available, per person and per day, at a time.

    Names each use that counts, with the event that took it, and the event that set the terms.

    As CSV, only the uses.
    """
    reader = CampaignReader(services.storage)
    histories = services.campaign_histories
    explanation = explain_campaign(histories, reader, campaign_id, services.now(), language, as_of=as_of)
    if explanation is None:
        raise ApplicationError("NOT_FOUND")
    if form == "csv":
        return Response("".join(csv_of_campaign_uses(explanation)), media_type=CSV_TYPE)
    return Response(explanation.model_dump_json(), media_type="application/json")


def _list_places(services: TheServices, campaign_id: UUID) -> WaitingListView:
    places = [WaitingListEntry(**place._asdict()) for place in list_places(services, campaign_id)]
    return WaitingListView(id=campaign_id, places=places)


def _view(services: TheServices, balance: CampaignBalance) -> CampaignView:
    return view_of_campaign(balance, services.now())
