"""What people type into the forms with a code: an address that may be mistyped, a code in pasted text, a second try."""

from datetime import timedelta
from typing import NamedTuple

from api.errors import ApplicationError
from api.schemas.parsing import InvalidInputError, parse_id
from api.use_cases.services import Services
from api.web.public.visitor import Visitor, find_token
from domain.values.identifiers import NATIVE_LENGTH, MalformedCodeError, format_code, normalize_code
from domain.values.mistyped_domains import suggest_address
from domain.values.pasted_codes import list_pasted_codes
from domain.values.timestamps import shifted


class TypedAddress(NamedTuple):
    """The email address of a form.

    Attributes:
        email: As typed, or the one that was suggested and chosen.
        suggested: Ask whether this address was meant, before anything is done; None: there is nothing to ask.
    """

    email: str
    suggested: str | None = None


class TypedAgain(NamedTuple):
    """What a form is filled in with."""

    email: str = ""
    code: str = ""


def read_address(email: str, asked: str, choice: str) -> TypedAddress:
    """Return the address that a form means.

    Args:
        email: The field.
        asked: The address that the form already asked about; the person has decided unless they changed it since.
        choice: `suggested` if they chose the suggested one.
    """
    suggested = suggest_address(email)
    if email != asked:
        return TypedAddress(email, suggested)
    return TypedAddress(suggested if suggested and choice == "suggested" else email)


async def find_pasted_code(services: Services, typed: str) -> str:
    """Return the code in what was typed. Texts that hold several possible codes are looked up.

    Raises:
        ApplicationError: UNAVAILABLE.
    """
    candidates = list_pasted_codes(typed)
    if len(candidates) == 1:
        return candidates[0]
    ids = await services.run_blocking(services.reader.find_possible_codes, candidates)
    return next((text for text, code_id in zip(candidates, ids, strict=True) if code_id), candidates[-1])


def explain_refusal(error: ApplicationError, typed: str) -> ApplicationError:
    """Return the error of a form with a hint if what was typed is one character shorter than codes generated here.

    The hint depends on the text alone, so it says nothing about the codes that exist.
    """
    if error.code != "CODE_INVALID":
        return error
    try:
        text = normalize_code(list_pasted_codes(typed)[-1])
    except MalformedCodeError:
        return error
    is_short = len(text) == NATIVE_LENGTH - 1 and text.isascii() and text.isalnum()
    return ApplicationError(error.code, why="one_missing") if is_short else error


def find_typed_again(services: Services, visitor: Visitor, typed_id: str) -> TypedAgain:
    """Return what this browser typed for a reservation whose use was returned; empty for every other browser.

    The code is shown only as long after the return as an address can be corrected after sending: anyone who uses the
    browser later learns no code that works.
    """
    try:
        reservation_id = parse_id("reservation", typed_id)
    except InvalidInputError:
        return TypedAgain()
    if find_token(services, visitor, reservation_id) is None:
        return TypedAgain()
    reservation = services.reader.find_reservation(reservation_id)
    if reservation is None or reservation.refunded_at is None:
        return TypedAgain()
    email = services.reader.find_email_addresses([reservation_id]).get(reservation_id, "")
    shown_until = shifted(reservation.refunded_at, timedelta(seconds=services.settings.policy.correct_within_s))
    code = services.reader.find_code_text(reservation.code_id) if services.now() < shown_until else None
    return TypedAgain(email, format_code(code) if code else "")
