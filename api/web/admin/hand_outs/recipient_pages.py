"""The recipients of a hand-out at the admin console: upload of lists, export with their states."""

import io
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from api.code_import.faults import UnusableFileError
from api.code_import.file_reader import Records
from api.code_import.hand_out_upload import HandOutUpload
from api.code_import.import_pipeline import Pipeline
from api.code_import.list_report import ListReport, save_report
from api.code_import.recipient_list import RECIPIENT_FILE
from api.errors import malformed
from api.http.file_stream import stream_file
from api.i18n.languages import LANGUAGES, find_language
from api.schemas.csv_cells import TYPE
from api.schemas.parsing import InvalidInputError, parse_id
from api.use_cases.export_rows import lines_of
from api.use_cases.hand_outs.hand_out_actions import find_details, find_progress
from api.use_cases.hand_outs.hand_out_export import PEOPLE_COLUMNS, export_people
from api.use_cases.run_blocking import run_blocking
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.admin.hand_outs.hand_out_pages import HandOutPageView, render_hand_out
from api.web.admin.uploads import CARRIED_BYTES_MAX, UPLOAD_S_MAX, SentFile, carry_file, read_sent_file, send_rejects
from api.web.forms import describe_reason_form, is_valid_reason
from api.web.rendering import see_other
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute
from api.web.staff_auth.staff import Staff

UPLOAD_PATH: Final = "/admin/hand-outs/recipients"
FILE_BYTES_MAX: Final = CARRIED_BYTES_MAX
LINES_MAX: Final = 20_000
"""Lines of one file: they are stored within `UPLOAD_S_MAX` on a machine with two cores. Longer lists come in parts."""

router = APIRouter(prefix="/admin/hand-outs", route_class=SupportRoute)


@router.post("/recipients")
async def upload_list(request: Request, admin: AdminContextDep, staff: Admin) -> Response:
    """Check a list, return its invalid lines, or add its recipients if every line is valid, as the button says.

    If that sends emails at once, say how many, and ask for the reason before.
    """
    file = await read_sent_file(request, admin)
    hand_out_id = _parse_hand_out(file.values.get("hand_out", ""))
    return await run_blocking(UPLOAD_S_MAX, _upload, request, admin, staff, hand_out_id, file)


def _parse_hand_out(text: str) -> UUID:
    try:
        return parse_id("hand_out", text)
    except InvalidInputError as error:
        raise malformed("hand_out", error.detail) from error


def _upload(request: Request, admin: AdminContext, staff: Staff, hand_out_id: UUID, file: SentFile) -> Response:
    find_details(admin.services, hand_out_id)
    report = _process(request, admin, staff, hand_out_id, file)
    if isinstance(report, Response):
        return report
    if report.file_facts:  # they repeat the first line, which may be about a person, so they are not stored
        return render_hand_out(request, admin, staff, hand_out_id, HandOutPageView(report=report))
    report_id = save_report(admin.services, staff.staff_id, hand_out_id, report)
    return see_other(f"/admin/hand-outs/{hand_out_id}?report={report_id}")


def _process(
    request: Request, admin: AdminContext, staff: Staff, hand_out_id: UUID, file: SentFile
) -> ListReport | Response:
    is_check = file.intent != "add"
    if file.data.count(b"\n") > LINES_MAX + 1:
        return ListReport(is_check=is_check, file_error="too_many")
    is_json = file.name.lower().endswith((".jsonl", ".ndjson", ".json")) or file.data.lstrip()[:1] == b"{"
    try:
        records = Records(io.BytesIO(file.data), "jsonl" if is_json else "csv", RECIPIENT_FILE)
    except UnusableFileError as error:
        return ListReport(is_check=is_check, file_error=error.reason, file_facts=error.facts)
    language = find_language(file.values.get("language")) or LANGUAGES[0]
    upload = HandOutUpload.open(admin.services, staff.caller(), hand_out_id, records, language)
    if file.intent == "rejects":
        return send_rejects(upload, records)
    reason = file.values.get("reason")
    asks = not is_check and upload.is_sent_at_once and not is_valid_reason(reason or "")
    upload.note = reason.strip() if reason else None
    counts = Pipeline(upload).run(dry_run=is_check or asks)
    report = ListReport.of(upload, counts, encoding=records.encoding, is_check=is_check)
    if not asks or report.rejected or not report.added:
        return report
    upload.check_variables()
    return _ask_before_sending(request, admin, staff, hand_out_id, report, file)


def _ask_before_sending(
    request: Request, admin: AdminContext, staff: Staff, hand_out_id: UUID, report: ListReport, file: SentFile
) -> Response:
    carried = {name: file.values.get(name, "") for name in ("hand_out", "language", "intent")}
    return admin_page(
        request,
        "hand_out_add.html",
        staff,
        progress=find_progress(admin.services, hand_out_id),
        report=report,
        carried={**carried, **carry_file(file)},
        **describe_reason_form(file.values.get("reason")),
    )


@router.get("/{hand_out_id}/export")
def show_export_form(request: Request, admin: AdminContextDep, staff: Admin, hand_out_id: UUID) -> Response:
    """Ask for the reason."""
    return _render_export(request, admin, staff, hand_out_id)


@router.post("/{hand_out_id}/export")
def export_on_page(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    hand_out_id: UUID,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Send the recipients with their email addresses and states."""
    if not is_valid_reason(reason):
        return _render_export(request, admin, staff, hand_out_id, reason)
    lines = lines_of(export_people(admin.services, staff.caller(), hand_out_id, reason), PEOPLE_COLUMNS, "csv")
    return stream_file(admin.services.heavy_reads, lines, TYPE, f"hand-out-{str(hand_out_id)[:8]}.csv")


def _render_export(
    request: Request, admin: AdminContext, staff: Staff, hand_out_id: UUID, reason: str | None = None
) -> Response:
    details, _ = find_details(admin.services, hand_out_id)
    return admin_page(
        request,
        "hand_out_export.html",
        staff,
        name=details.created.name,
        back=f"/admin/hand-outs/{hand_out_id}",
        **describe_reason_form(reason),
    )
