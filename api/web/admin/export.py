"""The pages that export codes as CSV; the file holds codes in plain text, so a reason goes into the audit log."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from api.http.file_stream import stream_file
from api.schemas.csv_cells import TYPE, csv_line
from api.use_cases.administration.chosen_codes import iter_rows_of_list
from api.use_cases.export_rows import CODE_COLUMNS, code_row, record_lines
from api.web.admin.batches import get_batch
from api.web.admin.codes import CodeFilterDep, CodeListFilter
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.forms import describe_reason_form, is_valid_reason
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute
from api.web.staff_auth.staff import Staff
from projections.read_models.code_list import CodeListReader
from projections.repositories.issue_batches import Batch

CHUNK: Final = 500

router = APIRouter(prefix="/admin", route_class=SupportRoute)


@router.get("/codes/export")
def show_list_form(request: Request, staff: Admin, code_filter: CodeFilterDep) -> Response:
    """Ask for the reason."""
    return _render(request, staff, f"/admin/codes?{code_filter.query()}")


@router.post("/codes/export")
def export_list(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    code_filter: CodeFilterDep,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Send the codes of a filtered list."""
    if not is_valid_reason(reason):
        return _render(request, staff, f"/admin/codes?{code_filter.query()}", reason)
    admin.support.audit(staff.caller(), "exported_codes", None, reason.strip())
    codes = CodeListReader(admin.services.reports.read_everything())
    lines = _lines_of_list(replace(admin, codes=codes), code_filter)
    return stream_file(admin.services.heavy_reads, lines, TYPE, "codes.csv")


@router.get("/batches/{batch_id}/export")
def show_batch_form(request: Request, staff: Admin, batch_id: UUID) -> Response:
    """Ask for the reason."""
    return _render(request, staff, f"/admin/batches/{batch_id}")


@router.post("/batches/{batch_id}/export")
def export_batch(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, batch_id: UUID, reason: Annotated[str, Form()] = ""
) -> Response:
    """Send the codes of a batch, as far as they are issued."""
    if not is_valid_reason(reason):
        return _render(request, staff, f"/admin/batches/{batch_id}", reason)
    batch = get_batch(admin, batch_id)
    admin.support.audit(staff.caller(), "exported_codes", batch_id, reason.strip())
    lines = _lines_of_batch(admin, batch)
    return stream_file(admin.services.heavy_reads, lines, TYPE, f"codes-{str(batch_id)[:8]}.csv")


def _lines_of_batch(admin: AdminContext, batch: Batch) -> Iterator[bytes]:
    yield csv_line(CODE_COLUMNS).encode()
    for start in range(0, batch.done, CHUNK):
        ids = [code_id for _, code_id in admin.batches.list_code_ids(batch, start, CHUNK)]
        rows = admin.codes.find_balances(ids)
        yield from _encode_rows(admin, [rows[code_id] for code_id in ids if code_id in rows])


def _lines_of_list(admin: AdminContext, code_filter: CodeListFilter) -> Iterator[bytes]:
    yield csv_line(CODE_COLUMNS).encode()
    for rows in iter_rows_of_list(admin.codes, code_filter, admin.services.now):
        yield from _encode_rows(admin, rows)


def _encode_rows(admin: AdminContext, rows: list[dict[str, Any]]) -> Iterator[bytes]:
    texts = admin.codes.find_texts([row["code_id"] for row in rows], clear=True)
    now = admin.services.now()
    return record_lines((code_row(row, texts.get(row["code_id"]), now) for row in rows), CODE_COLUMNS, "csv")


def _render(request: Request, staff: Staff, back_url: str, reason: str | None = None) -> Response:
    return admin_page(
        request,
        "export.html",
        staff,
        back_url=back_url,
        **describe_reason_form(reason),
    )
