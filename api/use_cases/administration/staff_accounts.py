"""Staff accounts: each change with its line in the audit log."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from api.auth.scopes import GRANTS
from projections.config.staff_roles import RANK
from projections.repositories.api_keys import ApiKeyRepository
from projections.repositories.audit_log import (
    AuditLog,
    AuditRecorder,
    describe_changes,
    describe_reason,
    describe_values,
)
from projections.repositories.staff_accounts import StaffAccountRepository
from projections.repositories.staff_factors import StaffFactorRepository
from projections.repositories.staff_links import StaffLinkRepository
from projections.repositories.staff_sessions import NewSession, Proof, StaffSessionRepository
from projections.storage.bootstrap import LedgerStore


class LostAccess(NamedTuple):
    """What an account loses when it is closed or gets a lower role: its sessions, and API keys that it created."""

    sessions: int = 0
    keys: int = 0


NOTHING_LOST: Final = LostAccess()


def find_lost_access(storage: LedgerStore, staff_id: UUID, role: str | None, now: datetime) -> LostAccess:
    """Return what an account would lose with a lower role; None for the role of one that is closed."""
    keys = ApiKeyRepository(storage).find_beyond(staff_id, *_rights_of(role), now)
    return LostAccess(len(StaffSessionRepository(storage).list_of(staff_id, now)), len(keys))


def set_staff_role(audit_log: AuditLog, staff_id: UUID, role: str, reason: str = "") -> LostAccess | None:
    """Give a staff member another role; None if there is no such account.

    A lower role ends all sessions, and revokes the keys that the account created and that open more than the role.

    Raises:
        LastAdminError: They are the last admin.
    """

    def change(record: AuditRecorder) -> LostAccess | None:
        before = StaffAccountRepository(audit_log.storage).update_role(staff_id, role)
        if before is None:
            return None
        lost = end_access(audit_log, record, staff_id, role, reason) if RANK[role] < RANK[before] else NOTHING_LOST
        changes = describe_changes(role=(before, role)) or describe_values(role=role)
        record("changed_role", staff_id, describe_lost(reason, lost, changes))
        return lost

    return audit_log.perform(change)


def change_own_password(audit_log: AuditLog, staff_id: UUID, password_hash: str, session: NewSession) -> None:
    """Set one's own password: all sessions end, and a new one begins."""

    def change(record: AuditRecorder) -> None:
        StaffAccountRepository(audit_log.storage).update_password(staff_id, password_hash)
        StaffLinkRepository(audit_log.storage).end_all(staff_id, "changed", audit_log.now)
        StaffSessionRepository(audit_log.storage).insert(session, staff_id, audit_log.now)
        record("changed_password")

    audit_log.perform(change)


def remove_staff(audit_log: AuditLog, staff_id: UUID, reason: str) -> LostAccess | None:
    """Close an account, or revoke an invitation that is not accepted; None if there is no such account.

    The sessions and the link of the account end, and the keys that it created are revoked.

    Raises:
        LastAdminError: They are the last admin.
    """

    def change(record: AuditRecorder) -> LostAccess | None:
        if not StaffAccountRepository(audit_log.storage).delete(staff_id, audit_log.now):
            return None
        lost, links = end_access(audit_log, record, staff_id, None, reason), StaffLinkRepository(audit_log.storage)
        is_invited = "invitation" in links.find_pending(staff_id)
        links.end_all(staff_id, "revoked" if is_invited else "closed", audit_log.now)
        record("revoked_invitation" if is_invited else "removed_staff", staff_id, describe_lost(reason, lost))
        return lost

    return audit_log.perform(change)


def remove_factors(audit_log: AuditLog, staff_id: UUID, reason: str) -> LostAccess | None:
    """Remove all second factors and recovery codes of an account, and end its sessions; None if it has no factor."""

    def change(record: AuditRecorder) -> LostAccess | None:
        kinds = StaffFactorRepository(audit_log.storage).delete(staff_id)
        if not kinds:
            return None
        sessions = StaffSessionRepository(audit_log.storage).delete_of(staff_id, audit_log.now)
        record("removed_factors", staff_id, describe_reason(reason, factors=len(kinds), sessions=sessions or None))
        return LostAccess(sessions)

    return audit_log.perform(change)


def end_access(audit_log: AuditLog, record: AuditRecorder, staff_id: UUID, role: str | None, reason: str) -> LostAccess:
    """End the sessions of an account, and revoke its keys that open more than a role, each with its entry."""
    keys = ApiKeyRepository(audit_log.storage)
    lost_keys = keys.find_beyond(staff_id, *_rights_of(role), audit_log.now)
    for key_id in lost_keys:
        keys.revoke(key_id, audit_log.now)
        record("revoked_key", key_id, reason)
    sessions = StaffSessionRepository(audit_log.storage).delete_of(staff_id, audit_log.now)
    return LostAccess(sessions, len(lost_keys))


def _rights_of(role: str | None) -> tuple[list[str], list[str]]:
    """Return the roles and the scopes that a role has; none for no role."""
    granted = GRANTS[role] if role else frozenset()
    return [name for name, scopes in GRANTS.items() if scopes <= granted], sorted(granted)


def describe_lost(reason: str, lost: LostAccess, changes: str = "") -> str:
    """Format the details of a change that may cost an account its access; counts of zero are left out."""
    counts = describe_values(sessions=lost.sessions or None, keys=lost.keys or None)
    return "; ".join(filter(None, [reason, changes, counts]))


def begin_session(audit_log: AuditLog, staff_id: UUID, session: NewSession, how: str = "") -> None:
    """Sign a staff member in; `how` says in the audit log what was unusual about it."""

    def change(record: AuditRecorder) -> None:
        StaffSessionRepository(audit_log.storage).insert(session, staff_id, audit_log.now)
        record("signed_in", None, how)

    audit_log.perform(change)


def renew_proof(audit_log: AuditLog, digest: bytes, proof: Proof) -> None:
    """Store in a session that its member of staff proved who they are."""

    def change(record: AuditRecorder) -> None:
        StaffSessionRepository(audit_log.storage).renew_proof(digest, proof)
        record("proved_identity", None, describe_values(how=proof.kind))

    audit_log.perform(change)


def end_sessions(
    audit_log: AuditLog,
    staff_id: UUID,
    *,
    only: bytes | None = None,
    current: bytes | None = None,
    note: str | None = None,
) -> int:
    """End sessions of an account: all of them, only one, or all but one; return how many.

    Args:
        audit_log: The audit log of who ends them: the member of staff, or an admin.
        staff_id: The account.
        only: Digest of the only one to end; None for all.
        current: Digest of one that stays, if any.
        note: The reason, for the audit log; None: no reason was asked for.
    """

    def change(record: AuditRecorder) -> int:
        count = StaffSessionRepository(audit_log.storage).delete_of(staff_id, audit_log.now, only=only, current=current)
        if count:
            details = describe_values(sessions=count) if note is None else describe_reason(note, sessions=count)
            record("ended_sessions", staff_id, details)
        return count

    return audit_log.perform(change)


def end_session(audit_log: AuditLog, digest: bytes) -> None:
    """Sign out."""

    def change(record: AuditRecorder) -> None:
        if StaffSessionRepository(audit_log.storage).delete(digest) is not None:
            record("signed_out")

    audit_log.perform(change)
