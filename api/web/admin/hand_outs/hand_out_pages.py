"""The pages of hand-outs: those of a campaign with a form for a new one, and one with its progress and recipients."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response

from api.code_import.list_report import ListReport, find_report
from api.errors import ApplicationError
from api.http.blocking_route import answer_within
from api.http.pagination import format_cursor
from api.i18n.languages import LANGUAGES
from api.schemas.groups import SUBJECT_LENGTH_MAX, TEXT_LENGTH_MAX
from api.schemas.hand_outs import HandOutOrder
from api.schemas.numbers import IN_DIGITS
from api.schemas.parsing import find_pasted_email, parse_time
from api.use_cases.campaign_actions import list_code_defaults
from api.use_cases.hand_outs.hand_out_actions import (
    PeoplePage,
    create_hand_out,
    end_hand_out,
    find_missing_values,
    find_person_by_address,
    find_person_of_code,
    find_progress,
    list_progress,
    page_people,
    pause_hand_out,
    resume_hand_out,
)
from api.use_cases.hand_outs.hand_out_preview import preview_hand_out
from api.web.admin.campaigns import find_campaign
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.admin.hand_outs.change_pages import read_own_texts
from api.web.admin.issue import GROUPS_OFFERED, template_of
from api.web.admin.new_group import ask_about_new_group
from api.web.forms import FormDep, FormFields, describe_reason_form, id_from_nonce, is_valid_reason, new_nonce
from api.web.list_order import SortedBy
from api.web.masking import mask_if_known
from api.web.rendering import see_other, time_in_field
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute, Viewer, ViewerWithForm
from api.web.staff_auth.staff import Staff
from api.web.support.charts import scale_to_largest
from domain.commands.code.issue import find_valid_days
from domain.errors import HandOutInvalid
from domain.values.group_name import NAME_LENGTH_MAX, group_name_error
from domain.values.identifiers import TYPED_LENGTH_MAX
from domain.values.number_bounds import DAYS, MAILS_PER_MINUTE, VERSIONS
from projections.hand_outs.hand_out_reader import PERSON_STATES, HandOutProgress, Obstacle, PersonState

PER_PAGE: Final = 20
BY_CREATION: Final = SortedBy(column="created", default="oldest")
PEOPLE_PER_PAGE: Final = 50
TEST_RESULT: Final = r"^((sent|failed|deferred|unknown)(\.[a-z_]{1,40})?)?$"
"""What became of a test email, and the stable word of the reason if there is one."""
HandOutAction = Literal["pause", "resume", "end"]
ACTIONS: Final[Mapping[HandOutAction, Callable[..., HandOutProgress]]] = {
    "pause": pause_hand_out,
    "resume": resume_hand_out,
    "end": end_hand_out,
}

COUNT_S_MAX: Final = 60.0
"""Seconds to look at the values of all queued recipients: 20 microseconds for each (2026-12-01)."""

router = APIRouter(prefix="/admin", route_class=SupportRoute)


class HandOutCard(NamedTuple):
    """A hand-out in a list. `obstacle`: why it waits; `queued`: recipients without an email yet."""

    progress: HandOutProgress
    standing: str
    obstacle: Obstacle | None
    queued: int


class StateCount(NamedTuple):
    """How many recipients are in one state; `width` is in percent."""

    state: PersonState
    people: int
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOutPageView:
    """Which recipients the page of a hand-out shows, and the result of a list, a test or a search if there was one.

    Attributes:
        code: The code of the only recipient to show.
        typed: The text of a search that found no recipient, and `miss` why.
    """

    after: int = 0
    state: PersonState | None = None
    code: UUID | None = None
    typed: str = ""
    miss: Literal["not_listed", "invalid"] | None = None
    report: ListReport | None = None
    is_saved: bool = False
    has_queued_email: bool = False
    test_outcome: str = ""
    test_reason: str = ""

    @property
    def query(self) -> str:
        """The part of a URL that names the recipients, for pages that follow them; empty for the first ones of all."""
        names = {"state": self.state, "code": self.code, "after": self.after}
        return urlencode({name: value for name, value in names.items() if value})


async def read_shown_people(
    after: Annotated[int, Query(ge=0, le=VERSIONS.most), IN_DIGITS] = 0,
    state: PersonState | None = None,
    code: UUID | None = None,
) -> HandOutPageView:
    """Read from a URL which recipients to show."""
    return HandOutPageView(after=after, state=state, code=code)


ShownPeopleDep = Annotated[HandOutPageView, Depends(read_shown_people)]


@router.get("/campaigns/{campaign_id}/hand-outs")
def list_hand_outs(
    request: Request,
    admin: AdminContextDep,
    staff: Viewer,
    campaign_id: UUID,
    by: Annotated[SortedBy, Depends(BY_CREATION.choose)],
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """List the hand-outs of a campaign by the time of their creation, with the form for a new one."""
    return _render_list(request, admin, staff, campaign_id, FormFields({}), by, cursor)


@router.post("/campaigns/{campaign_id}/hand-outs")
def create_on_page(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, fields: FormDep, campaign_id: UUID
) -> Response:
    """Create a hand-out as a draft. The form's nonce is its id, so that sending it twice creates one."""
    hand_out_id = id_from_nonce(fields.values.get("nonce", ""))
    order = _read_order(fields, admin, campaign_id)
    if order is None:
        return _render_list(request, admin, staff, campaign_id, fields)
    create_hand_out(admin.services, staff.caller(), campaign_id, order, hand_out_id)
    return see_other(f"/admin/hand-outs/{hand_out_id}")


