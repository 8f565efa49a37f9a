"""The page that checks and imports codes of a CSV file; the batch lists each rejected line with number and reason."""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.code_import.encodings import Encoding
from api.code_import.faults import RejectedRecordError, UnusableFileError
from api.code_import.file_reader import Record, Records
from api.code_import.import_pipeline import REPORTED_LINES_MAX, ImportCounts, Pipeline
from api.code_import.importer import CodeImport
from api.code_import.row_parser import CODE_FILE, COLUMNS
from api.errors import ApplicationError
from api.schemas.parsing import SEVERAL_LINES
from api.use_cases.administration.batch_changes import SLICE
from api.use_cases.administration.batch_runner import IssuedSlice
from api.use_cases.administration.batches import start_batch
from api.use_cases.campaign_actions import apply_defaults
from api.use_cases.issue_codes import CodeTemplate
from api.use_cases.run_blocking import run_blocking
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.admin.issue import describe_code_terms, find_campaign, template_of
from api.web.admin.uploads import UPLOAD_S_MAX, SentFile, read_sent_file, send_rejects
from api.web.forms import NOTE_LENGTH_MAX, FormFields, id_from_nonce, new_nonce
from api.web.rendering import see_other
from api.web.staff_auth.sessions import Admin, SupportRoute
from api.web.staff_auth.staff import Staff
from domain.commands.context import CommandContext
from projections.repositories.issue_batches import Batch, NewBatch, derive_code_id

PATH: Final = "/admin/import"
FILE_BYTES_MAX: Final = 16 * 2**20
"""A file of some 300,000 codes. It is kept in memory during the import and never stored."""
RECORDS_MAX: Final = 1_000_000
RETRY_S: Final = 30
NO_FACTS: Final[Mapping[str, str | int]] = {}

router = APIRouter(prefix=PATH, route_class=SupportRoute)


class _CheckedFile(NamedTuple):
    """What the page says about a checked file; `rejected`: line, column, value and reason of its first bad lines."""

    counts: ImportCounts
    rejected: list[tuple[int, str, str, str]]
    encoding: Encoding


@router.get("")
def show_form(request: Request, admin: AdminContextDep, staff: Admin) -> Response:
    """Ask for the file."""
    return _render(request, admin, staff, FormFields({"bound": "yes"}))


@router.post("")
async def import_file(request: Request, admin: AdminContextDep, staff: Admin) -> Response:
    """Check the file, or store the batch and import its lines in the background, as the button says."""
    file = await read_sent_file(request, admin)
    return await run_blocking(UPLOAD_S_MAX, _process, request, admin, staff, file)


def _process(request: Request, admin: AdminContext, staff: Staff, file: SentFile) -> Response:
    fields = FormFields(file.values)
    template, campaign, records, count = template_of(fields, admin), find_campaign(admin, fields), None, 0
    if campaign is not None:
        terms = apply_defaults(template.terms, campaign, fields.named_terms)
        template = replace(template, terms=terms, campaign_id=campaign.campaign_id)
    facts = NO_FACTS
    try:
        records = Records(io.BytesIO(file.data), "csv", CODE_FILE)
        count = records.count()
    except UnusableFileError as error:
        fields.errors["file"], facts = error.reason, error.facts
    else:
        if not 0 < count <= RECORDS_MAX:
            fields.errors["file"] = "too_many" if count else "no_lines"
    if records is None or fields.errors:
        return _render(request, admin, staff, fields, file_facts=facts)
    if not admin.runner.reserve_import():
        raise ApplicationError("OVERLOADED", retry_after_s=RETRY_S)
    is_started = False
    try:
        codes = _declare(admin, records, template, lambda: admin.services.context(staff.caller()))
        if file.intent == "rejects":
            return send_rejects(codes, records)
        checked = _check(codes, records, is_check=file.intent == "check")
        if file.intent == "check" or (checked.counts.new_groups and fields.values.get("new_groups") != "yes"):
            return _render(request, admin, staff, fields, checked)
        new_batch = _new_batch(admin, staff, fields, template, count)
        is_started = _start_import(admin, staff, new_batch, records)
    finally:
        if not is_started:
            admin.runner.release_import()
    return see_other(f"/admin/batches/{new_batch.batch_id}")


def _check(codes: CodeImport, records: Records, *, is_check: bool) -> _CheckedFile:
    """Check a file, or only which of its groups are new."""
    rejected = list[tuple[int, str, str, str]]()

    def keep(record: Record, fault: RejectedRecordError) -> None:
        if len(rejected) < REPORTED_LINES_MAX:
            value = records.find_cell(record, fault.column)
            rejected.append((record.line, fault.column, value, fault.reason))

    pipeline = Pipeline(codes, keep)
    if is_check:
        return _CheckedFile(pipeline.run(dry_run=True), rejected, records.encoding)
    return _CheckedFile(ImportCounts(new_groups=pipeline.find_new_groups()), [], records.encoding)


def _start_import(admin: AdminContext, staff: Staff, new_batch: NewBatch, records: Records) -> bool:
    """Start a reserved import; False if its batch exists already, or cannot be found."""
    batch = None
    if start_batch(admin.services.open_audit_log(staff.caller()), admin.batches, new_batch):
        batch = admin.batches.find(new_batch.batch_id)
    if batch is not None:
        admin.runner.start_import(batch, _import_slices(admin, batch, records))
    return batch is not None


def _import_slices(admin: AdminContext, batch: Batch, records: Records) -> Iterator[IssuedSlice]:
    template = CodeTemplate(terms=batch.terms, bound=batch.bound, note_id=batch.text_id, campaign_id=batch.campaign_id)
    codes = _declare(
        admin, records, template, partial(admin.runner.create_context, batch), partial(derive_code_id, batch.batch_id)
    )
    for imported in Pipeline(codes).iterate(is_applied=True, size=SLICE):
        yield IssuedSlice(len(imported.records), [(record.line, fault.reason) for record, fault in imported.faulty])


def _declare(
    admin: AdminContext,
    records: Records,
    template: CodeTemplate,
    context: Callable[[], CommandContext],
    code_id: Callable[[int], UUID] | None = None,
) -> CodeImport:
    return CodeImport(
        storage=admin.services.storage,
        records=records,
        default=template,
        context=context,
        new_id=admin.services.new_id,
        code_id=code_id,
    )


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


def _render(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    fields: FormFields,
    checked: _CheckedFile | None = None,
    file_facts: Mapping[str, str | int] = NO_FACTS,
) -> Response:
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
        checked=checked,
        file_facts=file_facts,
    )
