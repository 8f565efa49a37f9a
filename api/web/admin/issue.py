"""The home of the office: the form that issues codes, one or 100,000, and the newest batches below it."""

import re
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.use_cases.administration.batches import start_batch
from api.use_cases.issue_codes import CodeTemplate
from api.web.admin.context import Office, TheOffice
from api.web.admin.forms import (
    NAME_LENGTH_MAX,
    NOTE_LENGTH_MAX,
    Fields,
    admin_page,
    gone_to,
    id_from_nonce,
    new_nonce,
)
from api.web.staff_auth.sessions import ActingAdmin, Admin, Staff, SupportRoute
from domain.events.code_terms import CodeTerms
from domain.values.group_name import group_name_error
from domain.values.number_bounds import DAYS, REBINDS, USES, Bounds
from projections.repositories.issue_batches import NewBatch

COUNT: Final = Bounds(1, 1_000_000)
PREFIX_LENGTH_MAX: Final = 12
GROUPS_OFFERED: Final = 50
RECENT: Final = 10
_PREFIX: Final = re.compile(r"[A-Z0-9]*")

router = APIRouter(prefix="/admin", route_class=SupportRoute)


@router.get("")
async def home(request: Request, office: TheOffice, staff: Admin) -> Response:
    """The form."""
    return await _form(request, office, staff, Fields({"count": "1", "max_uses": "1", "bound": "yes"}))


@router.post("/batches")
async def issue(request: Request, office: TheOffice, staff: ActingAdmin) -> Response:
    """Write the batch down and begin; its page shows how far it is. The form's nonce is the batch's id."""
    form = await request.form()
    fields = Fields({name: value for name, value in form.items() if isinstance(value, str)})
    wish = _wish(office, staff, fields)
    if wish is None:
        return await _form(request, office, staff, fields)
    action = office.services.action(staff.caller(None))
    await office.services.read(lambda: start_batch(action, office.batches, wish))
    office.runner.wake()
    return gone_to(f"/admin/batches/{wish.batch_id}")


def template_of(fields: Fields, office: Office) -> CodeTemplate:
    """The terms that a form names; what is wrong with them is in the fields' faults."""
    is_unlimited = fields.sent.get("unlimited") == "yes"
    terms = CodeTerms(
        max_uses=None if is_unlimited else fields.number("max_uses", USES, default=1),
        expires_at=fields.moment("expires_at", office.services.now()),
        validity_days=fields.number("validity_days", DAYS),
        group=_group(fields) or None,
        rebinds_max=fields.number("rebinds_max", REBINDS),
    )
    return CodeTemplate(terms=terms, bound=fields.sent.get("bound", "yes") != "no")


def _group(fields: Fields) -> str:
    name = fields.text("group", NAME_LENGTH_MAX)
    if (fault := group_name_error(name)) is not None:
        fields.faults["group"] = fault
    return name


def batch_id_of(fields: Fields) -> UUID:
    """The id of the batch that a form asks for.

    Raises:
        ApplicationError: MALFORMED, the form is none of ours.
    """
    batch_id = id_from_nonce(fields.sent.get("nonce", ""))
    if batch_id is None:
        raise ApplicationError("MALFORMED")
    return batch_id


def _wish(office: Office, staff: Staff, fields: Fields) -> NewBatch | None:
    """What the form asks for; None if something is wrong with it."""
    batch_id, template = batch_id_of(fields), template_of(fields, office)
    count = fields.number("count", COUNT, default=1)
    prefix = fields.text("prefix", 2 * PREFIX_LENGTH_MAX).upper().replace("-", "").replace(" ", "")
    if len(prefix) > PREFIX_LENGTH_MAX or not _PREFIX.fullmatch(prefix):
        fields.faults["prefix"] = "prefix"
    note = fields.text("note", NOTE_LENGTH_MAX, is_line=False)
    if fields.faults or count is None:
        return None
    services = office.services
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


async def _form(request: Request, office: Office, staff: Staff, fields: Fields) -> Response:
    now, newest = office.services.now(), UUID(int=2**128 - 1)

    def find() -> dict[str, Any]:
        return {
            "batches": office.batches.list_page((now, newest), RECENT),
            "groups": [line.name for line in office.groups.list_page("", GROUPS_OFFERED)],
        }

    return admin_page(
        request,
        "issue.html",
        staff,
        status=422 if fields.faults else 200,
        sent=fields.sent,
        faults=fields.faults,
        nonce=fields.sent.get("nonce") or new_nonce(),
        count_max=COUNT.most,
        days_max=DAYS.most,
        rebinds_max=REBINDS.most,
        **await office.services.read(find),
    )
