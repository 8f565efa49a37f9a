"""The pages of batches: progress, issued codes, and rejected lines of a file."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Final, get_args
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response

from api.code_import.file_reader import BOM
from api.errors import ApplicationError
from api.http.file_stream import stream_file
from api.http.pagination import Page, count_list, fill_page, format_cursor
from api.i18n.catalogs import translator
from api.i18n.code_sentences import say_number
from api.i18n.messages import refusal_title
from api.schemas.csv_cells import TYPE, csv_line
from api.schemas.numbers import IN_DIGITS
from api.use_cases.administration.batches import stop_batch
from api.web.admin.confirmation import Question, ask_confirmation
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.forms import is_valid_reason
from api.web.list_order import SortedBy
from api.web.rendering import see_other
from api.web.staff_auth.rendering import get_language
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute
from api.web.staff_auth.staff import Staff
from api.web.support.view_models import name_code_state
from domain.commands.code.issue import find_valid_days
from domain.ports import Language
from domain.values.identifiers import format_code
from projections.definitions.tables.code_balances import code_from_named_row
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.code_list import CodeText
from projections.repositories.issue_batches import Batch, ChangeKind

PER_PAGE: Final = 50
BY_START: Final = SortedBy(column="started", default="newest")
CHUNK: Final = 1_000
NumberedRow = tuple[int, dict[str, Any] | None]
"""Number and balance of a code of a batch."""
CODES_VISIBLE_S: Final = 1800
"""Seconds for which the admin who requested codes sees them in plain text; later only an export shows them."""

router = APIRouter(prefix="/admin/batches", route_class=SupportRoute)


@router.get("")
def list_batches(
    request: Request,
    admin: AdminContextDep,
    staff: Admin,
    by: Annotated[SortedBy, Depends(BY_START.choose)],
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """List all batches by the time of their request."""
    rows = admin.batches.list_page(by.find_place(cursor), PER_PAGE + 1, by.order)
    page = Page.of(rows, PER_PAGE, lambda row: format_cursor(row.requested_at, row.batch_id))
    return admin_page(
        request,
        "batches.html",
        staff,
        by=by,
        batches=page.rows,
        total=count_list(admin.services.storage, "batch_list", page, is_first=cursor is None),
        next=page.next,
        is_first=cursor is None,
    )


@router.get("/{batch_id}")
def show_batch(
    request: Request,
    admin: AdminContextDep,
    staff: Admin,
    batch_id: UUID,
    after: Annotated[int, Query(ge=0, le=2**53), IN_DIGITS] = 0,
    line: Annotated[int, Query(ge=0, le=2**53), IN_DIGITS] = 0,
) -> Response:
    """Show one batch: its progress, and its codes page by page."""
    language = get_language(request)
    view = _view(admin, staff, batch_id, after, line, language)
    return admin_page(request, "batch.html", staff, **view)


@router.get("/{batch_id}/rejected")
def download_rejected_lines(request: Request, admin: AdminContextDep, staff: Admin, batch_id: UUID) -> Response:
    """Send the number of each rejected line, or of each code that was not changed, with the reason."""
    del staff
    get_batch(admin, batch_id)
    lines = _list_rejected_lines(admin, batch_id, get_language(request))
    return stream_file(admin.services.heavy_reads, lines, TYPE, f"rejected-{str(batch_id)[:8]}.csv")


@router.get("/{batch_id}/stop")
def ask_to_stop(request: Request, admin: AdminContextDep, staff: Admin, batch_id: UUID) -> Response:
    """Say what stopping does, and ask for the reason."""
    return ask_confirmation(request, staff, _question(request, admin, batch_id))


@router.post("/{batch_id}/stop")
def stop_on_page(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, batch_id: UUID, reason: Annotated[str, Form()] = ""
) -> Response:
    """Stop a batch; what is issued stays issued."""
    if not is_valid_reason(reason):
        return ask_confirmation(request, staff, _question(request, admin, batch_id), reason)
    stop_batch(admin.services.open_audit_log(staff.caller()), admin.batches, batch_id, reason.strip())
    return see_other(f"/admin/batches/{batch_id}")


def _question(request: Request, admin: AdminContext, batch_id: UUID) -> Question:
    batch, t = get_batch(admin, batch_id), translator(get_language(request))
    done = t("page.admin.batch.done_of", done=batch.done, wanted=batch.wanted)
    subject = say_number(t, f"page.admin.batch.heading.{batch.kind}", batch.wanted)
    return Question(
        "stop_batch", "batches", subject, f"/admin/batches/{batch_id}", ((t("page.admin.batch.progress"), done),)
    )


def get_batch(admin: AdminContext, batch_id: UUID) -> Batch:
    """Return a batch.

    Raises:
        ApplicationError: NOT_FOUND.
    """
    batch = admin.batches.find(batch_id)
    if batch is None:
        raise ApplicationError("NOT_FOUND")
    return batch


def _view(
    admin: AdminContext, staff: Staff, batch_id: UUID, after: int, line: int, language: Language
) -> dict[str, Any]:
    batch = get_batch(admin, batch_id)
    now = admin.services.now()
    is_recent = now < batch.requested_at + timedelta(seconds=CODES_VISIBLE_S)
    are_codes_visible = batch.staff_id == staff.staff_id and is_recent and not batch.is_change

    def read(after: int, number: int) -> list[NumberedRow]:
        numbered_ids = admin.batches.list_code_ids(batch, after, number)
        rows = admin.codes.find_balances([code_id for _, code_id in numbered_ids])
        return [(nth, rows.get(code_id)) for nth, code_id in numbered_ids]

    # A rejected line has a number, but no code.
    page = fill_page(read, lambda row: row if row[1] else None, lambda row: row[0], after, PER_PAGE)
    codes = [(number, code_from_named_row(row)) for number, row in page.rows if row is not None]
    texts = admin.codes.find_texts([code.code_id for _, code in codes], clear=are_codes_visible)
    refusals = admin.batches.list_rejected_lines(batch_id, line, PER_PAGE + 1) if batch.refused else []
    rejected_page = Page.of(refusals, PER_PAGE, lambda line_and_reason: line_and_reason[0])
    addresses = admin.support.sessions.find_email_addresses([batch.staff_id])
    campaigns, campaign_id = CampaignReader(admin.services.storage), batch.campaign_id
    campaign = None if campaign_id is None else campaigns.find_campaign_state(campaign_id)
    return {
        "batch": batch,
        "campaign": campaign,
        "valid_for_days": find_valid_days(None, batch.terms, campaign),
        "by": addresses.get(batch.staff_id),
        "note": admin.support.reader.find_private_text(batch.text_id) if batch.text_id else None,
        "codes": [
            (number, code, _display_code(texts.get(code.code_id)), name_code_state(code, now, language))
            for number, code in codes
        ],
        "are_codes_visible": are_codes_visible,
        "after": after,
        "next": page.next,
        "refusals": [(line, _name_refusal(reason, language)) for line, reason in rejected_page.rows],
        "changes": [kind for kind in get_args(ChangeKind) if kind != batch.kind] if batch.state != "working" else [],
        "next_line": rejected_page.next,
        "percent": 100 * batch.done // batch.wanted if batch.wanted else 100,
    }


def _list_rejected_lines(admin: AdminContext, batch_id: UUID, language: Language) -> Iterator[bytes]:
    yield BOM + csv_line(["line", "why"]).encode()
    after = 0
    while page := admin.batches.list_rejected_lines(batch_id, after, CHUNK):
        after = page[-1][0]
        yield "".join(csv_line([line, _name_refusal(reason, language)]) for line, reason in page).encode()


def _name_refusal(reason: str, language: Language) -> str:
    """Return why a line of a file was not imported, or a code not changed."""
    t = translator(language)
    return t(key) if t.knows(key := f"page.admin.refused.{reason}") else refusal_title(reason, language)


def _display_code(text: CodeText | None) -> str:
    """Return a code's text, or the end of it."""
    if text is None:
        return ""
    return format_code(text.text) if text.text else f"…{text.suffix}"
