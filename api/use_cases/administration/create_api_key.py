"""Create API keys, for the admin page and the command line; a secret is returned once."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from api.auth.scopes import Role, Scope
from api.auth.session_cookies import digest_of
from projections.repositories.api_keys import ApiKeyRepository
from projections.repositories.audit_log import AuditLog, AuditRecorder, describe_values

SECRET_BYTES: Final = 24
PREFIX: Final = "rl_"
"""Lets scanners of leaked secrets recognize our keys."""
SCOPED: Final = "scoped"
"""Stored instead of a role for keys that name their scopes."""


class ApiKeyRequest(NamedTuple):
    """A requested key: a role or scopes. `days`: how long it is valid; None without an end."""

    name: str
    role: Role | None
    scopes: Sequence[Scope]
    days: int | None


def create_api_key(action: AuditLog, request: ApiKeyRequest, key_id: UUID) -> str | None:
    """Create a key, with its entry in the audit log.

    Args:
        action: The audit log of who creates it.
        request: What the key is for, and what it opens.
        key_id: Its new id; the same id creates no second key.

    Returns:
        Its secret, which is not stored; None if the key exists already.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    name, expires_at = action.storage.vault.seal_text(request.name, action.new_id(), key_id), _end_of(action, request)

    def change(record: AuditRecorder) -> str | None:
        is_new = ApiKeyRepository(action.storage).insert(
            key_id,
            digest_of(secret),
            request.role or SCOPED,
            name,
            action.now,
            expires_at=expires_at,
            staff_id=action.actor.staff_id,
            scopes=None if request.role else request.scopes,
        )
        if not is_new:
            return None
        scopes = None if request.role else list(request.scopes)
        record(
            "made_key", key_id, describe_values(name=request.name, role=request.role, scopes=scopes, days=request.days)
        )
        return secret

    return action.perform(change)


def revoke_key(action: AuditLog, key_id: UUID) -> bool:
    """Revoke a key; False if there is no such key, or it is revoked already.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """

    def change(record: AuditRecorder) -> bool:
        is_done = ApiKeyRepository(action.storage).revoke(key_id, action.now)
        if is_done:
            record("revoked_key", key_id)
        return is_done

    return action.perform(change)


def _end_of(action: AuditLog, request: ApiKeyRequest) -> datetime | None:
    return None if request.days is None else action.now + timedelta(days=request.days)
