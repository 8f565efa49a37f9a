"""Pages of actions on a reservation or a code: a form with a preview. A form that is sent twice acts once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.blocking_route import heavy_read
from api.http.etags import tag_of
from api.i18n.code_sentences import name_threshold
from api.i18n.messages import refusal_detail
from api.schemas.code_terms import TERMS
from api.schemas.parsing import parse_term
from api.use_cases.preview_limits import CHOICES, preview_code_limit
from api.use_cases.services import Caller
from api.use_cases.use_case import perform
from api.web.forms import new_nonce, request_id_from_nonce
from api.web.masking import mask_if_known
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import Support, SupportContextDep, SupportRoute, SupportWithForm
from api.web.staff_auth.staff import Staff
from api.web.support.actions.action_forms import (
    ACCESS,
    FIELDS,
    TYPED_LENGTH_MAX,
    UNFILLED,
    ActionForm,
    CodeAction,
    ReservationAction,
    SupportAction,
    code_command,
    form_from_terms,
    list_reservation_actions,
    parse_form,
    reservation_command,
    state_digest,
    text_key,
)
from api.web.support.actions.notes import NOTE_LENGTH_MAX
from api.web.support.actions.preview import Limits, Preview, preview_command
from api.web.support.campaign_of_code import count_waiting
from api.web.support.reservation_page import get_reservation
from domain.command_bus import CodeCommand, ReservationCommand
from domain.errors import Refusal
from domain.ports import EMAIL_CHANNELS, Language
from domain.values.group_name import NAME_LENGTH_MAX
from domain.values.number_bounds import DAYS, USES
from projections.repositories.group_channels import GroupChannelRepository

LIMIT: Final = next(term for term in TERMS if term.name == "max_uses")
OVER_SHOWN_MAX: Final = 20
"""Most uses over a limit that the page names, the newest."""
router = APIRouter(prefix="/support", route_class=SupportRoute)
TheForm = Annotated[ActionForm, Depends(parse_form)]
FormProblem = Literal["changed", "reason_missing", "access_missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The reservation or code that an action is about, as its form shows it.

    Attributes:
        form: The fields as they are filled in at first.
        seen: Digest of the state that the form shows.
        last_request: The request that changed the subject last.
        has_access: Whether its invitation gave access that still exists.
        is_accepted: Whether that invitation was accepted, so that a refund must say what becomes of the access.
        needs_manual_removal: Whether the channel that would be asked to remove that access cannot do so.
        words: Text keys of the actions whose texts differ.
        waiting: People who wait for a use of the campaign of the code.
    """

    path: str
    suffix: str
    address: str | None
    form: ActionForm
    seen: str
    last_request: str | None = None
    has_access: bool = False
    is_accepted: bool = False
    needs_manual_removal: bool = False
    words: Mapping[SupportAction, str] = field(default_factory=dict)
    waiting: int = 0

    def name(self, action: SupportAction) -> str:
        """Return the key of an action's texts."""
        return self.words.get(action, action)


@router.get("/reservations/{reservation_id}/acts/{act}")
def show_action(
    request: Request,
    support: SupportContextDep,
    staff: Support,
    reservation_id: UUID,
    action: Annotated[ReservationAction, Path(alias="act")],
) -> Response:
    """Show the preview of an action and ask for the reason; ask for an email address or a group first."""
    subject = _reservation(support, reservation_id)
    has_preview = FIELDS.get(action) not in {"email", "group"}
    preview = _preview(request, support, action, reservation_id, ActionForm()) if has_preview else None
    return _form(request, staff, action, subject, preview, subject.form)


@router.post("/reservations/{reservation_id}/acts/{act}")
def run_action(
    request: Request,
    support: SupportContextDep,
    staff: SupportWithForm,
    reservation_id: UUID,
    action: Annotated[ReservationAction, Path(alias="act")],
    form: TheForm,
) -> Response:
    """Perform an action, or show the form with its preview. The form's nonce is the request's id."""
    subject = _reservation(support, reservation_id)
    if (answer := _invalid_or_preview(request, support, staff, action, reservation_id, subject, form)) is not None:
        return answer
    services, caller = support.services, staff.caller(request_id_from_nonce(form.nonce))
    result = perform(services, caller, reservation_command(services, caller, action, reservation_id, form))
    new_id = result.require_reservation().reservation_id
    return see_other(f"/support/reservations/{new_id}?done={subject.name(action)}")


