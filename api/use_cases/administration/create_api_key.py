"""Create API keys, for the admin page and the command line; a secret is returned once."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from api.auth.scopes import Scope
from api.auth.session_cookies import digest_of
from projections.config.staff_roles import Role
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


def create_api_key(audit_log: AuditLog, request: ApiKeyRequest, key_id: UUID) -> str | None:
    """Create a key, with its entry in the audit log.

    Args:
        audit_log: The audit log of who creates it.
        request: What the key is for, and what it opens.
        key_id: Its new id; the same id creates no second key.

    Returns:
        Its secret, which is not stored; None if the key exists already.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    name = audit_log.storage.vault.seal_text(request.name, audit_log.new_id(), key_id)
    expires_at = _end_of(audit_log, request)

    def change(record: AuditRecorder) -> str | None:
        is_new = ApiKeyRepository(audit_log.storage).insert(
            key_id,
            digest_of(secret),
            request.role or SCOPED,
            name,
            audit_log.now,
            expires_at=expires_at,
            staff_id=audit_log.actor.staff_id,
            scopes=None if request.role else request.scopes,
        )
        if not is_new:
            return None
        scopes = None if request.role else list(request.scopes)
        record(
            "made_key", key_id, describe_values(name=request.name, role=request.role, scopes=scopes, days=request.days)
        )
        return secret

    return audit_log.perform(change)


def revoke_key(audit_log: AuditLog, key_id: UUID, reason: str) -> bool:
    """Revoke a key; False if there is no such key, or it is revoked already.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """

    def change(record: AuditRecorder) -> bool:
        is_done = ApiKeyRepository(audit_log.storage).revoke(key_id, audit_log.now)
        if is_done:
            record("revoked_key", key_id, reason)
        return is_done

    return audit_log.perform(change)


def _end_of(audit_log: AuditLog, request: ApiKeyRequest) -> datetime | None:
    return None if request.days is None else audit_log.now + timedelta(days=request.days)
