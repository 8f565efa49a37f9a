"""The page that imports codes from a CSV file; the batch lists each rejected line with its number and reason."""

import io
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import UploadFile

from api.auth.session_cookies import COOKIE
from api.code_import.faults import UnusableFileError
from api.code_import.file_reader import Records
from api.code_import.import_pipeline import Pipeline
from api.code_import.importer import CodeImport
from api.code_import.row_parser import CODE_FILE, COLUMNS
from api.errors import ApplicationError
from api.schemas.parsing import SEVERAL_LINES
from api.use_cases.administration.batch_runner import SLICE, IssuedSlice
from api.use_cases.administration.batches import start_batch
from api.use_cases.campaign_actions import apply_defaults
from api.use_cases.issue_codes import CodeTemplate
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.admin.issue import describe_code_terms, find_campaign, template_of
from api.web.forms import NOTE_LENGTH_MAX, FormFields, id_from_nonce, new_nonce
from api.web.rendering import see_other
from api.web.staff_auth.sessions import (
    Admin,
    InvalidFormTokenError,
    SupportRoute,
    has_valid_csrf_token,
)
from api.web.staff_auth.staff import Staff
from projections.repositories.issue_batches import Batch, NewBatch, derive_code_id

PATH: Final = "/admin/import"
FILE_BYTES_MAX: Final = 16 * 2**20
"""A file of some 300,000 codes. It is kept in memory during the import and never stored."""
RECORDS_MAX: Final = 1_000_000
RETRY_S: Final = 30

router = APIRouter(prefix=PATH, route_class=SupportRoute)


@router.get("")
def show_form(request: Request, admin: AdminContextDep, staff: Admin) -> Response:
    """Ask for the file."""
    return _render(request, admin, staff, FormFields({"bound": "yes"}))


@router.post("")
async def import_file(request: Request, admin: AdminContextDep, staff: Admin) -> Response:
    """Check the file, store the batch, and import its lines in the background."""
    # The body is read only after the admin is authenticated.
    async with request.form(max_files=1, max_fields=20) as sent:
        fields = FormFields({name: value for name, value in sent.items() if isinstance(value, str)})
        token = fields.values.get("token", "")
        if not has_valid_csrf_token(request, admin.support, request.cookies.get(COOKIE), token):
            raise InvalidFormTokenError
        file = sent.get("file")
        data = await file.read() if isinstance(file, UploadFile) else b""
    return await admin.services.run_blocking(_import, request, admin, staff, fields, data)


def _import(request: Request, admin: AdminContext, staff: Staff, fields: FormFields, data: bytes) -> Response:
    template, campaign, records, count = template_of(fields, admin), find_campaign(admin, fields), None, 0
    if campaign is not None:
        terms = apply_defaults(template.terms, campaign, fields.named_terms)
        template = replace(template, terms=terms, campaign_id=campaign.campaign_id)
    try:
        records = Records(io.BytesIO(data), "csv", CODE_FILE)
        count = records.count()
    except UnusableFileError as error:
        fields.errors["file"] = error.reason
    else:
        if not 0 < count <= RECORDS_MAX:
            fields.errors["file"] = "too_many" if count else "no_lines"
    if records is None or fields.errors:
        return _render(request, admin, staff, fields)
    new_batch = _new_batch(admin, staff, fields, template, count)
    _start_import(admin, staff, new_batch, records)
    return see_other(f"/admin/batches/{new_batch.batch_id}")


def _start_import(admin: AdminContext, staff: Staff, new_batch: NewBatch, records: Records) -> None:
    runner = admin.runner
    if not runner.reserve_import():
        raise ApplicationError("OVERLOADED", retry_after_s=RETRY_S)
    batch = None
    try:
        if start_batch(admin.services.open_audit_log(staff.caller()), admin.batches, new_batch):
            batch = admin.batches.find(new_batch.batch_id)
    finally:
        if batch is None:
            runner.release_import()
    if batch is not None:
        runner.start_import(batch, _import_slices(admin, batch, records))


def _import_slices(admin: AdminContext, batch: Batch, records: Records) -> Iterator[IssuedSlice]:
    codes = CodeImport(
        storage=admin.services.storage,
        records=records,
        default=CodeTemplate(
            terms=batch.terms, bound=batch.bound, note_id=batch.text_id, campaign_id=batch.campaign_id
        ),
        context=partial(admin.runner.create_context, batch),
        new_id=admin.services.new_id,
        code_id=partial(derive_code_id, batch.batch_id),
    )
    for imported in Pipeline(codes).iterate(is_applied=True, size=SLICE):
        yield IssuedSlice(len(imported.records), [(record.line, fault.reason) for record, fault in imported.faulty])


def _new_batch(admin: AdminContext, staff: Staff, fields: FormFields, template: CodeTemplate, count: int) -> NewBatch:
    services, batch_id = admin.services, id_from_nonce(fields.values.get("nonce", ""))
    note = fields.text("note", NOTE_LENGTH_MAX, pattern=SEVERAL_LINES)[:NOTE_LENGTH_MAX]
    return NewBatch(
        batch_id=batch_id,
        kind="import",
        staff_id=staff.staff_id,
        prefix="",
        terms=template.terms,
        bound=template.bound,
        wanted=count,
        campaign_id=template.campaign_id,
        note=services.storage.vault.seal_text(note, services.new_id(), batch_id) if note else None,
        runner=admin.runner.me,
        lease_until=admin.runner.lease_until(),
    )


def _render(request: Request, admin: AdminContext, staff: Staff, fields: FormFields) -> Response:
    return admin_page(
        request,
        "code_import.html",
        staff,
        status=422 if fields.errors else 200,
        values=fields.values,
        errors=fields.errors,
        nonce=new_nonce(),
        **describe_code_terms(admin, fields),
        columns=COLUMNS,
        megabytes_max=FILE_BYTES_MAX // 2**20,
    )
