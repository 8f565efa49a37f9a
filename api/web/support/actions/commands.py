"""What staff may do about a reservation or a code, as commands: one entry for each, with what its form asks for."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args
from uuid import UUID

from fastapi import Request

from api.errors import ApplicationError
from api.web.forms import parse_optional_number, parse_optional_timestamp
from domain.command_bus import CodeCommand, ReservationCommand
from domain.commands.access.rebind import RebindReservation
from domain.commands.case_events import is_removal_case
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.commands.code.revoke import RevokeCode
from domain.commands.context import CommandContext
from domain.commands.reservation.cancel import CancelReservation
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.request_resend import RequestResend
from domain.commands.reservation.resolve_case import Resolution, ResolveReservation
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.ports import TextDraft
from domain.values.group_name import group_name_error
from domain.values.identifiers import EmailAddress, MalformedEmailError
from domain.values.number_bounds import DAYS, REBINDS, USES
from domain.values.timestamps import in_utc
from projections.storage.revocation_queue import case_ids
from projections.vault.vault import Vault

ReservationAct = Literal[
    "refund", "cancel", "correct", "resend", "rebind", "resolve-sent", "resolve-refunded", "resolve-retry"
]
CodeAct = Literal["terms", "pause", "resume", "revoke"]
Act = ReservationAct | CodeAct
SEEN_LETTERS: Final = 20
OF_REMOVAL: Final = "removal."
"""Before the names of decisions of an access that could not be taken away: their words are others."""
TYPED_LENGTH_MAX: Final = 320

Field = Literal["access", "email", "group", "terms"]
FIELDS: Final[dict[Act, Field]] = {
    "refund": "access",
    "resolve-refunded": "access",
    "correct": "email",
    "rebind": "group",
    "terms": "terms",
}
"""What is to be filled in besides the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionForm:
    """What was filled in, as typed.

    `step` is `look` where only the preview is asked for; `seen` tells what the page showed that it was filled in on.
    """

    note: str = ""
    nonce: str = ""
    seen: str = ""
    step: str = ""
    email: str = ""
    access: str = ""
    max_uses: str = ""
    expires_at: str = ""
    validity_days: str = ""
    group: str = ""
    rebinds_max: str = ""


async def filled(request: Request) -> ActionForm:
    """The form of an act, trimmed but for the reason; what is no text, or not asked for, is left out."""
    form = await request.form()
    found = {name: text for name in ActionForm.__dataclass_fields__ if isinstance(text := form.get(name), str)}
    return ActionForm(**{name: text if name == "note" else text.strip() for name, text in found.items()})


def form_from_terms(code: RedeemCode) -> ActionForm:
    """The form of new terms, with those of now in it."""
    terms = code.terms
    return ActionForm(
        max_uses="" if terms.max_uses is None else str(terms.max_uses),
        expires_at=in_utc(terms.expires_at).isoformat(timespec="seconds").removesuffix("+00:00")
        if terms.expires_at
        else "",
        validity_days=str(terms.validity_days or ""),
        group=terms.group or "",
        rebinds_max="" if terms.rebinds_max is None else str(terms.rebinds_max),
    )


class Ask(NamedTuple):
    """Who asks, with what the commands take from outside."""

    context: CommandContext
    vault: Vault
    new_id: Callable[[], UUID]
    note: TextDraft | None = None


def reservation_command(act: ReservationAct, reservation_id: UUID, form: ActionForm, ask: Ask) -> ReservationCommand:
    """The command of an act.

    Raises:
        ApplicationError: EMAIL_INVALID; MALFORMED, no group is named.
    """
    context, note = ask.context, ask.note
    match act:
        case "refund":
            return RefundReservation(
                context=context,
                reservation_id=reservation_id,
                cause="staff",
                note=note,
                revoke_access=ACCESS.get(form.access),
            )
        case "cancel":
            return CancelReservation(context=context, reservation_id=reservation_id, note=note)
        case "resend":
            return RequestResend(context=context, reservation_id=reservation_id, note=note)
        case "correct":
            return CorrectRecipient(
                context=context,
                reservation_id=reservation_id,
                recipient=ask.vault.draft_recipient(_address(form.email), ask.new_id()),
                new_reservation_id=ask.new_id(),
                note=note,
            )
        case "rebind":
            return RebindReservation(
                context=context,
                reservation_id=reservation_id,
                new_reservation_id=ask.new_id(),
                group=_group(form.group),
                note=note,
            )
        case _:
            return ResolveReservation(
                context=context,
                reservation_id=reservation_id,
                resolution=_RESOLUTIONS[act],
                case_id=ask.new_id(),
                note=note,
                revoke_access=ACCESS.get(form.access),
            )


