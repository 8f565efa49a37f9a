"""Pages of the admin office, and what their forms have in common."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from api.web.public import page
from api.web.staff_auth.rendering import get_language
from api.web.staff_auth.sessions import Staff
from domain.values.number_bounds import Bounds, NumberError, parse_number
from domain.values.timestamps import TimestampError, parse_timestamp

NAME_LENGTH_MAX: Final = 200
NOTE_LENGTH_MAX: Final = 2_000
_NONCE: Final = re.compile(r"[0-9a-f]{32}")


def admin_page(request: Request, template: str, staff: Staff, *, status: int = 200, **context: Any) -> Response:
    """A page for an admin who is signed in."""
    return page(request, f"admin/{template}", get_language(request), status=status, staff=staff, **context)


def see_other(path: str) -> Response:
    """After a form: go on to a page, so that reloading sends nothing twice."""
    return RedirectResponse(path, 303, {"Cache-Control": "no-store"})


def new_form_nonce() -> str:
    """What a form carries, so that sending it twice is one act."""
    return uuid4().hex


def id_from_nonce(nonce: str) -> UUID | None:
    """The id under which a form's act is kept; None if the form is none of ours."""
    return UUID(nonce) if _NONCE.fullmatch(nonce) else None


@dataclass(slots=True)
class FormFields:
    """A form as it was sent, read field by field. `errors`: by field, the end of the key of what is wrong."""

    values: Mapping[str, str]
    errors: dict[str, str] = field(default_factory=dict)

    def text(self, name: str, length_max: int, *, is_required: bool = False, is_line: bool = True) -> str:
        """A text, trimmed; a line holds no control characters."""
        value = self.values.get(name, "").strip()
        if len(value) > length_max or (is_line and not value.isprintable()):
            self.errors[name] = "length" if len(value) > length_max else "signs"
        elif is_required and not value:
            self.errors[name] = "missing"
        return value

    def number(self, name: str, bounds: Bounds, *, default: int | None = None) -> int | None:
        """A whole number; the default where nothing is written."""
        value = self.values.get(name, "").strip()
        if not value:
            return default
        try:
            return parse_number(value, bounds)
        except NumberError:
            self.errors[name] = "number"
            return None

    def timestamp(self, name: str, earliest: datetime) -> datetime | None:
        """A moment to come, UTC unless it says otherwise; None where nothing is written."""
        value = self.values.get(name, "").strip()
        if not value:
            return None
        try:
            timestamp = parse_timestamp(value)
        except TimestampError:
            self.errors[name] = "moment"
            return None
        if timestamp <= earliest:
            self.errors[name] = "past"
        return timestamp
