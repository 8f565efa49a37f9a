"""The actions of support staff on a reservation or a code: the form of each, and the use case behind it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args
from uuid import UUID

from fastapi import Request

from api.errors import ApplicationError
from api.schemas.code_terms import TERMS
from api.schemas.parsing import parse_email, parse_term
from api.use_cases.code_actions import change_terms, pause, resume, revoke
from api.use_cases.preview_limits import CHOICES
from api.use_cases.reservation_actions import cancel, correct_recipient, rebind, refund, resend, resolve
from api.use_cases.services import Caller, LedgerServices
from domain.command_bus import CodeCommand, ReservationCommand
from domain.commands.case_events import is_removal_case
from domain.commands.reservation.resolve_case import Resolution
from domain.events.code_terms import TERM_NAMES, CodeTerms
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.values.group_name import is_group_name

ReservationAction = Literal[
    "refund", "cancel", "correct", "resend", "rebind", "resolve-sent", "resolve-refunded", "resolve-retry"
]
CodeAction = Literal["terms", "pause", "resume", "revoke"]
SupportAction = ReservationAction | CodeAction
DIGEST_LENGTH: Final = 20
REMOVAL_PREFIX: Final = "removal."
"""Prefix of the text keys of decisions about an access that could not be removed."""
TYPED_LENGTH_MAX: Final = 320

Field = Literal["access", "email", "group", "terms"]
FIELDS: Final[dict[SupportAction, Field]] = {
    "refund": "access",
    "resolve-refunded": "access",
    "correct": "email",
    "rebind": "group",
    "terms": "terms",
}
"""The field of each action besides the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionForm:
    """The fields of an action's form, as typed.

    Attributes:
        seen: Digest of the state that the page showed.
        step: `look` asks for the preview only.
    """

    note: str = ""
    nonce: str = ""
    seen: str = ""
    step: str = ""
    email: str = ""
    access: str = ""
    group: str = ""
    counting: str = ""
    terms: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(TERM_NAMES, ""))


async def parse_form(request: Request) -> ActionForm:
    """Read the form of an action. Fields are trimmed, except the reason; files and unknown fields are left out."""
    sent = await request.form()
    texts = {name: text if name == "note" else text.strip() for name, text in sent.items() if isinstance(text, str)}
    fields = {name: text for name, text in texts.items() if name in ActionForm.__dataclass_fields__ and name != "terms"}
    return ActionForm(**fields, terms={name: texts.get(name, "") for name in TERM_NAMES})


def form_from_terms(terms: CodeTerms) -> ActionForm:
    """Return the form of new terms, filled in with the present ones."""
    return ActionForm(terms={term.name: term.text(getattr(terms, term.name)) for term in TERMS})


def reservation_command(
    services: LedgerServices, caller: Caller, action: ReservationAction, reservation_id: UUID, form: ActionForm
) -> ReservationCommand:
    """Build the command of an action, for a preview or to be performed.

    Raises:
        ApplicationError: EMAIL_INVALID; MALFORMED, no group is named.
    """
    note, access = form.note.strip(), ACCESS.get(form.access)
    match action:
        case "refund":
            return refund.command(services, caller, reservation_id, revoke_access=access, note=note)
        case "cancel":
            return cancel.command(services, caller, reservation_id, note=note)
        case "resend":
            return resend.command(services, caller, reservation_id, note=note)
        case "correct":
            email = parse_email(form.email)
            return correct_recipient.command(services, caller, reservation_id, email, note=note)
        case "rebind":
            return rebind.command(services, caller, reservation_id, _group(form.group), note=note)
        case _:
            resolution = _RESOLUTIONS[action]
            return resolve.command(services, caller, reservation_id, resolution, revoke_access=access, note=note)


ACCESS: Final = {"keep": False, "revoke": True}
"""Values of the field `access` of a refund: whether the access is revoked. An empty field is no choice."""
UNFILLED: Final = ActionForm(access="keep")
"""The form of a preview before anything is filled in."""

_RESOLUTIONS: Final[dict[SupportAction, Resolution]] = {
    "resolve-sent": "sent",
    "resolve-refunded": "refunded",
    "resolve-retry": "retry",
}


def code_command(
    services: LedgerServices, caller: Caller, action: CodeAction, code_id: UUID, form: ActionForm
) -> CodeCommand:
    """Build the command of an action, for a preview or to be performed.

    Raises:
        ApplicationError: MALFORMED, a term cannot be read.
    """
    note = form.note.strip()
    match action:
        case "pause":
            return pause.command(services, caller, code_id, note=note)
        case "resume":
            return resume.command(services, caller, code_id, note=note)
        case "revoke":
            return revoke.command(services, caller, code_id, note=note)
        case "terms":
            changes = {term.name: parse_term(term, form.terms[term.name]) for term in TERMS}
            counting = next((choice for choice in CHOICES if choice == form.counting), None)
            return change_terms.command(services, caller, code_id, changes, counting=counting, note=note)


def text_key(action: SupportAction, reservation: Reservation) -> str:
    """Return the key of an action's texts, which differ for a case about an access that was not removed."""
    return f"{REMOVAL_PREFIX}{action}" if action in _RESOLUTIONS and is_removal_case(reservation) else action


def state_digest(reservation: Reservation) -> str:
    """Digest of the state that an action is decided on; sending attempts do not change it."""
    ending = reservation.access and reservation.access.ending
    facts = (
        reservation.status,
        reservation.ever_unknown,
        reservation.case_id,
        reservation.accepted_at,
        reservation.delivery,
        ending,
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:DIGEST_LENGTH]


DONE: Final = frozenset(
    {
        *get_args(ReservationAction),
        *get_args(CodeAction),
        "note",
        *(f"{REMOVAL_PREFIX}{action}" for action in _RESOLUTIONS),
    }
)
"""Actions that a page may confirm."""
DONE_LENGTH_MAX: Final = max(len(word) for word in DONE)


def list_reservation_actions(reservation: Reservation) -> list[ReservationAction]:
    """Return the actions that fit a reservation's state, the likeliest first."""
    decide: list[ReservationAction] = ["resolve-sent", "resolve-refunded"]
    if reservation.is_live:
        in_doubt = reservation.case_id is not None or reservation.ever_unknown
        return [*decide, "resolve-retry", "correct"] if in_doubt else ["correct", "cancel"]
    if reservation.status == "sent":
        first = decide if reservation.case_id is not None else []
        move: list[ReservationAction] = ["rebind"] if reservation.has_active_access else []
        return [*first, *_list_retry(reservation), "refund", *move, "resend", "correct"]
    return [*decide, *_list_retry(reservation)] if reservation.case_id is not None else []


def _list_retry(reservation: Reservation) -> list[ReservationAction]:
    """Return a retry, if an access could not be removed."""
    return ["resolve-retry"] if is_removal_case(reservation) and reservation.case_id is not None else []


def list_code_actions(code: RedeemCode) -> list[CodeAction]:
    """Return the actions that fit a code's state; none once it is revoked."""
    if code.is_revoked:
        return []
    return ["terms", "resume" if code.is_paused else "pause", "revoke"]


def _group(typed: str) -> str:
    if not is_group_name(typed):
        raise ApplicationError("MALFORMED")
    return typed
