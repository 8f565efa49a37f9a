"""Acting on a reservation or a code: the form shows what it will do before it does it; sent twice, it does it once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.etags import tag_of
from api.i18n.messages import refusal_detail
from api.web.forms import new_nonce, request_id_from_nonce
from api.web.masking import mask_if_known
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import Staff, Support, SupportContextDep, SupportRoute, SupportWithForm
from api.web.support.actions.commands import (
    ACCESS,
    FIELDS,
    TYPED_LENGTH_MAX,
    UNFILLED,
    Act,
    ActionForm,
    Ask,
    CodeAct,
    ReservationAct,
    about_code,
    acts_of,
    filled,
    form_from_terms,
    reservation_command,
    state_digest,
    text_key,
)
from api.web.support.actions.notes import NOTE_LENGTH_MAX
from api.web.support.actions.preview import Preview, foresee
from api.web.support.reservation_page import get_reservation
from domain.command_bus import CodeCommand, ReservationCommand
from domain.commands.context import CommandContext
from domain.values.group_name import NAME_LENGTH_MAX
from domain.values.number_bounds import DAYS, USES
from projections.storage.revocation_queue import settle_revoked_code

router = APIRouter(prefix="/support", route_class=SupportRoute)
TheForm = Annotated[ActionForm, Depends(filled)]
Trouble = Literal["changed", "reason_missing", "access_missing"]
DISPATCHED = frozenset({"resolve-retry", "resend", "correct", "rebind"})
"""After these something is to be sent at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an act is about, as its form shows it.

    `form`: what is filled in to begin with; `seen`: what is to be as it was when the form was made; `last_request`: the
    one that changed it last; `words`: the names of acts whose words are other than usual. `has_access`: its invitation
    gave access that stands; `is_accepted`: and was accepted, so a refund has to say what becomes of that access.
    """

    path: str
    hint: str
    address: str | None
    form: ActionForm
    seen: str
    last_request: str | None = None
    has_access: bool = False
    is_accepted: bool = False
    words: Mapping[Act, str] = field(default_factory=dict)

    def name(self, act: Act) -> str:
        """Under which name an act's words are kept."""
        return self.words.get(act, act)


@router.get("/reservations/{reservation_id}/acts/{act}")
async def ask(
    request: Request, support: SupportContextDep, staff: Support, reservation_id: UUID, act: ReservationAct
) -> Response:
    """Show what the act will do, and ask for the reason; where something is to be filled in, ask for that first."""
    subject = await support.services.read(lambda: _reservation(support, reservation_id))
    preview = (
        None
        if FIELDS.get(act) in {"email", "group"}
        else await _foreseen(request, support, act, reservation_id, ActionForm())
    )
    return _form(request, staff, act, subject, preview, subject.form)


@router.post("/reservations/{reservation_id}/acts/{act}")
async def do(
    request: Request,
    support: SupportContextDep,
    staff: SupportWithForm,
    reservation_id: UUID,
    act: ReservationAct,
    form: TheForm,
) -> Response:
    """Do it, or show what was filled in and what it would do. The form's nonce is the request's id."""
    subject = await support.services.read(lambda: _reservation(support, reservation_id))
    if (answer := await _not_yet(request, support, staff, act, reservation_id, subject, form)) is not None:
        return answer
    services = support.services
    text = services.storage.vault.seal_text(form.note.strip(), services.new_id(), reservation_id)
    asked = Ask(
        services.context(staff.caller(request_id_from_nonce(form.nonce))), services.storage.vault, services.new_id, text
    )
    done = await services.run_blocking(services.execute, reservation_command(act, reservation_id, form, asked))
    after = done.require_reservation().reservation_id
    if act in DISPATCHED and done.changed:
        services.dispatcher.dispatch(after)
    return see_other(f"/support/reservations/{after}?done={subject.name(act)}")


@router.get("/codes/{code_id}/acts/{act}")
async def ask_about_code(
    request: Request, support: SupportContextDep, staff: Support, code_id: UUID, act: CodeAct
) -> Response:
    """As for a reservation."""
    subject = await support.services.read(lambda: _code(support, code_id))
    preview = None if act in FIELDS else await _foreseen(request, support, act, code_id, ActionForm())
    return _form(request, staff, act, subject, preview, subject.form)


