"""The pages of batches: how far they are, which codes they made, which lines of a file were refused."""

from datetime import timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.pagination import LATEST, cursor_of, place_of
from api.schemas.numbers import IN_DIGITS
from api.use_cases.administration.batches import stop_batch
from api.web.admin.context import Office, TheOffice
from api.web.admin.forms import admin_page, gone_to
from api.web.staff_auth.rendering import language_of
from api.web.staff_auth.sessions import ActingAdmin, Admin, Staff, SupportRoute
from api.web.support.view_models import masked, state_name
from domain.ports import Language
from domain.values.identifiers import format_code
from projections.event_store.row_mapping import code_from_named_row
from projections.read_models.code_list import CodeText
from projections.repositories.issue_batches import Batch

PER_PAGE: Final = 50
SHOWN_S: Final = 1800
"""Whoever asked for codes sees their texts for so long; after that, only in a file, with a reason."""

router = APIRouter(prefix="/admin/batches", route_class=SupportRoute)


@router.get("")
async def batches(
    request: Request, office: TheOffice, staff: Admin, cursor: Annotated[str | None, Query(max_length=100)] = None
) -> Response:
    """All batches, newest first."""
    before = LATEST if cursor is None else place_of(cursor)
    found = await office.services.read(lambda: office.batches.list_page(before, PER_PAGE + 1))
    page = found[:PER_PAGE]
    more = cursor_of(page[-1].requested_at, page[-1].batch_id) if len(found) > PER_PAGE else None
    return admin_page(request, "batches.html", staff, batches=page, next=more, is_first=cursor is None)


@router.get("/{batch_id}")
async def batch_page(
    request: Request,
    office: TheOffice,
    staff: Admin,
    batch_id: UUID,
    after: Annotated[int, Query(ge=0, le=2**53), IN_DIGITS] = 0,
    line: Annotated[int, Query(ge=0, le=2**53), IN_DIGITS] = 0,
) -> Response:
    """One batch: its progress while it is worked on, then its codes by the page."""
    language = language_of(request)
    view = await office.services.read(lambda: _view(office, staff, batch_id, after, line, language))
    return admin_page(request, "batch.html", staff, **view)


@router.post("/{batch_id}/stop")
async def stop(office: TheOffice, staff: ActingAdmin, batch_id: UUID) -> Response:
    """Stop a batch; what is issued stays issued."""
    action = office.services.action(staff.caller(None))
    await office.services.read(lambda: stop_batch(action, office.batches, batch_id))
    return gone_to(f"/admin/batches/{batch_id}")


def found_batch(office: Office, batch_id: UUID) -> Batch:
    """A batch.

    Raises:
        ApplicationError: NOT_FOUND.
    """
    batch = office.batches.find(batch_id)
    if batch is None:
        raise ApplicationError("NOT_FOUND")
    return batch


def _view(office: Office, staff: Staff, batch_id: UUID, after: int, line: int, language: Language) -> dict[str, Any]:
    batch = found_batch(office, batch_id)
    now = office.services.now()
    is_shown = batch.staff_id == staff.staff_id and now < batch.requested_at + timedelta(seconds=SHOWN_S)
    places = batch.derive_code_ids(after, PER_PAGE)
    ids = [code_id for _, code_id in places]
    texts = office.codes.find_texts(ids, clear=is_shown)
    rows = office.codes.find_balances(ids)
    codes = [
        (nth, code_from_named_row(rows[code_id]), texts.get(code_id)) for nth, code_id in places if code_id in rows
    ]
    refusals = office.batches.list_rejected_lines(batch_id, line, PER_PAGE + 1) if batch.refused else []
    people = office.desk.staff.find_email_addresses([batch.staff_id])
    return {
        "batch": batch,
        "by": masked(people.get(batch.staff_id)),
        "note": office.desk.find.find_private_text(batch.text_id) if batch.text_id else None,
        "codes": [(nth, code, _shown(text), state_name(code, now, language)) for nth, code, text in codes],
        "is_shown": is_shown,
        "after": after,
        "next": after + PER_PAGE if after + PER_PAGE < batch.done else None,
        "refusals": refusals[:PER_PAGE],
        "next_line": refusals[PER_PAGE - 1][0] if len(refusals) > PER_PAGE else None,
        "percent": 100 * batch.done // batch.wanted if batch.wanted else 100,
    }


def _shown(text: CodeText | None) -> str:
    """A code's text, or the end of it."""
    if text is None:
        return ""
    return format_code(text.text) if text.text else f"…{text.hint}"