@router.get("/codes/{code_id}/acts/{act}")
def show_code_action(
    request: Request,
    support: SupportContextDep,
    staff: Support,
    code_id: UUID,
    action: Annotated[CodeAction, Path(alias="act")],
) -> Response:
    """Show the preview of an action on a code and ask for the reason; ask for new terms first."""
    subject = _code(support, code_id)
    preview = None if action in FIELDS else _preview(request, support, action, code_id, ActionForm())
    return _form(request, staff, action, subject, preview, subject.form)


@router.post("/codes/{code_id}/acts/{act}")
@heavy_read()
def run_code_action(
    request: Request,
    support: SupportContextDep,
    staff: SupportWithForm,
    code_id: UUID,
    action: Annotated[CodeAction, Path(alias="act")],
    form: TheForm,
) -> Response:
    """Perform an action on a code, or show the form with its preview."""
    subject = _code(support, code_id)
    preview_limit = partial(_preview_limit, support, code_id, get_language(request))
    answer = _invalid_or_preview(request, support, staff, action, code_id, subject, form, preview_limit)
    if answer is not None:
        return answer
    services, caller = support.services, staff.caller(request_id_from_nonce(form.nonce))
    perform(services, caller, code_command(services, caller, action, code_id, form))
    return see_other(f"{subject.path}?done={action}")


def _invalid_or_preview(
    request: Request,
    support: SupportContext,
    staff: Staff,
    action: SupportAction,
    subject_id: UUID,
    subject: Subject,
    form: ActionForm,
    preview_limit: Callable[[int], Limits] | None = None,
) -> Response | None:
    """Return the form again if only the preview is requested or a field is missing or malformed; else None."""
    try:
        limit = _find_new_limit(subject, form)
        if limit is not None and form.step == "look" and not form.counting:
            form = replace(form, counting=CHOICES[0])
        preview = _preview(request, support, action, subject_id, form)
    except ApplicationError as error:
        if error.code not in {"EMAIL_INVALID", "MALFORMED"}:
            raise
        wrong = refusal_detail(error.code, get_language(request))
        return _form(request, staff, action, subject, None, form, wrong=wrong)
    is_changed = preview.is_possible and _is_stale(form, subject)
    problem: FormProblem | None = "changed" if is_changed else None
    if problem is None and form.step != "look":
        problem = _find_missing_field(action, subject, form)
        if problem is None:
            return None
    if preview_limit is not None and limit is not None:
        preview = replace(preview, limits=preview_limit(limit))
    return _form(request, staff, action, subject, preview, form, problem=problem)


def _find_missing_field(action: SupportAction, subject: Subject, form: ActionForm) -> FormProblem | None:
    if FIELDS.get(action) == "access" and subject.is_accepted and form.access not in ACCESS:
        return "access_missing"
    return None if 0 < len(form.note.strip()) <= NOTE_LENGTH_MAX else "reason_missing"


def _find_new_limit(subject: Subject, form: ActionForm) -> int | None:
    """Return the new limit that a form names: then it must say which uses the limit counts."""
    typed = form.terms["max_uses"]
    limit = None if typed == subject.form.terms["max_uses"] else parse_term(LIMIT, typed)
    return limit if isinstance(limit, int) else None


def _preview_limit(support: SupportContext, code_id: UUID, language: Language, limit: int) -> Limits:
    """Return what a new limit would mean for each choice of the uses that it counts, with its refusal in words."""
    choices = preview_code_limit(support.services, Caller("staff"), code_id, limit)
    return [(each, _say_refusal(each.refusal, language)) for each in choices]


