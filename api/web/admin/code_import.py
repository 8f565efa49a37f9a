"""The page that imports codes from a CSV file; the batch lists each rejected line with its number and reason."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Protocol

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import UploadFile

from api.auth.session_cookies import COOKIE
from api.code_import.row_parser import TERM_COLUMNS, CellFaultError, code_text, row_terms, used_uses
from api.errors import ApplicationError
from api.schemas.csv_cells import without_mark
from api.use_cases.administration.batch_runner import Row
from api.use_cases.administration.batches import start_batch
from api.use_cases.issue_codes import NEW, CodeTemplate, Usage
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.admin.issue import template_of
from api.web.forms import NOTE_LENGTH_MAX, FormFields, id_from_nonce, new_nonce
from api.web.rendering import see_other
from api.web.staff_auth.sessions import (
    Admin,
    InvalidFormTokenError,
    Staff,
    SupportRoute,
    has_valid_csrf_token,
)
from projections.repositories.issue_batches import NewBatch

PATH: Final = "/admin/import"
FILE_BYTES_MAX: Final = 16 * 2**20
"""A file of some 300,000 codes. It is held in memory while it is worked through, and never written down."""
LINES_MAX: Final = 1_000_000
RETRY_S: Final = 30
COLUMNS: Final = ("code", "used", *TERM_COLUMNS)
IGNORED: Final = ("id", "state", "reserved", "available", "issued_at")
"""Columns of our own files that say how a code stands there; `ledger import-codes` reads more of them."""

router = APIRouter(prefix=PATH, route_class=SupportRoute)


class CsvReader(Protocol):
    """What `csv.reader` gives."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]:
        """Records."""

    def __next__(self) -> list[str]:
        """The next one."""


class UnusableFileError(Exception):
    """The file as a whole can't be read; the message is the end of a key."""


@router.get("")
def show_form(request: Request, staff: Admin) -> Response:
    """Ask for the file."""
    return _render(request, staff, FormFields({"max_uses": "1", "bound": "yes"}))


@router.post("")
async def import_file(request: Request, admin: AdminContextDep, staff: Admin) -> Response:
    """Check the file, store the batch, and import its lines in the background."""
    # Only now that the admin is known: until then nothing of the body is read.
    async with request.form(max_files=1, max_fields=20) as sent:
        fields = FormFields({name: value for name, value in sent.items() if isinstance(value, str)})
        token = fields.values.get("token", "")
        if not has_valid_csrf_token(request, admin.support, request.cookies.get(COOKIE), token):
            raise InvalidFormTokenError
        file = sent.get("file")
        data = await file.read() if isinstance(file, UploadFile) else b""
    return await admin.services.run_blocking(_import, request, admin, staff, fields, data)


def _import(request: Request, admin: AdminContext, staff: Staff, fields: FormFields, data: bytes) -> Response:
    defaults = template_of(fields, admin)
    try:
        count = count_records(data)
    except UnusableFileError as error:
        fields.errors["file"] = str(error)
        count = 0
    if fields.errors:
        return _render(request, staff, fields)
    return _start_import(admin, staff, fields, defaults, data, count)


def _start_import(
    admin: AdminContext, staff: Staff, fields: FormFields, defaults: CodeTemplate, data: bytes, count: int
) -> Response:
    services, runner = admin.services, admin.runner
    if not runner.begin_file():
        raise ApplicationError("OVERLOADED", retry_after_s=RETRY_S)
    new_batch = _new_batch(admin, staff, fields, defaults, count)
    action = services.action(staff.caller())
    batch = None
    try:
        if start_batch(action, admin.batches, new_batch):
            batch = admin.batches.find(new_batch.batch_id)
    finally:
        if batch is None:
            runner.give_up_file()
    if batch is not None:
        runner.take_file(batch, records(data, replace(defaults, note_id=batch.text_id)))
    return see_other(f"/admin/batches/{new_batch.batch_id}")


def _new_batch(admin: AdminContext, staff: Staff, fields: FormFields, defaults: CodeTemplate, count: int) -> NewBatch:
    services, batch_id = admin.services, id_from_nonce(fields.values.get("nonce", ""))
    note = fields.text("note", NOTE_LENGTH_MAX, is_line=False)[:NOTE_LENGTH_MAX]
    return NewBatch(
        batch_id=batch_id,
        kind="import",
        staff_id=staff.staff_id,
        prefix="",
        terms=defaults.terms,
        bound=defaults.bound,
        wanted=count,
        note=services.storage.vault.seal_text(note, services.new_id(), batch_id) if note else None,
        runner=admin.runner.me,
        lease_until=admin.runner.lease_until(),
    )


def count_records(data: bytes) -> int:
    """How many records a file has; its columns are known ones.

    Raises:
        FileFaultError: It can't be taken as a whole.
    """
    if not data:
        raise UnusableFileError("empty")
    reader = _reader(data)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        if "code" not in names or len(set(names)) < len(names):
            raise UnusableFileError("columns")
        if not set(names) <= {*COLUMNS, *IGNORED}:
            raise UnusableFileError("unknown_columns")
        count = sum(1 for record in reader if record)
    except UnicodeDecodeError as error:
        raise UnusableFileError("encoding") from error
    except csv.Error as error:
        raise UnusableFileError("csv") from error
    if not 0 < count <= LINES_MAX:
        raise UnusableFileError("no_lines" if count == 0 else "too_many")
    return count


def records(data: bytes, defaults: CodeTemplate) -> Iterator[Row]:
    """The records of a file that `count_records` has passed; what a record leaves open is as usual."""
    reader = _reader(data)
    names = [name.strip().lower() for name in next(reader)]
    for record in reader:
        if record:
            yield _row(reader.line_num, names, record, defaults)


def _reader(data: bytes) -> CsvReader:
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    return csv.reader(text, strict=True)


def _row(line: int, names: list[str], record: list[str], defaults: CodeTemplate) -> Row:
    if len(record) > len(names):
        return Row(line, "", None, "columns")
    cells = dict(zip(names, (without_mark(cell.strip()) for cell in record), strict=False))
    try:
        template, used = row_terms(cells, defaults), used_uses(cells, defaults)
        return Row(line, code_text(cells.get("code", "")), template, usage=Usage(used=used) if used else NEW)
    except CellFaultError as error:
        return Row(line, "", None, error.column)


def _render(request: Request, staff: Staff, fields: FormFields) -> Response:
    return admin_page(
        request,
        "code_import.html",
        staff,
        status=422 if fields.errors else 200,
        values=fields.values,
        errors=fields.errors,
        nonce=new_nonce(),
        columns=COLUMNS,
        megabytes_max=FILE_BYTES_MAX // 2**20,
    )
