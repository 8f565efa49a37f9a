"""What waits for somebody, each with the one thing to do; and the audit, for admins."""

from datetime import timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.http.allowed_methods import not_found
from api.http.pagination import FIRST, cursor_of, place_of
from api.i18n.catalogs import Translator, translator
from api.schemas.numbers import IN_DIGITS
from api.web.staff_auth.rendering import language_of, support_page
from api.web.staff_auth.sessions import Admin, SupportRoute, TheDesk, Viewer
from api.web.support.search_page import NEWEST
from api.web.support.view_models import card_view, masked
from projections.repositories.staff_sessions import AuditRow

PER_PAGE: Final = 25
STUCK_AFTER_S: Final = 300
"""Machines act within seconds; what is due for longer is stuck."""

router = APIRouter(prefix="/support", route_class=SupportRoute)


@router.get("/work")
async def work(
    request: Request, desk: TheDesk, staff: Viewer, cursor: Annotated[str | None, Query(max_length=100)] = None
) -> Response:
    """Open cases, oldest first, and reservations on which no machine has acted for too long."""
    after = place_of(cursor)

    def find() -> dict[str, Any]:
        now = desk.services.now()
        cases = desk.find.list_cases(after, PER_PAGE + 1, closed_too=False)
        page = cases[:PER_PAGE]
        stuck = desk.find.list_stuck(now - timedelta(seconds=STUCK_AFTER_S), FIRST, PER_PAGE) if cursor is None else []
        cards = {card.reservation_id: card for card in desk.find.list_summaries([case.reservation_id for case in page])}
        waiting = desk.find.list_summaries([place[1] for place in stuck])
        known = [case for case in page if case.reservation_id in cards]
        return {
            "cases": [(case, card_view(cards[case.reservation_id], now)) for case in known],
            "stuck": [card_view(card, now) for card in waiting],
            "count": desk.find.count_open_cases(),
            "drifting": desk.find.list_drifted_codes(PER_PAGE) if cursor is None else [],
            "next": cursor_of(page[-1].opened_at, page[-1].case_id) if len(cases) > PER_PAGE else None,
        }

    return support_page(request, "work.html", staff, is_first=cursor is None, **await desk.services.read(find))


@router.get("/audit")
async def audit(
    request: Request,
    desk: TheDesk,
    staff: Admin,
    before: Annotated[int | None, Query(ge=1, le=NEWEST), IN_DIGITS] = None,
) -> Response:
    """What staff did beside the ledger, newest first."""
    say = translator(language_of(request))

    def find() -> dict[str, Any]:
        lines = desk.staff.list_audit_page(before or NEWEST, PER_PAGE + 1)
        page = lines[:PER_PAGE]
        # Some acts are about a member of staff; other subjects are in nobody's list of staff.
        ids = {person for line in page for person in (line.staff_id, line.subject_id) if person is not None}
        found = desk.staff.find_email_addresses(list(ids))
        names: dict[UUID | None, str | None] = {person: masked(address) for person, address in found.items()}
        return {
            "lines": [
                (line, names.get(line.staff_id) or _other(line, say), names.get(line.subject_id)) for line in page
            ],
            "next": page[-1].audit_id if len(lines) > PER_PAGE else None,
        }

    return support_page(request, "audit.html", staff, is_first=before is None, **await desk.services.read(find))


def _other(line: AuditRow, say: Translator) -> str:
    """Who it was, where it was nobody of the staff: an API key, an operator, or somebody who was not let in."""
    if line.key_id is not None:
        return " ".join(filter(None, (say("page.support.actor.key"), line.key_name)))
    return say("page.support.audit.unknown" if line.act == "sign_in_failed" else "page.support.actor.operator")


@router.get("/{_path:path}")
async def nowhere(request: Request, _: Viewer, _path: str) -> Response:
    """Answers every other path of the support console with a page of it. It is the last route."""
    raise not_found(request)
