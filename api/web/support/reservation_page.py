"""The page of one reservation: its history, its actions, and a reply to copy."""

from dataclasses import replace
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.i18n.languages import LANGUAGES
from api.use_cases.lookups.repeated_redeem import find_repeat_refusal
from api.use_cases.reservation_actions import find_link
from api.use_cases.services import Caller
from api.web.forms import new_nonce
from api.web.masking import mask_if_known
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, Viewer
from api.web.staff_auth.staff import Staff
from api.web.support.actions.action_forms import (
    DONE,
    DONE_LENGTH_MAX,
    UNFILLED,
    list_reservation_actions,
    reservation_command,
    text_key,
)
from api.web.support.actions.notes import NOTE_LENGTH_MAX
from api.web.support.actions.preview import Preview, find_shared_limits, preview_offer
from api.web.support.actions.unmask import unmasked_until
from api.web.support.campaign_of_code import describe_campaign_of
from api.web.support.history.folding import fold_lines
from api.web.support.history.proof_page import load_panel
from api.web.support.history.time_axis import SCALE_LENGTH_MAX, name_other_scale, parse_scale
from api.web.support.history.waterfall import Waterfall, draw_waterfall
from api.web.support.reply_text import write_reply
from api.web.support.view_models import build_lines
from domain.events.reservation import CaseOpened, InviteFailed, UseRefunded, UseReserved
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.ports import Language
from projections.read_models.stream_entry import Entry
from projections.telemetry.tracing import TRACING

PREVIEW_EMAIL = "somebody-else@example.invalid"
PREVIEW_GROUP = "another group"
"""An address that does not exist: whether a recipient can be corrected does not depend on the new address."""

SAME_RECIPIENT_ACTIONS: Final = frozenset({"resend", "rebind"})
"""Actions that send to the same address again, which is useless once the address is erased."""

EVENTS_BETWEEN_MAX: Final = 4
"""Events after a correction: CaseClosed, AccessCorrected, AccessRemoved and UseReserved follow its refund."""

LINES_MAX: Final = 15
"""Most events that are listed, the newest: one with many attempts has more, and its page stays below 100 KB."""
QUOTED_MAX: Final = 6
"""Most events that a reply quotes, the newest."""

router = APIRouter(prefix="/support/reservations/{reservation_id}", route_class=SupportRoute)


@router.get("")
def show_reservation(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    reservation_id: UUID,
    done: Annotated[str, Query(max_length=DONE_LENGTH_MAX)] = "",
    scale: Annotated[str, Query(max_length=SCALE_LENGTH_MAX)] = "",
) -> Response:
    """Show the history of one reservation, its actions, and a reply to copy."""
    language = get_language(request)
    view = _view(support, staff, reservation_id, language)
    waterfall = _draw(support, reservation_id, is_true_scale=parse_scale(scale))
    return support_page(
        request,
        "reservation.html",
        staff,
        done=done if done in DONE else None,
        nonce=new_nonce(),
        note_length_max=NOTE_LENGTH_MAX,
        waterfall=waterfall,
        scale_url=waterfall and f"?scale={name_other_scale(is_true_scale=waterfall.is_true_scale)}",
        trace_id=TRACING.find_trace_id(reservation_id),
        **view,
    )


def _draw(support: SupportContext, reservation_id: UUID, *, is_true_scale: bool | None) -> Waterfall | None:
    history = support.reader.read_reservation_events([reservation_id])[reservation_id]
    return draw_waterfall(history.events, support.services.now(), is_true_scale=is_true_scale)


def get_reservation(support: SupportContext, reservation_id: UUID) -> tuple[Reservation, RedeemCode]:
    """Return the present state of a reservation and its code.

    Raises:
        ApplicationError: NOT_FOUND.
    """
    reservation = support.reader.find_reservation(reservation_id)
    code = (
        None
        if reservation is None
        else support.statements.find_code_at(
            reservation.code_id, support.statements.find_newest_version(reservation.code_id)
        )
    )
    if reservation is None or code is None:
        raise ApplicationError("NOT_FOUND")
    return reservation, code