@router.get("/hand-outs/{hand_out_id}")
def show_hand_out(
    request: Request,
    admin: AdminContextDep,
    staff: Viewer,
    hand_out_id: UUID,
    shown: ShownPeopleDep,
    report: UUID | None = None,
    test: Annotated[str, Query(pattern=TEST_RESULT)] = "",
) -> Response:
    """Show one hand-out: progress, texts, recipients, the form for its list, and the result of a list or test."""
    last = None if report is None else find_report(admin.services, hand_out_id, report)
    outcome, _, why = test.partition(".")
    is_saved, has_queued_email = (request.query_params.get(name) == "yes" for name in ("saved", "queued"))
    result = replace(shown, report=last, test_outcome=outcome, test_reason=why)
    view = replace(result, is_saved=is_saved, has_queued_email=has_queued_email)
    return render_hand_out(request, admin, staff, hand_out_id, view)


@router.post("/hand-outs/{hand_out_id}/recipients/search")
def find_recipient(
    request: Request,
    admin: AdminContextDep,
    staff: ViewerWithForm,
    hand_out_id: UUID,
    email: Annotated[str, Form()] = "",
) -> Response:
    """Lead to the recipient with an email address. It is in the body, because logs may keep a URL."""
    typed = email.strip()[:TYPED_LENGTH_MAX]
    address = find_pasted_email(typed)
    person = None if address is None else find_person_by_address(admin.services, hand_out_id, address)
    if person is not None:
        return see_other(f"/admin/hand-outs/{hand_out_id}?code={person.code_id}#people")
    view = HandOutPageView(typed=typed, miss="invalid" if address is None else "not_listed")
    return render_hand_out(request, admin, staff, hand_out_id, view)


@router.get("/hand-outs/{hand_out_id}/progress")
def show_progress(
    request: Request, admin: AdminContextDep, staff: Viewer, hand_out_id: UUID, shown: ShownPeopleDep
) -> Response:
    """Return the parts of the page that change while emails are sent; an open page asks for them."""
    parts = _show_parts(admin, hand_out_id, shown)
    return admin_page(request, "hand_out_progress.html", staff, **parts)


@router.get("/hand-outs/{hand_out_id}/{action}")
@answer_within(COUNT_S_MAX)
def confirm_action(
    request: Request, admin: AdminContextDep, staff: Admin, hand_out_id: UUID, action: HandOutAction
) -> Response:
    """Say what an action does, and ask for the reason and, for a start, the time."""
    return _render_action(request, admin, staff, hand_out_id, action)


@router.post("/hand-outs/{hand_out_id}/{action}")
@answer_within(COUNT_S_MAX)
def run_action(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    fields: FormDep,
    hand_out_id: UUID,
    action: HandOutAction,
) -> Response:
    """Pause, resume or end a hand-out, for a reason; a start may have a time.

    None starts whose text has a variable that no recipient has.
    """
    reason = fields.values.get("reason", "")
    starts_at = _read_start(admin, hand_out_id, fields) if action == "resume" else None
    if fields.errors or not is_valid_reason(reason):
        return _render_action(request, admin, staff, hand_out_id, action, fields)
    when = {"starts_at": starts_at} if action == "resume" else {}
    try:
        ACTIONS[action](admin.services, staff.caller(), hand_out_id, note=reason.strip(), **when)
    except ApplicationError as error:
        if error.facts.get("why") not in {"starts_at", "unknown_variables"}:
            raise
        if error.code == HandOutInvalid.code:
            fields.errors["starts_at"] = "start"
        return _render_action(request, admin, staff, hand_out_id, action, fields)
    return see_other(f"/admin/hand-outs/{hand_out_id}")