def _say_refusal(refusal: Refusal | None, language: Language) -> str | None:
    return None if refusal is None else refusal_detail(refusal.code, language, **refusal.facts)


def _is_stale(form: ActionForm, subject: Subject) -> bool:
    """Return whether the state changed since the page was rendered, other than by this form itself."""
    is_own = subject.last_request is not None and subject.last_request == request_id_from_nonce(form.nonce)
    return bool(form.seen) and form.seen != subject.seen and not is_own


def _preview(
    request: Request, support: SupportContext, action: SupportAction, subject_id: UUID, form: ActionForm
) -> Preview:
    """Preview an action without its reason; until the access is chosen, the preview shows the refund alone."""
    services, caller = support.services, Caller("staff")
    form = replace(form, note="", access=form.access if form.access in ACCESS else UNFILLED.access)
    match action:
        case "terms" | "pause" | "resume" | "revoke":
            command: CodeCommand | ReservationCommand = code_command(services, caller, action, subject_id, form)
        case _:
            command = reservation_command(services, caller, action, subject_id, form)
    return preview_command(support, action, command, get_language(request))


def _form(
    request: Request,
    staff: Staff,
    action: SupportAction,
    subject: Subject,
    preview: Preview | None,
    form: ActionForm,
    *,
    wrong: str | None = None,
    problem: FormProblem | None = None,
) -> Response:
    is_changed, is_reason_missing = problem == "changed", problem == "reason_missing"
    is_access_missing = problem == "access_missing"
    return support_page(
        request,
        "action.html",
        staff,
        status=422 if wrong or is_reason_missing or is_access_missing else 409 if is_changed else 200,
        act=action,
        field=FIELDS.get(action),
        subject=subject,
        preview=preview,
        form=form,
        over_shown_max=OVER_SHOWN_MAX,
        name_threshold=name_threshold,
        wrong=wrong,
        is_reason_missing=is_reason_missing,
        is_access_missing=is_access_missing,
        is_changed=is_changed,
        seen=subject.seen if is_changed else form.seen or subject.seen,
        nonce=form.nonce if form.nonce.isalnum() else new_nonce(),
        note=form.note[:NOTE_LENGTH_MAX],
        note_length_max=NOTE_LENGTH_MAX,
        typed_length_max=TYPED_LENGTH_MAX,
        uses_max=USES.most,
        days_max=DAYS.most,
        group_length_max=NAME_LENGTH_MAX,
    )


def _reservation(support: SupportContext, reservation_id: UUID) -> Subject:
    reservation, code = get_reservation(support, reservation_id)
    return Subject(
        path=f"/support/reservations/{reservation_id}",
        suffix=support.reader.find_suffix(reservation.code_id),
        address=mask_if_known(support.reader.find_email_addresses([reservation_id]).get(reservation_id)),
        form=ActionForm(),
        seen=state_digest(reservation),
        last_request=reservation.staff_request_id,
        has_access=reservation.has_active_access,
        is_accepted=reservation.has_active_access and reservation.accepted_at is not None,
        needs_manual_removal=reservation.has_active_access and not _may_remove_access(support, reservation.group),
        words={action: text_key(action, reservation) for action in list_reservation_actions(reservation)},
        waiting=count_waiting(support, code),
    )


def _may_remove_access(support: SupportContext, group: str | None) -> bool:
    """Return whether the channel of a group can remove access. Without its own, the group has that of emails."""
    channel = GroupChannelRepository(support.services.storage).list_kinds_by_group().get(group or "")
    return channel is not None and channel not in EMAIL_CHANNELS


def _code(support: SupportContext, code_id: UUID) -> Subject:
    code = support.statements.find_code_at(code_id, support.statements.find_newest_version(code_id))
    if code is None:
        raise ApplicationError("NOT_FOUND")
    return Subject(
        path=f"/support/codes/{code_id}",
        suffix=support.reader.find_suffix(code_id),
        address=None,
        form=form_from_terms(code.terms),
        seen=tag_of(code.terms).strip('"'),
        waiting=count_waiting(support, code),
    )
