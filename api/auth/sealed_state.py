"""State that a browser keeps between two requests, encrypted: only the ledger can have made it, for one purpose."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from projections.vault.vault import SealBrokenError, Vault

Purpose = Literal["sign_on", "second_step", "totp", "register", "assert"]


class OpenedState(NamedTuple):
    """What was kept, under an id by which it can be used once."""

    state_id: UUID
    values: list[Any]
    expires_at: datetime


def seal_state(vault: Vault, purpose: Purpose, state: OpenedState) -> str:
    """Return a state as a cookie or a field of a form can carry it."""
    text = json.dumps([purpose, state.expires_at.timestamp(), *state.values])
    sealed = vault.seal("state", state.state_id, text)
    return f"{state.state_id.hex}.{sealed.key_id}.{urlsafe_b64encode(sealed.sealed).decode()}"


def open_state(vault: Vault, purpose: Purpose, text: str, now: datetime) -> OpenedState | None:
    """Return a state that was sealed for this purpose; None if it was not, or has expired."""
    state_id, _, rest = text.partition(".")
    key_id, _, sealed = rest.partition(".")
    try:
        content = vault.open_text(UUID(state_id), urlsafe_b64decode(sealed), int(key_id), kind="state")
    except (ValueError, SealBrokenError):
        return None
    was_for, until, *values = json.loads(content)
    expires_at = datetime.fromtimestamp(until, UTC)
    return OpenedState(UUID(state_id), values, expires_at) if was_for == purpose and now < expires_at else None