def _read_start(admin: AdminContext, hand_out_id: UUID, fields: FormFields) -> datetime | None:
    """Return when to start; None for immediately, which needs the tick of the box while a planned start is ahead."""
    if fields.values.get("starts_now") == "yes":
        return None
    starts_at = fields.parsed("starts_at", parse_time)
    is_empty = starts_at is None and "starts_at" not in fields.errors
    # An emptied field must not send thousands of emails before their time.
    if is_empty and _show_counts(admin, hand_out_id)["start_ahead"] is not None:
        fields.errors["starts_at"] = "no_start"
    return starts_at


def _render_action(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    hand_out_id: UUID,
    action: HandOutAction,
    fields: FormFields | None = None,
) -> Response:
    """Ask for what an action needs; with status 422 if a form was sent that lacks some of it."""
    counted = _show_counts(admin, hand_out_id)
    # Without the start that was set, sending the form would begin to send emails.
    starts_at = counted["start_ahead"]
    shown = fields or FormFields({} if starts_at is None else {"starts_at": time_in_field(starts_at)})
    reason = None if fields is None else fields.values.get("reason", "")
    is_refused_reason = reason is not None and not is_valid_reason(reason)
    missing = find_missing_values(admin.services, hand_out_id) if action == "resume" else []
    return admin_page(
        request,
        "hand_out_action.html",
        staff,
        **counted,
        **{**describe_reason_form(reason), "is_refused": is_refused_reason},
        action=action,
        missing=missing,
        has_unknown_variables=any(each.is_unknown for each in missing),
        fields=shown,
    )


def render_hand_out(
    request: Request, admin: AdminContext, staff: Staff, hand_out_id: UUID, view: HandOutPageView
) -> Response:
    """Render the page of a hand-out.

    Raises:
        ApplicationError: HAND_OUT_NOT_FOUND.
    """
    parts = _show_parts(admin, hand_out_id, view)
    created, campaign = parts["progress"].details.created, parts["progress"].campaign
    is_unreadable = view.report is not None and bool(view.report.file_facts)
    return admin_page(
        request,
        "hand_out.html",
        staff,
        status=422 if is_unreadable else {None: 200, "invalid": 422, "not_listed": 404}[view.miss],
        **parts,
        actions=_list_actions(parts["state"]),
        valid_for_days=find_valid_days(created.valid_for_days, created.terms, campaign),
        states=PERSON_STATES,
        typed_length_max=TYPED_LENGTH_MAX,
        previews={
            language: preview_hand_out(
                admin.services, admin.services.settings, admin.preview_sender, hand_out_id, language
            )
            for language in LANGUAGES
        },
    )


def _show_parts(admin: AdminContext, hand_out_id: UUID, view: HandOutPageView) -> dict[str, Any]:
    """Return what changes on the page while emails are sent: the counts, and the rows of the recipients.

    Raises:
        ApplicationError: HAND_OUT_NOT_FOUND.
    """
    counted = _show_counts(admin, hand_out_id)
    # After the counts: a page that stops following them must not show an older row as the last one.
    people, following = _list_people(admin, hand_out_id, view)
    path = f"/admin/hand-outs/{hand_out_id}/progress"
    return {
        **counted,
        "people": [(person, mask_if_known(person.address)) for person in people],
        "suffixes": admin.find_suffixes([person.code_id for person in people if person.handed_out_at]),
        "next": following,
        "view": view,
        "follow": (f"{path}?{view.query}" if view.query else path) if counted["is_sending"] else "",
    }


def _list_people(admin: AdminContext, hand_out_id: UUID, view: HandOutPageView) -> PeoplePage:
    if view.code is None:
        return page_people(admin.services, hand_out_id, view.state, view.after, PEOPLE_PER_PAGE)
    person = find_person_of_code(admin.services, hand_out_id, view.code)
    return PeoplePage([] if person is None else [person], None)


