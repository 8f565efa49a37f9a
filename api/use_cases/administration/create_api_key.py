"""Create, replace, limit and revoke API keys, for the admin page and the command line; a secret is returned once."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple
from uuid import UUID

from api.auth.scopes import Scope
from api.auth.session_cookies import digest_of
from domain.values.number_bounds import Bounds
from projections.config.staff_roles import Role
from projections.repositories.api_keys import ApiKeyRepository, ApiKeyRow, NewApiKey
from projections.repositories.audit_log import (
    AuditLog,
    AuditRecorder,
    describe_changes,
    describe_reason,
    describe_values,
)

SECRET_BYTES: Final = 24
PREFIX: Final = "rl_"
"""Lets scanners of leaked secrets recognize our keys."""
SCOPED: Final = "scoped"
"""Stored instead of a role for keys that name their scopes."""
OVERLAP_HOURS: Final = Bounds(1, 30 * 24)
"""How long a key stays valid after it was replaced."""
OVERLAP_HOURS_USUAL: Final = 7 * 24
"""The usual overlap, in which a key is replaced wherever it is used."""
NAMELESS: Final = "key"
"""Name of the replacement of a key without a name."""

ReplaceProblem = Literal["revoked", "expired", "replaced"]
"""Why a key cannot be replaced."""


class ApiKeyRequest(NamedTuple):
    """A requested key: a role or scopes.

    Attributes:
        expires_at: When it ends; None without an end.
        networks: Networks that it may be used from; none of them: any.
    """

    name: str
    role: Role | None
    scopes: Sequence[Scope]
    expires_at: datetime | None
    networks: Sequence[str] = ()


class Replacement(NamedTuple):
    """What replacing a key needs.

    Attributes:
        new_id: Id of the new key; the same id creates no second key.
        expires_at: When the new key ends; None without an end.
        overlap_hours: How long the former key stays valid, unless it ends before.
    """

    new_id: UUID
    expires_at: datetime | None
    overlap_hours: int


class CannotReplaceError(Exception):
    """A key that is not valid, or was replaced before, cannot be replaced."""

    def __init__(self, problem: ReplaceProblem) -> None:
        super().__init__(problem)
        self.problem: ReplaceProblem = problem


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
    secret = _draw_secret()
    scopes = None if request.role else list(request.scopes)
    networks = list(request.networks) or None
    key = NewApiKey(key_id, digest_of(secret), request.role or SCOPED, scopes, request.expires_at, networks)

    def change(record: AuditRecorder) -> str | None:
        return secret if _insert(record, key, request.name) else None

    return audit_log.perform(change)


def replace_api_key(audit_log: AuditLog, key_id: UUID, replacement: Replacement) -> str | None:
    """Create a key with the name, the rights and the networks of another one, which ends after the overlap.

    Returns:
        The secret of the new key; None if it exists already.

    Raises:
        CannotReplaceError: The key has ended, or was replaced before.
        LookupError: There is no such key.
        StorageUnavailableError: The database is unavailable.
    """
    secret = _draw_secret()

    def change(record: AuditRecorder) -> str | None:
        keys = ApiKeyRepository(audit_log.storage)
        keys.lock(key_id)
        if (former := keys.find(key_id)) is None:
            raise LookupError
        if former.replaced_by == replacement.new_id:
            return None
        if (problem := find_replace_problem(former, audit_log.now)) is not None:
            raise CannotReplaceError(problem)
        rights, ends = (former.role, former.scopes), replacement.expires_at
        key = NewApiKey(replacement.new_id, digest_of(secret), *rights, ends, former.networks, key_id)
        if not _insert(record, key, former.name or NAMELESS):
            return None
        ends_at = audit_log.now + timedelta(hours=replacement.overlap_hours)
        keys.end(key_id, ends_at)
        last = ends_at if former.expires_at is None else min(ends_at, former.expires_at)
        record("replaced_key", key_id, describe_values(by=replacement.new_id, until=last.isoformat()))
        return secret

    return audit_log.perform(change)


def find_replace_problem(key: ApiKeyRow, now: datetime) -> ReplaceProblem | None:
    """Return why a key cannot be replaced; None if it can be."""
    if key.revoked_at is not None:
        return "revoked"
    if not key.is_valid(now):
        return "expired"
    return None if key.replaced_by is None else "replaced"


def set_key_networks(audit_log: AuditLog, key_id: UUID, networks: Sequence[str], reason: str) -> bool:
    """Set the networks that a key may be used from, none of them for any; False if nothing changes.

    Raises:
        LookupError: There is no such key, or it was revoked.
        StorageUnavailableError: The database is unavailable.
    """

    def change(record: AuditRecorder) -> bool:
        keys = ApiKeyRepository(audit_log.storage)
        keys.lock(key_id)
        key = keys.find(key_id)
        if key is None or key.revoked_at is not None:
            raise LookupError
        if list(networks) == (key.networks or []):
            return False
        keys.set_networks(key_id, list(networks) or None)
        changes = describe_changes(networks=(key.networks or [], list(networks)))
        record("changed_key", key_id, f"{describe_reason(reason)}; {changes}")
        return True

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


def _draw_secret() -> str:
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def _insert(record: AuditRecorder, key: NewApiKey, name: str) -> bool:
    """Insert a key with its entry; the entry of a key without an end says so."""
    audit_log = record.audit_log
    sealed_name = audit_log.storage.vault.seal_text(name, audit_log.new_id(), key.key_id)
    if not ApiKeyRepository(audit_log.storage).insert(key, sealed_name, audit_log.now, audit_log.actor.staff_id):
        return False
    values = describe_values(
        name=name,
        replaces=key.replaces_id,
        role=None if key.role == SCOPED else key.role,
        scopes=None if key.scopes is None else list(key.scopes),
        until="" if key.expires_at is None else key.expires_at.isoformat(),
        networks=None if key.networks is None else list(key.networks),
    )
    record("made_key", key.key_id, values)
    return True
