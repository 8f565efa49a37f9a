"""Links by which staff choose their own password: of an invitation, and of a forgotten password."""

import secrets
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple
from uuid import UUID

from api.auth.session_cookies import digest_of
from projections.repositories.audit_log import AuditLog, AuditRecorder, describe_values
from projections.repositories.staff_accounts import StaffAccountRepository
from projections.repositories.staff_identities import StaffIdentityRepository
from projections.repositories.staff_links import LinkEnd, LinkPurpose, StaffLink, StaffLinkRepository
from projections.repositories.staff_sessions import StaffSessionRepository
from projections.storage.bootstrap import LedgerStore
from projections.vault.vault import SearchableDraft

INVITATION_LIFE: Final = timedelta(hours=24)
PASSWORD_LIFE: Final = timedelta(hours=1)
REPEATED_AFTER: Final = timedelta(minutes=5)
"""A forgotten password leads to one email in this time, however often it is requested: others can request it, too."""
TOKEN_BYTES: Final = 32
LinkState = Literal["open", "expired", "unknown", LinkEnd]


class NewLink(NamedTuple):
    """A link that was just created. Its token is stored nowhere: send it, or print it."""

    staff_id: UUID
    purpose: LinkPurpose
    token: str
    expires_at: datetime

    @property
    def digest(self) -> bytes:
        """What is stored of the token."""
        return digest_of(self.token)


def invite_staff(audit_log: AuditLog, draft: SearchableDraft, role: str) -> NewLink | None:
    """Add an account without a password, with the link of its invitation; None if the email address has an account."""

    def change(record: AuditRecorder) -> NewLink | None:
        staff_id = StaffAccountRepository(audit_log.storage).insert(draft, "", role, audit_log.now)
        if staff_id is None:
            return None
        # Of an account that was closed before: a sign-in may have been in progress while it was closed.
        StaffSessionRepository(audit_log.storage).delete_of(staff_id, audit_log.now)
        record("added_staff", staff_id, describe_values(role=role))
        return _create_link(audit_log, staff_id, "invitation")

    return audit_log.perform(change)


def repeat_invitation(audit_log: AuditLog, staff_id: UUID) -> NewLink | None:
    """Replace the link of an invitation that was not accepted, which may have expired; None if there is none."""

    def change(record: AuditRecorder) -> NewLink | None:
        if "invitation" not in _lock_pending(audit_log, staff_id):
            return None
        record("repeated_invitation", staff_id)
        return _create_link(audit_log, staff_id, "invitation")

    return audit_log.perform(change)


def reset_password(audit_log: AuditLog, staff_id: UUID, reason: str) -> NewLink | None:
    """Make the password of another account useless, end its sessions, and create the link for a new password.

    None if there is no such account, or its invitation is not accepted.
    """

    def change(record: AuditRecorder) -> NewLink | None:
        is_invited = "invitation" in _lock_pending(audit_log, staff_id)
        if is_invited or not StaffAccountRepository(audit_log.storage).update_password(staff_id, ""):
            return None
        record("reset_password", staff_id, reason)
        return _create_link(audit_log, staff_id, "password")

    return audit_log.perform(change)


def request_password_link(audit_log: AuditLog, staff_id: UUID) -> NewLink | None:
    """Create the link for a forgotten password.

    None if the invitation of the account is not accepted, if such a link was created in the last few minutes, or if the
    identity provider decides about the account.
    """

    def change(record: AuditRecorder) -> NewLink | None:
        pending = _lock_pending(audit_log, staff_id)
        ways = StaffIdentityRepository(audit_log.storage).find_sign_in(staff_id)
        if ways.is_connected and not ways.has_password:
            return None
        age = audit_log.now - pending.get("password", audit_log.now - REPEATED_AFTER)
        if "invitation" in pending or timedelta(0) <= age < REPEATED_AFTER:
            return None
        record("requested_password", staff_id)
        return _create_link(audit_log, staff_id, "password")

    return audit_log.perform(change)


def choose_password(audit_log: AuditLog, link: StaffLink, digest: bytes, password_hash: str) -> bool:
    """Use a link once: set the password, which ends all sessions and all other links of the account.

    Args:
        audit_log: The audit log of the member of staff.
        link: As it was found.
        digest: Of its token.
        password_hash: Of the chosen password.

    Returns:
        False if the link is not valid any more; nothing was changed then.
    """

    def change(record: AuditRecorder) -> bool:
        links = StaffLinkRepository(audit_log.storage)
        links.lock()
        if not links.use(digest, audit_log.now):
            return False
        links.end_all(link.staff_id, "changed", audit_log.now)
        StaffAccountRepository(audit_log.storage).update_password(link.staff_id, password_hash)
        record("accepted_invitation" if link.purpose == "invitation" else "changed_password")
        return True

    return audit_log.perform(change)


def find_link(storage: LedgerStore, token: str, now: datetime) -> tuple[LinkState, StaffLink | None]:
    """Return a link by its token, and whether it can be used."""
    link = StaffLinkRepository(storage).find(digest_of(token))
    if link is None or link.address is None:
        return "unknown", None
    if link.ended_how is not None:
        return link.ended_how, link
    return ("open" if now < link.expires_at else "expired"), link


def _lock_pending(audit_log: AuditLog, staff_id: UUID) -> dict[LinkPurpose, datetime]:
    """Return when the links of an account that have not ended were created; no request changes them now."""
    links = StaffLinkRepository(audit_log.storage)
    links.lock()
    return links.find_pending(staff_id)


def _create_link(audit_log: AuditLog, staff_id: UUID, purpose: LinkPurpose) -> NewLink:
    life = INVITATION_LIFE if purpose == "invitation" else PASSWORD_LIFE
    link = NewLink(staff_id, purpose, secrets.token_urlsafe(TOKEN_BYTES), audit_log.now + life)
    StaffLinkRepository(audit_log.storage).insert(
        link.digest, staff_id, purpose, audit_log.now, link.expires_at, "sending"
    )
    return link
