"""The page that asks "what if" about a code at a past time: a redeem request, or the actions on a reservation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from api.http.blocking_route import heavy_read
from api.i18n.catalogs import translator
from api.i18n.code_sentences import name_threshold
from api.i18n.messages import say_event
from api.schemas.numbers import IN_DIGITS
from api.schemas.parsing import find_email, parse_filter_time, parse_id, parse_optional
from api.use_cases.past_states.what_if import ACTIONS, WhatIf, WhatIfAction, ask_action, ask_redeem, find_past
from api.web.forms import VERSION_MAX
from api.web.masking import mask_if_known
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, Viewer, ViewerWithForm
from api.web.staff_auth.staff import Staff
from api.web.support.actions.action_forms import TYPED_LENGTH_MAX
from domain.events.reservation import ReservationEvent
from domain.ports import Language
from projections.read_models.past_states import PastState

router = APIRouter(prefix="/support/codes/{code_id}/what-if", route_class=SupportRoute)

EVIDENCE_OF_ACTION_MAX: Final = 5
"""Most events that one line of a table of actions links to, the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceLine:
    """One event that an answer rests on, with the masked address that it is about."""

    version: int
    at: datetime
    sentence: str
    address: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionAnswer:
    """What one action would have done."""

    action: WhatIfAction
    seen: WhatIf
    evidence: Sequence[int]


@router.get("")
@heavy_read()
def show_form(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    code_id: UUID,
    as_of: Annotated[str, Query(max_length=40)] = "",
    at_event: Annotated[int | None, Query(ge=1, le=VERSION_MAX), IN_DIGITS] = None,
    reservation: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Show the form, and what each action on a named reservation would have done."""
    reservation_id = parse_optional(parse_id, "reservation", reservation)
    past = _find_past(support, code_id, as_of, at_event)
    language = get_language(request)
    actions = [] if reservation_id is None else _ask_actions(support, past, reservation_id, language)
    address = None if reservation_id is None else support.reader.find_email_addresses([reservation_id])
    return _page(
        request,
        support,
        staff,
        past,
        reservation_id=reservation_id,
        address=mask_if_known(address.get(reservation_id)) if address and reservation_id else None,
        actions=actions,
    )


@router.post("")
@heavy_read()
def show_answer(
    request: Request,
    support: SupportContextDep,
    staff: ViewerWithForm,
    code_id: UUID,
    email: Annotated[str, Form(max_length=TYPED_LENGTH_MAX)] = "",
    as_of: Annotated[str, Form(max_length=40)] = "",
    exact: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Show what a redeem request would have led to. The email address is in no URL, which logs may keep."""
    at = _restore_exact_time(as_of, exact)
    past, language, typed = _find_past(support, code_id, at, None), get_language(request), find_email(email)
    if typed is None:
        return _page(request, support, staff, past, email=email, is_email_wrong=True)
    seen = ask_redeem(support.services, support.statements, past, typed, language)
    return _page(
        request,
        support,
        staff,
        past,
        email=typed.typed,
        seen=seen,
        evidence=_describe_evidence(support, past, seen, language),
        campaign_lines=[
            (version, event.at, say_event(event, language)) for version, event in seen.campaign_evidence.events.items()
        ],
        sentences=[say_event(event, language) for event in seen.events],
        crossed=[
            (name_threshold(translator(language), each.threshold), each.campaign_id) for each in seen.answer.crossed
        ],
    )


def _page(request: Request, support: SupportContext, staff: Staff, past: PastState, **view: Any) -> Response:
    empty = {"email": "", "is_email_wrong": False, "seen": None, "evidence": [], "campaign_lines": [], "sentences": []}
    empty |= {"reservation_id": None, "address": None, "actions": []}
    return support_page(
        request,
        "what_if.html",
        staff,
        past=past,
        code_id=past.code_id,
        suffix=support.reader.find_suffix(past.code_id),
        typed_length_max=TYPED_LENGTH_MAX,
        **{**empty, **view},
    )


def _restore_exact_time(typed: str, exact: str) -> str:
    """Return the time that a form was opened with if its field, which shows whole seconds, was not changed."""
    at, opened_with = (parse_optional(parse_filter_time, "as_of", text) for text in (typed, exact))
    is_unchanged = opened_with is not None and (at is None or at == opened_with.replace(microsecond=0))
    return exact if is_unchanged else typed


def _find_past(support: SupportContext, code_id: UUID, as_of: str, at_event: int | None) -> PastState:
    """Return the code at the time that a form or a link names; now if it names none.

    Raises:
        ApplicationError: NOT_FOUND; MALFORMED, the time can't be read.
    """
    at = parse_optional(parse_filter_time, "as_of", as_of)
    if at_event is not None and (entries := support.statements.read_entries(code_id, [at_event])):
        at = entries[0].event.at
    return find_past(support.statements, code_id, at or support.services.now())


def _ask_actions(
    support: SupportContext, past: PastState, reservation_id: UUID, language: Language
) -> list[ActionAnswer]:
    answers = []
    for action in ACTIONS:
        seen = ask_action(support.services, support.statements, past, reservation_id, action, language)
        answers.append(ActionAnswer(action=action, seen=seen, evidence=seen.answer.because[-EVIDENCE_OF_ACTION_MAX:]))
    return answers


def _describe_evidence(
    support: SupportContext, past: PastState, seen: WhatIf, language: Language
) -> list[EvidenceLine]:
    entries = support.statements.read_entries(past.code_id, seen.answer.because)
    ids = {entry.version: entry.event.reservation_id for entry in entries if isinstance(entry.event, ReservationEvent)}
    addresses = support.reader.find_email_addresses(list(set(ids.values())))
    return [
        EvidenceLine(
            version=entry.version,
            at=entry.event.at,
            sentence=say_event(entry.event, language),
            address=mask_if_known(addresses.get(ids[entry.version])) if entry.version in ids else None,
        )
        for entry in entries
    ]
