"""Codes from a file: plain CSV, taken line by line, each refused line with its number and reason."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Protocol

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import UploadFile

from api.auth.session_cookies import COOKIE
from api.code_import.row_parser import CellFaultError, code_text, row_terms, used_uses
from api.errors import ApplicationError
from api.schemas.csv_cells import without_mark
from api.use_cases.administration.batch_runner import Row
from api.use_cases.administration.batches import start_batch
from api.use_cases.issue_codes import NEW, CodeTemplate, Usage
from api.web.admin.context import Office, TheOffice
from api.web.admin.forms import (
    NOTE_LENGTH_MAX,
    Fields,
    admin_page,
    gone_to,
    new_nonce,
)
from api.web.admin.issue import batch_id_of, template_of
from api.web.staff_auth.sessions import Admin, InvalidFormTokenError, Staff, SupportRoute, is_own_form
from domain.values.number_bounds import DAYS, REBINDS
from projections.repositories.issue_batches import Batch, NewBatch

PATH: Final = "/admin/import"
FILE_BYTES_MAX: Final = 16 * 2**20
"""A file of some 300,000 codes. It is held in memory while it is worked through, and never written down."""
LINES_MAX: Final = 1_000_000
RETRY_S: Final = 30
COLUMNS: Final = ("code", "max_uses", "used", "open", "expires_at", "validity_days", "rebinds_max", "group")
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


class FileFaultError(Exception):
    """The file as a whole can't be read; the message is the end of a key."""


@router.get("")
async def form(request: Request, staff: Admin) -> Response:
    """Ask for the file."""
    return _form(request, staff, Fields({"max_uses": "1", "bound": "yes"}))


@router.post("")
async def take(request: Request, office: TheOffice, staff: Admin) -> Response:
    """Look the file over, write the batch down, and work through it in the background."""
    # Only now that the admin is known: until then nothing of the body is read.
    async with request.form(max_files=1, max_fields=20) as sent:
        fields = Fields({name: value for name, value in sent.items() if isinstance(value, str)})
        if not is_own_form(request, office.desk, request.cookies.get(COOKIE), fields.sent.get("token", "")):
            raise InvalidFormTokenError
        file = sent.get("file")
        data = await file.read() if isinstance(file, UploadFile) else b""
    usual = template_of(fields, office)
    try:
        count = await office.services.read(lambda: count_records(data))
    except FileFaultError as fault:
        fields.faults["file"] = str(fault)
        count = 0
    if fields.faults:
        return _form(request, staff, fields)
    return await _begin(office, staff, fields, usual, data, count)


async def _begin(
    office: Office, staff: Staff, fields: Fields, usual: CodeTemplate, data: bytes, count: int
) -> Response:
    services, runner = office.services, office.runner
    if not runner.begin_file():
        raise ApplicationError("OVERLOADED", retry_after_s=RETRY_S)
    wish = _wish(office, staff, fields, usual, count)
    action = services.action(staff.caller(None))

    def start() -> Batch | None:
        return office.batches.find(wish.batch_id) if start_batch(action, office.batches, wish) else None

    batch = None
    try:
        batch = await services.read(start)
    finally:
        if batch is None:
            runner.give_up_file()
    if batch is not None:
        runner.take_file(batch, records(data, replace(usual, note_id=batch.text_id)))
    return gone_to(f"/admin/batches/{wish.batch_id}")


def _wish(office: Office, staff: Staff, fields: Fields, usual: CodeTemplate, count: int) -> NewBatch:
    services, batch_id = office.services, batch_id_of(fields)
    note = fields.text("note", NOTE_LENGTH_MAX, is_line=False)[:NOTE_LENGTH_MAX]
    return NewBatch(
        batch_id=batch_id,
        kind="import",
        staff_id=staff.staff_id,
        prefix="",
        terms=usual.terms,
        bound=usual.bound,
        wanted=count,
        note=services.storage.vault.seal_text(note, services.new_id(), batch_id) if note else None,
        runner=office.runner.me,
        lease_until=office.runner.lease_until(),
    )


def count_records(data: bytes) -> int:
    """How many records a file has; its columns are known ones.

    Raises:
        FileFaultError: It can't be taken as a whole.
    """
    if not data:
        raise FileFaultError("empty")
    reader = _reader(data)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        if "code" not in names or len(set(names)) < len(names):
            raise FileFaultError("columns")
        if not set(names) <= {*COLUMNS, *IGNORED}:
            raise FileFaultError("unknown_columns")
        count = sum(1 for record in reader if record)
    except UnicodeDecodeError as bad:
        raise FileFaultError("encoding") from bad
    except csv.Error as bad:
        raise FileFaultError("csv") from bad
    if not 0 < count <= LINES_MAX:
        raise FileFaultError("no_lines" if count == 0 else "too_many")
    return count


def records(data: bytes, usual: CodeTemplate) -> Iterator[Row]:
    """The records of a file that `count_records` has passed; what a record leaves open is as usual."""
    reader = _reader(data)
    names = [name.strip().lower() for name in next(reader)]
    for record in reader:
        if record:
            yield _row(reader.line_num, names, record, usual)


def _reader(data: bytes) -> CsvReader:
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    return csv.reader(text, strict=True)


def _row(line: int, names: list[str], record: list[str], usual: CodeTemplate) -> Row:
    if len(record) > len(names):
        return Row(line, "", None, "columns")
    cells = dict(zip(names, (without_mark(cell.strip()) for cell in record), strict=False))
    try:
        template, used = row_terms(cells, usual), used_uses(cells, usual)
        return Row(line, code_text(cells.get("code", "")), template, usage=Usage(used=used) if used else NEW)
    except CellFaultError as bad:
        return Row(line, "", None, bad.column)


def _form(request: Request, staff: Staff, fields: Fields) -> Response:
    return admin_page(
        request,
        "import.html",
        staff,
        status=422 if fields.faults else 200,
        sent=fields.sent,
        faults=fields.faults,
        nonce=new_nonce(),
        columns=COLUMNS,
        days_max=DAYS.most,
        rebinds_max=REBINDS.most,
        megabytes_max=FILE_BYTES_MAX // 2**20,
    )