@router.post("/codes/{code_id}/acts/{act}")
async def do_to_code(
    request: Request, support: SupportContextDep, staff: SupportWithForm, code_id: UUID, act: CodeAct, form: TheForm
) -> Response:
    """As for a reservation."""
    subject = await support.services.read(lambda: _code(support, code_id))
    if (answer := await _not_yet(request, support, staff, act, code_id, subject, form)) is not None:
        return answer
    services = support.services
    caller = staff.caller(request_id_from_nonce(form.nonce))
    text = services.storage.vault.seal_text(form.note.strip(), services.new_id())
    asked = Ask(services.context(caller), services.storage.vault, services.new_id, text)
    done = await services.run_blocking(services.execute, about_code(act, code_id, form, asked))
    if act == "revoke" and done.code.reserved:
        execute = services.storage.ledger.execute
        await services.read(
            lambda: settle_revoked_code(execute, code_id, lambda: services.context(caller), services.new_id)
        )
    return see_other(f"{subject.path}?done={act}")


async def _not_yet(
    request: Request,
    support: SupportContext,
    staff: Staff,
    act: Act,
    subject_id: UUID,
    subject: Subject,
    form: ActionForm,
) -> Response | None:
    """The form again, where only the preview was asked for, or something is missing or wrong; None to do it."""
    try:
        preview = await _foreseen(request, support, act, subject_id, form)
    except ApplicationError as error:
        if error.code not in {"EMAIL_INVALID", "MALFORMED"}:
            raise
        wrong = refusal_detail(error.code, get_language(request))
        return _form(request, staff, act, subject, None, form, wrong=wrong)
    is_changed = preview.is_possible and _is_stale(form, subject)
    if is_changed or form.step == "look":
        return _form(request, staff, act, subject, preview, form, trouble="changed" if is_changed else None)
    if FIELDS.get(act) == "access" and subject.is_accepted and form.access not in ACCESS:
        return _form(request, staff, act, subject, preview, form, trouble="access_missing")
    if not 0 < len(form.note.strip()) <= NOTE_LENGTH_MAX:
        return _form(request, staff, act, subject, preview, form, trouble="reason_missing")
    return None


def _is_stale(form: ActionForm, subject: Subject) -> bool:
    """Whether something else happened since the page was made. Pressing twice is no change by somebody else."""
    is_own = subject.last_request is not None and subject.last_request == request_id_from_nonce(form.nonce)
    return bool(form.seen) and form.seen != subject.seen and not is_own


async def _foreseen(request: Request, support: SupportContext, act: Act, subject_id: UUID, form: ActionForm) -> Preview:
    """Return the preview; until the access is chosen it shows the refund alone."""
    language, services = get_language(request), support.services
    form = form if form.access in ACCESS else replace(form, access=UNFILLED.access)
    asked = Ask(CommandContext(now=services.now(), actor="staff"), services.storage.vault, services.new_id)
    return await services.read(lambda: foresee(support, act, _command(act, subject_id, form, asked), language))


def _command(act: Act, subject_id: UUID, form: ActionForm, asked: Ask) -> CodeCommand | ReservationCommand:
    match act:
        case "terms" | "pause" | "resume" | "revoke":
            return about_code(act, subject_id, form, asked)
        case _:
            return reservation_command(act, subject_id, form, asked)


def _form(
    request: Request,
    staff: Staff,
    act: Act,
    subject: Subject,
    preview: Preview | None,
    form: ActionForm,
    *,
    wrong: str | None = None,
    trouble: Trouble | None = None,
) -> Response:
    is_changed, is_reason_missing = trouble == "changed", trouble == "reason_missing"
    is_access_missing = trouble == "access_missing"
    return support_page(
        request,
        "act.html",
        staff,
        status=422 if wrong or is_reason_missing or is_access_missing else 409 if is_changed else 200,
        act=act,
        field=FIELDS.get(act),
        subject=subject,
        preview=preview,
        form=form,
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
    item, _ = get_reservation(support, reservation_id)
    return Subject(
        path=f"/support/reservations/{reservation_id}",
        hint=support.reader.find_suffix(item.code_id),
        address=mask_if_known(support.reader.find_email_addresses([reservation_id]).get(reservation_id)),
        form=ActionForm(),
        seen=state_digest(item),
        last_request=item.staff_request_id,
        has_access=item.has_active_access,
        is_accepted=item.has_active_access and item.accepted_at is not None,
        words={act: text_key(act, item) for act in acts_of(item)},
    )


def _code(support: SupportContext, code_id: UUID) -> Subject:
    code = support.statements.find_code_at(code_id, support.statements.find_newest_version(code_id))
    if code is None:
        raise ApplicationError("NOT_FOUND")
    return Subject(
        path=f"/support/codes/{code_id}",
        hint=support.reader.find_suffix(code_id),
        address=None,
        form=form_from_terms(code),
        seen=tag_of(code.terms).strip('"'),
    )
