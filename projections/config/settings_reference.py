"""How the reference page and `ledger settings` show settings: their sections and defaults."""

from typing import Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from projections.config.settings import LedgerSettings

SECTIONS: Final = {
    "database_url": "Where things are",
    "traces_url": "Traces",
    "secret_key": "Secrets",
    "smtp_url": "Mail and webhooks",
    "relay_to": "Relay of events",
    "oidc_issuer": "Sign-in of staff",
    "reservation_ttl_s": "Policy",
    "body_bytes_max": "Size",
    "refusals_days": "How long things are kept",
}
"""Headings of the reference page, each by the first setting below it."""


def format_default(field: FieldInfo) -> str:
    """Return the default of a setting as a variable would set it; empty without one."""
    default = None if field.is_required() else field.get_default()
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, float):
        return f"{default:g}"
    return "" if default is None else str(default)


def list_sections() -> dict[str, list[str]]:
    """Return the fields of all settings by the heading of their section, in the order of the reference page."""
    sections: dict[str, list[str]] = {}
    heading = ""
    for field in LedgerSettings.model_fields:
        heading = SECTIONS.get(field, heading)
        sections.setdefault(heading, []).append(field)
    return sections
