"""The form that changes the rate and the texts of a hand-out's emails."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.etags import expected_terms, tag_of
from api.i18n.languages import LANGUAGES
from api.schemas.groups import SUBJECT_LENGTH_MAX, TEXT_LENGTH_MAX
from api.schemas.hand_outs import MailingChange
from api.schemas.parsing import ONE_LINE, SEVERAL_LINES
from api.use_cases.hand_outs.hand_out_actions import change_hand_out, find_progress
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.forms import FormDep, FormFields
from api.web.rendering import see_other
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute
from api.web.staff_auth.staff import Staff
from domain.commands.hand_out.manage_hand_out import TextChange
from domain.errors import TermsConflict
from domain.model.hand_out import HandOutText, Mailing
from domain.ports import Language
from domain.values.number_bounds import MAILS_PER_MINUTE
from domain.values.text_variables import find_variables

router = APIRouter(prefix="/admin/hand-outs/{hand_out_id}", route_class=SupportRoute)


@router.get("/change")
def show_form(request: Request, admin: AdminContextDep, staff: Admin, hand_out_id: UUID) -> Response:
    """Show the present rate and texts in a form."""
    return _render(request, admin, staff, hand_out_id, FormFields({}))


@router.post("/change")
def change_on_page(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, fields: FormDep, hand_out_id: UUID
) -> Response:
    """Change the fields that the form has, unless rate or texts were changed since it was rendered."""
    texts = read_own_texts(fields)
    changes_rate = "per_minute" in fields.values  # the form of an ended hand-out does not have it
    per_minute = fields.number("per_minute", MAILS_PER_MINUTE)
    if fields.errors:
        return _render(request, admin, staff, hand_out_id, fields)
    change = MailingChange(
        changes_rate=changes_rate,
        per_minute=per_minute,
        texts={
            language: TextChange(
                text.subject if f"subject_{language}" in fields.values else None,
                text.body if f"text_{language}" in fields.values else None,
            )
            for language, text in texts.items()
        },
    )
    seen = fields.values.get("seen", "")
    try:
        change_hand_out(
            admin.services, staff.caller(), hand_out_id, change, lambda before: expected_terms(seen, before)
        )
    except ApplicationError as error:
        variables = error.facts.get("variables")
        if isinstance(variables, list):
            _blame_variables(fields, variables)
        elif error.code != TermsConflict.code:
            raise
        return _render(request, admin, staff, hand_out_id, fields, is_changed=error.code == TermsConflict.code)
    return see_other(f"/admin/hand-outs/{hand_out_id}?saved=yes")


def _blame_variables(fields: FormFields, variables: Iterable[str]) -> None:
    """Mark the fields that name a variable without a value."""
    for name in fields.values:
        unknown = {*find_variables(fields.values[name])} & {*variables}
        if name.startswith(("subject_", "text_")) and unknown:
            fields.errors[name] = "variable:" + ", ".join(f"{{{each}}}" for each in sorted(unknown))


def read_own_texts(fields: FormFields) -> dict[Language, HandOutText]:
    """Return the subjects and texts of a form by language."""
    return {
        language: HandOutText(
            fields.text(f"subject_{language}", SUBJECT_LENGTH_MAX, pattern=ONE_LINE),
            fields.text(f"text_{language}", TEXT_LENGTH_MAX, pattern=SEVERAL_LINES).replace("\r\n", "\n"),
        )
        for language in LANGUAGES
    }


def _fill_form(mailing: Mailing) -> Mapping[str, str]:
    values = {"per_minute": "" if mailing.per_minute is None else str(mailing.per_minute)}
    for language in LANGUAGES:
        text = mailing.texts.get(language, HandOutText("", ""))
        values |= {f"subject_{language}": text.subject, f"text_{language}": text.body}
    return values


def _find_replaced(mailing: Mailing, typed: Mapping[str, str]) -> Mapping[str, str]:
    """Return the stored values that a form would replace with other ones."""
    stored = _fill_form(mailing)
    return {name: value for name, value in stored.items() if typed.get(name, value).replace("\r\n", "\n") != value}


def _render(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    hand_out_id: UUID,
    fields: FormFields,
    *,
    is_changed: bool = False,
) -> Response:
    progress = find_progress(admin.services, hand_out_id)
    is_first = not fields.values
    facts: dict[str, Any] = {
        "progress": progress,
        "is_ended": progress.details.hand_out.state == "ended",
        "is_changed": is_changed,
        "replaced": _find_replaced(progress.mailing, fields.values) if is_changed else {},
        "values": _fill_form(progress.mailing) if is_first else fields.values,
        "errors": fields.errors,
        "seen": tag_of(progress.mailing) if is_first or is_changed else fields.values.get("seen", ""),
        "bounds": MAILS_PER_MINUTE,
        "lengths": {"subject": SUBJECT_LENGTH_MAX, "text": TEXT_LENGTH_MAX},
    }
    status = 409 if is_changed else 422 if fields.errors else 200
    return admin_page(request, "hand_out_change.html", staff, status=status, **facts)
