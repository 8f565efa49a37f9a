"""Forms of staff pages: reading fields, and the nonce that makes a form sent twice one request."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar, get_args
from uuid import UUID, uuid4

from fastapi import Depends, Request

from api.errors import ApplicationError
from api.schemas.code_terms import TERMS, TermFormat
from api.schemas.parsing import VISIBLE, InvalidInputError, parse_number, parse_optional, parse_term
from domain.values.number_bounds import POSITIONS, Bounds
from domain.values.timestamps import TimestampFault
from domain.values.trace_ids import outside_trace_id

T = TypeVar("T")
TIMESTAMP_FAULTS: Final = get_args(TimestampFault)
NAME_LENGTH_MAX: Final = 200
NOTE_LENGTH_MAX: Final = 2_000
REASON_LENGTH_MAX: Final = 500
VERSION_MAX: Final = POSITIONS.most
_NONCE: Final = re.compile(r"[0-9a-f]{32}")


def new_nonce() -> str:
    """Return a random value that identifies one rendered form."""
    return uuid4().hex


def id_from_nonce(nonce: str) -> UUID:
    """Return the id of what a form creates, so that sending it twice creates one thing.

    Raises:
        ApplicationError: MALFORMED, no page of ours made the form.
    """
    if not _NONCE.fullmatch(nonce):
        raise ApplicationError("MALFORMED")
    return UUID(nonce)


def request_id_from_nonce(nonce: str) -> str | None:
    """Return the request id of a form, so that sending it twice is one request; None if no page of ours made it."""
    return f"form:{trace_id}" if (trace_id := outside_trace_id(nonce)) else None


def is_valid_reason(text: str) -> bool:
    """Return whether readers of the audit log see the reason, and it is not too long for it."""
    return find_reason_fault(text) is None


def find_reason_fault(text: str) -> Literal["missing", "long"] | None:
    """Return what is wrong with a reason, as the end of the catalog key; None if nothing is."""
    if re.search(VISIBLE, text) is None:
        return "missing"
    return "long" if len(text.strip()) > REASON_LENGTH_MAX else None


def describe_reason_form(reason: str | None) -> dict[str, Any]:
    """Return what the template `support/reason_form.html` and its page need.

    Args:
        reason: As it was sent; None if the form is shown for the first time.
    """
    return {
        "status": 200 if reason is None else 422,
        "reason": reason or "",
        "is_refused": reason is not None,
        "reason_fault": find_reason_fault(reason or ""),
        "reason_length_max": REASON_LENGTH_MAX,
    }


@dataclass(slots=True)
class FormFields:
    """A form as it was sent, read field by field.

    Attributes:
        values: Texts by field, as typed.
        choices: The ticked boxes of fields that have several.
        errors: By field, the end of the catalog key of what is wrong; after a colon, the number, range or domain
            that its text names.
    """

    values: Mapping[str, str]
    choices: Mapping[str, list[str]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def text(self, name: str, length_max: int, *, is_required: bool = False, pattern: str | None = None) -> str:
        """Return a text without surrounding space that matches a pattern; by default it is one printable line."""
        value = self.values.get(name, "").strip()
        is_accepted = value.isprintable() if pattern is None else re.fullmatch(pattern, value) is not None
        if len(value) > length_max or not is_accepted:
            self.errors[name] = "length" if len(value) > length_max else "signs"
        elif is_required and not value:
            self.errors[name] = "missing"
        return value

    def number(self, name: str, bounds: Bounds, *, default: int | None = None) -> int | None:
        """Return a whole number; the default if the field is empty."""
        value = self.values.get(name, "").strip()
        if not value:
            return default
        try:
            return parse_number(name, value, bounds)
        except InvalidInputError as error:
            self.errors[name] = _with_bounds(error.reason, bounds)
            return None

    def parsed(self, name: str, parse: Callable[[str, str], T]) -> T | None:
        """Return what a parser of `api.schemas.parsing` reads; None if the field is empty."""
        try:
            return parse_optional(parse, name, self.values.get(name, "").strip())
        except InvalidInputError as error:
            named = f"{error.reason}:{error.name}" if error.name else error.reason
            self.errors[name] = "moment" if error.reason in TIMESTAMP_FAULTS else named
            return None

    @property
    def named_terms(self) -> frozenset[str]:
        """Names of the terms of codes that the form names; the others follow the campaign, or are as usual."""
        filled_in = {term.name for term in TERMS if self.values.get(term.name, "").strip()}
        if self.values.get("unlimited") == "yes":
            filled_in |= {term.name for term in TERMS if term.default is not None}
        return frozenset(filled_in)

    def term(self, term: TermFormat, now: datetime) -> Any:  # noqa: ANN401 - the kind of the term says what it is
        """Return the value of a term: its default if the field is empty. A deadline must lie after `now`."""
        text = self.values.get(term.name, "").strip()
        if term.default is not None and self.values.get("unlimited") == "yes":
            return None
        if not text:
            return term.default
        try:
            value = parse_term(term, text)
        except InvalidInputError as error:
            reason = "moment" if term.kind == "timestamp" else error.reason
            named = f"{reason}:{error.name}" if error.name else reason
            self.errors[term.name] = _with_bounds(reason, term.bounds) if term.kind == "number" else named
            return None
        if term.must_lie_ahead and isinstance(value, datetime) and value <= now:
            self.errors[term.name] = "past"
        return value


def _with_bounds(reason: str, bounds: Bounds) -> str:
    return f"{reason}:{bounds.least:,}–{bounds.most:,}"


async def _read_form(request: Request) -> FormFields:
    form = await request.form()
    values = {name: value for name, value in form.items() if isinstance(value, str)}
    choices = {name: [value for value in form.getlist(name) if isinstance(value, str)] for name in values}
    return FormFields(values, choices)


FormDep = Annotated[FormFields, Depends(_read_form)]
"""The form of a request. Routes that take it may be plain functions."""