ACCESS: Final = {"keep": False, "revoke": True}
"""What a form says about the access of a use that is given back; nothing where it was not chosen."""
UNFILLED: Final = ActionForm(access="keep")
"""The form of a preview that is shown before anything is filled in."""

_RESOLUTIONS: Final[dict[Act, Resolution]] = {
    "resolve-sent": "sent",
    "resolve-refunded": "refunded",
    "resolve-retry": "retry",
}


def about_code(act: CodeAct, code_id: UUID, form: ActionForm, ask: Ask) -> CodeCommand:
    """The command of an act.

    Raises:
        ApplicationError: MALFORMED, a term can't be read.
    """
    context, note = ask.context, ask.note
    match act:
        case "pause":
            return PauseCode(context=context, code_id=code_id, note=note)
        case "resume":
            return ResumeCode(context=context, code_id=code_id, note=note)
        case "revoke":
            return RevokeCode(context=context, code_id=code_id, case_ids=case_ids(ask.new_id), note=note)
        case "terms":
            return ChangeTerms(
                context=context,
                code_id=code_id,
                changes={
                    "max_uses": parse_optional_number(form.max_uses, USES),
                    "expires_at": parse_optional_timestamp(form.expires_at),
                    "validity_days": parse_optional_number(form.validity_days, DAYS),
                    "group": _group(form.group) if form.group else None,
                    "rebinds_max": parse_optional_number(form.rebinds_max, REBINDS),
                },
                note=note,
            )


def text_key(act: Act, item: Reservation) -> str:
    """Under which name an act's words are kept."""
    return f"{OF_REMOVAL}{act}" if act in _RESOLUTIONS and is_removal_case(item) else act


def state_digest(item: Reservation) -> str:
    """What of a reservation an act is decided on, in a word. What machines try meanwhile changes nothing about it."""
    ending = item.access and item.access.ending
    facts = (item.status, item.ever_unknown, item.case_id, item.accepted_at, item.delivery, ending)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:SEEN_LETTERS]


DONE: Final = frozenset(
    {*get_args(ReservationAct), *get_args(CodeAct), "note", *(f"{OF_REMOVAL}{act}" for act in _RESOLUTIONS)}
)
"""What a page may say that it was done."""
DONE_LENGTH_MAX: Final = max(len(word) for word in DONE)


def acts_of(item: Reservation) -> list[ReservationAct]:
    """What may be thought of in a reservation's state, the likeliest first."""
    decide: list[ReservationAct] = ["resolve-sent", "resolve-refunded"]
    if item.is_live:
        in_doubt = item.case_id is not None or item.ever_unknown
        return [*decide, "resolve-retry", "correct"] if in_doubt else ["correct", "cancel"]
    if item.status == "sent":
        first = decide if item.case_id is not None else []
        move: list[ReservationAct] = ["rebind"] if item.has_active_access else []
        return [*first, *_tried_on(item), "refund", *move, "resend", "correct"]
    return [*decide, *_tried_on(item)] if item.case_id is not None else []


def _tried_on(item: Reservation) -> list[ReservationAct]:
    """An access that could not be taken away may be tried on."""
    return ["resolve-retry"] if is_removal_case(item) and item.case_id is not None else []


def acts_of_code(code: RedeemCode) -> list[CodeAct]:
    """What may be done about a code; nothing more once it is revoked."""
    if code.is_revoked:
        return []
    return ["terms", "resume" if code.is_paused else "pause", "revoke"]


def _address(typed: str) -> EmailAddress:
    try:
        return EmailAddress.parse(typed[:TYPED_LENGTH_MAX])
    except MalformedEmailError as error:
        raise ApplicationError("EMAIL_INVALID") from error


def _group(typed: str) -> str:
    if not typed or group_name_error(typed) is not None:
        raise ApplicationError("MALFORMED")
    return typed
