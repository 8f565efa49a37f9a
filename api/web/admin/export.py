"""Codes as a file: with a reason, written down, since it holds their texts."""

from collections.abc import Iterator
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response, StreamingResponse

from api.schemas.csv_cells import TYPE, csv_line
from api.use_cases.export_rows import CODE_COLUMNS, code_row, record_lines
from api.web.admin.batches import found_batch
from api.web.admin.codes import Filter, TheFilter, all_rows
from api.web.admin.context import Office, TheOffice
from api.web.admin.forms import admin_page
from api.web.staff_auth.sessions import ActingAdmin, Admin, Staff, SupportRoute
from projections.repositories.issue_batches import Batch

REASON_LENGTH_MAX: Final = 500
SLICE: Final = 500

router = APIRouter(prefix="/admin", route_class=SupportRoute)


@router.get("/codes/export")
async def ask_for_list(request: Request, staff: Admin, wish: TheFilter) -> Response:
    """Ask for the reason."""
    return _form(request, staff, f"/admin/codes?{wish.query()}")


@router.post("/codes/export")
async def export_list(
    request: Request, office: TheOffice, staff: ActingAdmin, wish: TheFilter, reason: Annotated[str, Form()] = ""
) -> Response:
    """The codes of a filtered list."""
    if not _is_reason(reason):
        return _form(request, staff, f"/admin/codes?{wish.query()}", reason)
    await _write_down(office, staff, None, reason)
    return _file("codes.csv", _lines_of_list(office, wish))


@router.get("/batches/{batch_id}/export")
async def ask_for_batch(request: Request, staff: Admin, batch_id: UUID) -> Response:
    """Ask for the reason."""
    return _form(request, staff, f"/admin/batches/{batch_id}")


@router.post("/batches/{batch_id}/export")
async def export_batch(
    request: Request, office: TheOffice, staff: ActingAdmin, batch_id: UUID, reason: Annotated[str, Form()] = ""
) -> Response:
    """The codes of a batch, as many as there are by now."""
    if not _is_reason(reason):
        return _form(request, staff, f"/admin/batches/{batch_id}", reason)
    batch = await office.services.read(lambda: found_batch(office, batch_id))
    await _write_down(office, staff, batch_id, reason)
    return _file(f"codes-{str(batch_id)[:8]}.csv", _lines_of_batch(office, batch))


def _is_reason(text: str) -> bool:
    return 0 < len(text.strip()) <= REASON_LENGTH_MAX


async def _write_down(office: Office, staff: Staff, batch_id: UUID | None, reason: str) -> None:
    action = office.services.action(staff.caller(None))
    await office.services.read(lambda: action.record("exported_codes", batch_id, reason.strip()))


def _lines_of_batch(office: Office, batch: Batch) -> Iterator[bytes]:
    yield csv_line(CODE_COLUMNS).encode()
    for start in range(0, batch.done, SLICE):
        ids = [code_id for _, code_id in batch.derive_code_ids(start, SLICE)]
        rows = office.codes.find_balances(ids)
        yield from _records(office, [rows[code_id] for code_id in ids if code_id in rows])


def _lines_of_list(office: Office, wish: Filter) -> Iterator[bytes]:
    yield csv_line(CODE_COLUMNS).encode()
    for rows in all_rows(office, wish):
        yield from _records(office, rows)


def _records(office: Office, rows: list[dict[str, Any]]) -> Iterator[bytes]:
    texts = office.codes.find_texts([row["code_id"] for row in rows], clear=True)
    now = office.services.now()
    return record_lines((code_row(row, texts.get(row["code_id"]), now) for row in rows), CODE_COLUMNS, "csv")


def _file(name: str, lines: Iterator[bytes]) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(lines, media_type=TYPE, headers=headers)


def _form(request: Request, staff: Staff, back: str, reason: str | None = None) -> Response:
    return admin_page(
        request,
        "export.html",
        staff,
        status=200 if reason is None else 422,
        back=back,
        reason=(reason or "")[:REASON_LENGTH_MAX],
        is_refused=reason is not None,
        reason_length_max=REASON_LENGTH_MAX,
    )