def _show_counts(admin: AdminContext, hand_out_id: UUID) -> dict[str, Any]:
    """Return a hand-out, and how many recipients are in each state.

    Raises:
        ApplicationError: HAND_OUT_NOT_FOUND.
    """
    progress, now = find_progress(admin.services, hand_out_id), admin.services.now()
    state = progress.details.state_at(now, is_campaign_over=progress.campaign.has_ended(now))
    widths = scale_to_largest([progress.counts[each] for each in PERSON_STATES])
    return {
        "progress": progress,
        "state": state,
        "start_ahead": progress.details.hand_out.find_start_ahead(now),
        "standing": _name_standing(progress, now),
        "obstacle": progress.find_obstacle(now),
        "is_sending": progress.resends > 0 or (state == "running" and progress.waiting > 0),
        "counts": [
            StateCount(each, progress.counts[each], width)
            for each, width in zip(PERSON_STATES, widths, strict=True)
            if progress.counts[each] or each in {"queued", "sent", "redeemed"}
        ],
        "percent": 100 * progress.processed // progress.people if progress.people else 0,
    }


def _name_standing(progress: HandOutProgress, now: datetime) -> str:
    """Return the end of the key of its state as people see it: a running hand-out may have nothing left to send."""
    state = progress.details.state_at(now, is_campaign_over=progress.campaign.has_ended(now))
    return "finished" if progress.is_finished(now) else state


def _read_order(fields: FormFields, admin: AdminContext, campaign_id: UUID) -> HandOutOrder | None:
    """Return what a form orders; None if a field is invalid."""
    name = fields.text("name", NAME_LENGTH_MAX, is_required=True)
    if "name" not in fields.errors and (why := group_name_error(name)) is not None:
        fields.errors["name"] = f"campaign_{why}"
    per_minute = fields.number("per_minute", MAILS_PER_MINUTE)
    valid_for_days = fields.number("valid_for_days", DAYS)
    texts = read_own_texts(fields)
    template = template_of(fields, admin)
    ask_about_new_group(fields, admin.services.storage, template.terms.group, campaign_id)
    has_existing_codes = fields.values.get("existing_codes") == "yes"
    if has_existing_codes:
        named = fields.named_terms - {"group"} | ({"bound"} if not template.bound else set())
        named |= {"valid_for_days"} if valid_for_days is not None else set()
        fields.errors.update(dict.fromkeys(sorted(named), "existing_codes"))
    if fields.errors:
        return None
    return HandOutOrder(
        name=name,
        terms=template.terms,
        named=fields.named_terms,
        bound=template.bound,
        existing_codes=has_existing_codes,
        is_draft=True,
        valid_for_days=valid_for_days,
        per_minute=per_minute,
        texts=texts,
    )


def _render_list(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    campaign_id: UUID,
    fields: FormFields,
    by: SortedBy = BY_CREATION,
    cursor: str | None = None,
) -> Response:
    campaign, now = find_campaign(admin, campaign_id).campaign, admin.services.now()
    page = list_progress(admin.services, campaign_id, by.find_place(cursor), PER_PAGE, by.order)
    is_over = campaign.has_ended(now)
    return admin_page(
        request,
        "hand_outs.html",
        staff,
        status=422 if fields.errors else 200,
        campaign=campaign,
        is_over=is_over,
        cards=[HandOutCard(row, _name_standing(row, now), row.find_obstacle(now), row.waiting) for row in page.rows],
        by=by,
        next=None if page.next is None else format_cursor(*page.next),
        is_first=cursor is None,
        code_defaults=list_code_defaults(campaign),
        **_form(admin, fields),
    )


def _form(admin: AdminContext, fields: FormFields) -> dict[str, Any]:
    return {
        "values": fields.values,
        "errors": fields.errors,
        "nonce": fields.values.get("nonce") or new_nonce(),
        "bounds": MAILS_PER_MINUTE,
        "days": DAYS,
        "lengths": {"name": NAME_LENGTH_MAX, "subject": SUBJECT_LENGTH_MAX, "text": TEXT_LENGTH_MAX},
        "groups": [line.name for line in admin.groups.list_page("", GROUPS_OFFERED)],
    }


def _list_actions(state: str) -> list[HandOutAction]:
    if state == "ended":
        return []
    if state == "scheduled":
        return ["resume", "pause", "end"]
    return ["resume" if state in {"draft", "paused"} else "pause", "end"]
