"""The start page of the admin console: the form that issues codes, and the newest batches."""

import re
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.schemas.code_terms import TERMS
from api.use_cases.administration.batches import start_batch
from api.use_cases.issue_codes import CodeTemplate
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.forms import NOTE_LENGTH_MAX, FormDep, FormFields, id_from_nonce, new_nonce
from api.web.rendering import see_other
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute
from api.web.staff_auth.staff import Staff
from domain.events.code_terms import BLAMED_TERM, CodeTerms, find_contradiction
from domain.values.number_bounds import Bounds
from projections.repositories.issue_batches import NewBatch

COUNT: Final = Bounds(1, 1_000_000)
PREFIX_LENGTH_MAX: Final = 12
GROUPS_OFFERED: Final = 50
RECENT: Final = 10
_PREFIX: Final = re.compile(r"[A-Z0-9]*")

router = APIRouter(prefix="/admin", route_class=SupportRoute)


@router.get("")
def show_form(request: Request, admin: AdminContextDep, staff: Admin) -> Response:
    """Show the form."""
    return _render(request, admin, staff, FormFields({"count": "1", "max_uses": "1", "bound": "yes"}))


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
    if not fields.errors and (why := find_contradiction(terms)) is not None:
        fields.errors[BLAMED_TERM[why]] = why
    return CodeTemplate(terms=terms, bound=fields.values.get("bound", "yes") != "no")


def _new_batch(admin: AdminContext, staff: Staff, fields: FormFields) -> NewBatch | None:
    """Return the batch that the form requests; None if a field is invalid."""
    batch_id, template = id_from_nonce(fields.values.get("nonce", "")), template_of(fields, admin)
    count = fields.number("count", COUNT, default=1)
    prefix = fields.text("prefix", 2 * PREFIX_LENGTH_MAX).upper().replace("-", "").replace(" ", "")
    if len(prefix) > PREFIX_LENGTH_MAX or not _PREFIX.fullmatch(prefix):
        fields.errors["prefix"] = "prefix"
    note = fields.text("note", NOTE_LENGTH_MAX, is_line=False)
    if fields.errors or count is None:
        return None
    services = admin.services
    return NewBatch(
        batch_id=batch_id,
        kind="issue",
        staff_id=staff.staff_id,
        prefix=prefix,
        terms=template.terms,
        bound=template.bound,
        wanted=count,
        note=services.storage.vault.seal_text(note, services.new_id(), batch_id) if note else None,
    )


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
        batches=admin.batches.list_page((now, highest_id), RECENT),
        groups=[line.name for line in admin.groups.list_page("", GROUPS_OFFERED)],
    )