def _view(support: SupportContext, staff: Staff, reservation_id: UUID, language: Language) -> dict[str, Any]:
    reservation, code = get_reservation(support, reservation_id)
    now = support.services.now()
    lines = support.statements.read_entries(reservation.code_id, reservation.versions)
    shown_until = unmasked_until(support, staff, "unmasked_email", reservation_id, now)
    address = support.reader.find_email_addresses([reservation_id]).get(reservation_id)
    addresses, may_quote = {reservation_id: address}, shown_until is not None
    views = build_lines(support, staff, lines, language, addresses=addresses, with_replies=may_quote)
    suffix = support.reader.find_suffix(reservation.code_id)
    of_campaign = describe_campaign_of(support, code, now)
    others_wait = of_campaign is not None and bool(of_campaign["campaign"].waiting)
    refusal = find_repeat_refusal(support.services, reservation)
    link = find_link(support.services, reservation)
    link_until = None if link is None else unmasked_until(support, staff, "revealed_link", reservation_id, now)
    return {
        "link": link,
        "link_until": link_until,
        "reservation": reservation,
        "state": reservation.public_state,
        "code": code,
        "of_campaign": of_campaign,
        "suffix": suffix,
        "proof": load_panel(support, f"/support/codes/{reservation.code_id}", reservation_id, lines[-1].position),
        "case": _find_open_case(reservation, lines),
        "address": address if shown_until else mask_if_known(address),
        "shown_until": shown_until,
        "lines": views[-LINES_MAX:],
        "rows": fold_lines(views[-LINES_MAX:]),
        "earlier_count": max(len(views) - LINES_MAX, 0),
        "are_words_hidden": shown_until is None
        and any(isinstance(line.event, InviteFailed) and line.event.text_id for line in lines),
        "lines_by_version": {view.version: view for view in views},
        "actions": [
            each
            for each in _offered(support, reservation, code, language)
            if address or each.action not in SAME_RECIPIENT_ACTIONS
        ],
        "text_keys": {action: text_key(action, reservation) for action in list_reservation_actions(reservation)},
        "corrected_by": _find_correction(support, reservation, lines),
        "replies": {
            each: write_reply(reservation, suffix, each, _list_quoted(lines), others_wait=others_wait, refusal=refusal)
            for each in LANGUAGES
        },
    }


def _list_quoted(lines: list[Entry[RedeemCode]]) -> list[int]:
    """Return the events that a reply quotes: what the customer did or got."""
    return [line.version for line in lines if line.event.IMPORTANCE == "outcome"][-QUOTED_MAX:]


def _find_open_case(reservation: Reservation, lines: list[Entry[RedeemCode]]) -> CaseOpened | None:
    """Return the open case, if there is one."""
    starts = (line.event for line in reversed(lines) if isinstance(line.event, CaseOpened))
    return next((event for event in starts if event.case_id == reservation.case_id), None)


def _find_correction(support: SupportContext, reservation: Reservation, lines: list[Entry[RedeemCode]]) -> UUID | None:
    """Return the reservation to which the use moved.

    It begins in the same append, after the ends of a case and of an access.
    """
    at = [line.version for line in lines if isinstance(line.event, UseRefunded) and line.event.cause == "corrected"]
    next_lines = (
        support.statements.read_entries(reservation.code_id, range(at[-1] + 1, at[-1] + 1 + EVENTS_BETWEEN_MAX))
        if at
        else []
    )
    starts = [line.event for line in next_lines if isinstance(line.event, UseReserved)]
    return next((event.reservation_id for event in starts if event.corrects == reservation.reservation_id), None)


def _offered(support: SupportContext, reservation: Reservation, code: RedeemCode, language: Language) -> list[Preview]:
    services = support.services
    form = replace(UNFILLED, email=PREVIEW_EMAIL, group=PREVIEW_GROUP)
    limits = find_shared_limits(support, code, reservation)
    return [
        preview_offer(
            support,
            action,
            reservation_command(services, Caller("staff"), action, reservation.reservation_id, form),
            code,
            language,
            reservation,
            limits,
        )
        for action in list_reservation_actions(reservation)
    ]
