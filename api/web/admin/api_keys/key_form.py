"""The fields that the forms of API keys share: when a key ends, and from which networks it is used."""

from datetime import datetime, timedelta
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response

from api.auth.scopes import SCOPES
from api.schemas.parsing import parse_networks, parse_time
from api.web.admin.context import admin_page
from api.web.forms import FormFields, new_nonce
from api.web.staff_auth.staff import Staff
from projections.repositories.api_keys import ApiKeyRow

ENDS: Final = ("30", "90", "365", "on", "never")
"""When a key ends: after so many days, at a time that is typed, or not at all. A form without a choice is an error."""


def read_end(fields: FormFields, now: datetime) -> datetime | None:
    """Return when a key ends; None without an end, and where `fields` has an error."""
    typed, at = fields.values.get("key_ends_at", "").strip(), fields.parsed("key_ends_at", parse_time)
    choice = fields.values.get("ends", "") or ("on" if typed else "")
    if choice not in ENDS:
        fields.errors["ends"] = "ends"
    elif typed and choice != "on":
        fields.errors["ends"] = "ends_and_time"
    elif choice == "on" and not typed:
        fields.errors["key_ends_at"] = "missing"
    elif at is not None and at <= now:
        fields.errors["key_ends_at"] = "past"
    return now + timedelta(days=int(choice)) if choice in ENDS and choice.isdecimal() else at


def read_networks(fields: FormFields) -> tuple[str, ...]:
    """Return the networks of a form; none of them for any network, and where `fields` has an error."""
    return fields.parsed("networks", parse_networks) or ()


def render_key_page(
    request: Request, template: str, staff: Staff, key: ApiKeyRow, now: datetime, **context: Any
) -> Response:
    """Render a page about one key."""
    return admin_page(
        request, template, staff, key=key, now=now, nonce=new_nonce(), ends=ENDS, scopes=SCOPES, **context
    )
