"""The parsers of what a person or a program typed: a time, a number, an id, an email address, a group's name, a term.

Every front end uses these functions. A text that cannot be read is one error with the field and the reason, which each
front end shows in its own way: a route as a problem, a page next to the field, a command with the name of the option.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal, TypeVar
from uuid import UUID

from api.errors import ApplicationError
from api.schemas.code_terms import Term, TermFormat
from api.schemas.ip_networks import NetworkError, NetworkFault, parse_network_list
from domain.values import number_bounds
from domain.values.email_domains import DomainError, DomainFault, DomainNames, parse_domains
from domain.values.group_name import NAME_LENGTH_MAX, GroupFault, group_name_error
from domain.values.identifiers import TYPED_LENGTH_MAX, EmailAddress, MalformedEmailError
from domain.values.limits.thresholds import ThresholdError, Thresholds, parse_thresholds
from domain.values.number_bounds import Bounds, DurationError, NumberError
from domain.values.timestamps import TimestampError, TimestampFault, clamped, parse_timestamp, read_timestamp

T = TypeVar("T")
InvalidReason = Literal[
    TimestampFault, GroupFault, DomainFault, NetworkFault, "number", "choice", "id", "email", "thresholds", "days"
]
GROUP_DETAILS: Final[dict[GroupFault, str]] = {
    "length": f"has more than {NAME_LENGTH_MAX} characters",
    "signs": "is not one printable line without spaces around it",
    "address": "is an email address, which events may not hold",
    "code": "is a redeem code, which events may not hold",
}
ONE_LINE: Final = r"^[^\x00-\x1f\x7f]*$"
SEVERAL_LINES: Final = r"^[^\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]*$"
"""Line breaks and tabs, but no other control characters: PostgreSQL stores no NUL."""
VISIBLE: Final = r"[^\x00-\x20\x7f-\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]"
"""A character that readers see. It is no `\\S`, because engines of regular expressions differ in what a space is."""
_IN_BRACKETS: Final = re.compile(r"<([^<>]+)>")


class InvalidInputError(ApplicationError):
    """A text cannot be read, or its value lies outside its bounds.

    Attributes:
        field: Name of the field, option, column or parameter.
        reason: Which rule the text breaks.
        detail: What is wrong, as a sentence whose subject, the field, is left out.
        name: Which of several names in the text breaks the rule; empty if the text is one value.
    """

    def __init__(self, field: str, reason: InvalidReason, detail: str, name: str = "") -> None:
        if reason == "email":
            super().__init__("EMAIL_INVALID")
        else:
            super().__init__("MALFORMED", errors=[{"where": field, "what": detail}])
        self.field = field
        self.reason = reason
        self.detail = detail
        self.name = name


def parse_time(field: str, text: str, *, needs_offset: bool = False) -> datetime:
    """Read an ISO 8601 time, which is UTC unless it says otherwise.

    Args:
        field: Name of the field.
        text: What was typed.
        needs_offset: Refuse a time without an offset.

    Raises:
        InvalidInputError: It cannot be read, or lies outside the bounds.
    """
    try:
        return parse_timestamp(text, needs_offset=needs_offset)
    except TimestampError as error:
        raise InvalidInputError(field, error.fault, str(error)) from error


def parse_filter_time(field: str, text: str) -> datetime:
    """Read a time and return the nearest one inside the bounds, since events may lie outside of them.

    Raises:
        InvalidInputError: It cannot be read.
    """
    try:
        return clamped(read_timestamp(text))
    except TimestampError as error:
        raise InvalidInputError(field, error.fault, str(error)) from error


def parse_number(field: str, text: str, bounds: Bounds) -> int:
    """Read a whole number.

    Raises:
        InvalidInputError: It cannot be read, or lies outside the bounds.
    """
    try:
        return number_bounds.parse_number(text, bounds)
    except NumberError as error:
        raise InvalidInputError(field, "number", str(error)) from error


def parse_duration(field: str, text: str) -> int:
    """Read days as an ISO 8601 duration such as `P7D`, or as their number alone.

    Raises:
        InvalidInputError: It cannot be read, or lies outside the bounds.
    """
    try:
        return number_bounds.parse_days(f"P{text}D" if text.isdecimal() else text.upper())
    except DurationError as error:
        raise InvalidInputError(field, "days", str(error)) from error


def parse_id(field: str, text: str) -> UUID:
    """Read an id.

    Raises:
        InvalidInputError: It is not an id.
    """
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidInputError(field, "id", "is not an id") from error


def parse_email(text: str, field: str = "email") -> EmailAddress:
    """Read one email address.

    Raises:
        InvalidInputError: EMAIL_INVALID, the text is not exactly one address.
    """
    try:
        return EmailAddress.parse(text[: TYPED_LENGTH_MAX + 1])
    except MalformedEmailError as error:
        raise InvalidInputError(field, "email", "is not one email address such as li.wei@example.com") from error


def find_email(text: str) -> EmailAddress | None:
    """Return the email address that a search or a sign-in names; None if the text is not one."""
    try:
        return parse_email(text)
    except InvalidInputError:
        return None


def find_pasted_email(text: str) -> EmailAddress | None:
    """Return the email address in a text as people paste it; None if there is none.

    Mail programs copy it as `Li Wei <li.wei@example.com>`, and Chinese keyboards write its sign as U+FF20.
    """
    inner = _IN_BRACKETS.search(text)
    return find_email((inner[1] if inner else text).replace("\uff20", "@").removeprefix("mailto:"))


def parse_optional(parse: Callable[[str, str], T], field: str, text: str) -> T | None:
    """Read a text by one of the functions above; return None for an empty text.

    Raises:
        InvalidInputError: It cannot be read, or its value lies outside its bounds.
    """
    return parse(field, text) if text else None


def parse_group(field: str, text: str) -> str:
    """Read the name of a group; the empty one is no group.

    Raises:
        InvalidInputError: Events may not hold the name.
    """
    if (reason := group_name_error(text)) is not None:
        raise InvalidInputError(field, reason, GROUP_DETAILS[reason])
    return text


def parse_domain_set(field: str, text: str) -> DomainNames:
    """Read the names of domains, with spaces, commas or semicolons between them.

    Raises:
        InvalidInputError: One of them is not a name, or there are none or too many.
    """
    try:
        return parse_domains(text)
    except DomainError as error:
        raise InvalidInputError(field, error.fault, str(error), error.name) from error


def parse_networks(field: str, text: str) -> tuple[str, ...]:
    """Read networks of IP addresses, with spaces, commas or semicolons between them; no network for an empty text.

    Raises:
        InvalidInputError: One of them is not a network, or there are too many.
    """
    try:
        return parse_network_list(text)
    except NetworkError as error:
        raise InvalidInputError(field, error.fault, str(error), error.name) from error


def parse_term(term: TermFormat, text: str) -> Term:
    """Read the value of a term. An empty text and the word for none are None.

    Raises:
        InvalidInputError: It cannot be read, or lies outside its bounds.
    """
    if not text or text.lower() == term.none_word:
        return None
    match term.kind:
        case "number" | "days":
            return _parse_number_or_word(term, text)
        case "timestamp":
            return parse_time(term.name, text)
        case "group":
            return parse_group(term.name, text)
        case "domains":
            return parse_domain_set(term.name, text)
        case "hours":
            return text  # the rules check it
        case "thresholds":
            return _parse_threshold_set(term.name, text)
        case "choice":
            return _parse_choice(term, text)


def _parse_choice(term: TermFormat, text: str) -> str:
    if (word := text.lower()) not in term.choices:
        raise InvalidInputError(term.name, "choice", f"is not one of the words {', '.join(term.words)}")
    return word


def _parse_threshold_set(field: str, text: str) -> Thresholds:
    try:
        return parse_thresholds(text)
    except ThresholdError as error:
        raise InvalidInputError(field, "thresholds", str(error)) from error


def _parse_number_or_word(term: TermFormat, text: str) -> int:
    if term.kind == "days":
        return parse_duration(term.name, text)
    try:
        return parse_number(term.name, text, term.bounds)
    except InvalidInputError as error:
        numbers = f"a whole number from {term.bounds.least} to {term.bounds.most}"
        detail = f"is neither {numbers} nor the word {term.none_word}"
        raise InvalidInputError(term.name, "number", detail) from error
