"""The review queue, each item with its next action; and the audit log, for admins."""

from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.http.allowed_methods import not_found
from api.http.pagination import Page, format_cursor, parse_cursor
from api.i18n.audit_details import describe_details
from api.i18n.catalogs import Translator, translator
from api.schemas.numbers import IN_DIGITS
from api.web.masking import mask_if_known
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import Admin, SupportContextDep, SupportRoute, Viewer
from api.web.support.search_page import NEWEST_POSITION
from api.web.support.view_models import build_card, build_cards
from projections.hand_outs.hand_out_reader import HandOutReader
from projections.read_models.pagination import OLDEST
from projections.repositories.staff_sessions import AuditRow

PER_PAGE: Final = 25
HAND_OUT_ACTIONS: Final = frozenset({"uploaded_recipients", "sent_hand_out_test", "exported_emails"})
"""Actions whose subject is a hand-out, if they have one."""
STUCK_AFTER_S: Final = 300
"""Seconds after which due work counts as stuck: the system acts within seconds."""

router = APIRouter(prefix="/support", route_class=SupportRoute)


@router.get("/work")
def show_worklist(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Show open cases, oldest first, and reservations that are overdue for too long."""
    after = parse_cursor(cursor)
    now = support.services.now()
    cases = support.reader.list_cases(after, PER_PAGE + 1, closed_too=False)
    page = Page.of(cases, PER_PAGE, lambda row: format_cursor(row.opened_at, row.case_id))
    stuck = (
        support.reader.list_stuck(now - timedelta(seconds=STUCK_AFTER_S), OLDEST, PER_PAGE) if cursor is None else []
    )
    cards = {
        card.reservation_id: card for card in support.reader.list_summaries([case.reservation_id for case in page.rows])
    }
    stuck_cards = support.reader.list_summaries([position[1] for position in stuck])
    open_cases = [case for case in page.rows if case.reservation_id in cards]
    return support_page(
        request,
        "worklist.html",
        staff,
        is_first=cursor is None,
        cases=[(case, build_card(cards[case.reservation_id], now)) for case in open_cases],
        stuck=build_cards(support.reader, stuck_cards, now),
        count=support.reader.count_open_cases(),
        drifting=support.reader.list_drifted_streams(PER_PAGE) if cursor is None else [],
        next=page.next,
    )


@router.get("/audit")
def show_audit(
    request: Request,
    support: SupportContextDep,
    staff: Admin,
    before: Annotated[int | None, Query(ge=1, le=NEWEST_POSITION), IN_DIGITS] = None,
) -> Response:
    """Show the audit log, newest first."""
    t = translator(get_language(request))
    lines = support.sessions.list_audit_page(before or NEWEST_POSITION, PER_PAGE + 1)
    page = Page.of(lines, PER_PAGE, lambda row: row.audit_id)
    # Some actions are about a member of staff; other subjects are not in the list of staff.
    ids = {person for line in page.rows for person in (line.staff_id, line.subject_id) if person is not None}
    addresses = support.sessions.find_email_addresses(list(ids))
    names: dict[UUID | None, str | None] = {person: mask_if_known(address) for person, address in addresses.items()}
    return support_page(
        request,
        "audit.html",
        staff,
        is_first=before is None,
        lines=[
            (
                line,
                names.get(line.staff_id) or _name_actor(line, t),
                names.get(line.subject_id),
                describe_details(line.act, line.reason or "", t),
            )
            for line in page.rows
        ],
        hand_outs=HandOutReader(support.services.storage).find_names(
            [line.subject_id for line in page.rows if line.act in HAND_OUT_ACTIONS and line.subject_id is not None]
        ),
        next=page.next,
    )


def _name_actor(line: AuditRow, t: Translator) -> str:
    """Return the actor of an entry without staff: an API key, an operator, or a failed sign-in."""
    if line.key_id is not None:
        return " ".join(filter(None, (t("page.support.actor.key"), line.key_name)))
    return t("page.support.audit.unknown" if line.act == "sign_in_failed" else "page.support.actor.operator")


@router.get("/{_path:path}")
def unknown_page(request: Request, _: Viewer, _path: str) -> Response:
    """Answer every other path of the support console with an error page. This is the last route."""
    raise not_found(request)
