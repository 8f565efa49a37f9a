"""Staff accounts: each change with its line in the audit log."""

from uuid import UUID

from projections.repositories.audit_log import AuditLog, AuditRecorder, describe_changes, describe_values
from projections.repositories.staff_accounts import StaffAccountRepository
from projections.repositories.staff_sessions import NewSession, StaffSessionRepository
from projections.vault.vault import SearchableDraft


def add_staff(audit_log: AuditLog, draft: SearchableDraft, password_hash: str, role: str) -> UUID | None:
    """Add a staff account; its id, or None if the email address has one."""

    def change(record: AuditRecorder) -> UUID | None:
        staff_id = StaffAccountRepository(audit_log.storage).insert(draft, password_hash, role, audit_log.now)
        if staff_id is not None:
            record("added_staff", staff_id, describe_values(role=role))
        return staff_id

    return audit_log.perform(change)


def set_staff_role(audit_log: AuditLog, staff_id: UUID, role: str) -> bool:
    """Give a staff member another role; False if there is no such account.

    Raises:
        LastAdminError: They are the last admin.
    """

    def change(record: AuditRecorder) -> bool:
        before = StaffAccountRepository(audit_log.storage).update_role(staff_id, role)
        if before is not None:
            record("changed_role", staff_id, describe_changes(role=(before, role)) or describe_values(role=role))
        return before is not None

    return audit_log.perform(change)


def set_new_password(audit_log: AuditLog, staff_id: UUID, password_hash: str, reason: str) -> bool:
    """Set the password of another account, which ends their sessions; False if there is no such account."""

    def change(record: AuditRecorder) -> bool:
        is_done = StaffAccountRepository(audit_log.storage).update_password(staff_id, password_hash)
        if is_done:
            record("reset_password", staff_id, reason)
        return is_done

    return audit_log.perform(change)


def change_own_password(audit_log: AuditLog, staff_id: UUID, password_hash: str, session: NewSession) -> None:
    """Set one's own password: all sessions end, and a new one begins."""

    def change(record: AuditRecorder) -> None:
        StaffAccountRepository(audit_log.storage).update_password(staff_id, password_hash)
        StaffSessionRepository(audit_log.storage).insert(session, staff_id, audit_log.now)
        record("changed_password")

    audit_log.perform(change)


def remove_staff(audit_log: AuditLog, staff_id: UUID, reason: str) -> bool:
    """Close an account and its sessions; False if there is no such account.

    Raises:
        LastAdminError: They are the last admin.
    """

    def change(record: AuditRecorder) -> bool:
        is_done = StaffAccountRepository(audit_log.storage).delete(staff_id, audit_log.now)
        if is_done:
            record("removed_staff", staff_id, reason)
        return is_done

    return audit_log.perform(change)


def begin_session(audit_log: AuditLog, staff_id: UUID, session: NewSession, how: str = "") -> None:
    """Sign a staff member in; `how` says in the audit log what was unusual about it."""

    def change(record: AuditRecorder) -> None:
        StaffSessionRepository(audit_log.storage).insert(session, staff_id, audit_log.now)
        record("signed_in", None, how)

    audit_log.perform(change)


def end_session(audit_log: AuditLog, digest: bytes) -> None:
    """Sign out."""

    def change(record: AuditRecorder) -> None:
        if StaffSessionRepository(audit_log.storage).delete(digest) is not None:
            record("signed_out")

    audit_log.perform(change)
