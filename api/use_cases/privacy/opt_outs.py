"""Opting out of emails that are sent without a request, by the link in each of them; staff can undo it."""

from typing import Literal, NamedTuple
from uuid import UUID

from api.use_cases.services import Services
from domain.values.link_token import OptOutRef, read_opt_out_token
from projections.privacy.opt_outs import OptOutRepository
from projections.repositories.audit_log import AuditLog, AuditRecorder


class OptOutLink(NamedTuple):
    """What the link leads to.

    Attributes:
        state: `open`: such emails are sent. `done`: the person has opted out. `invalid`: the link leads nowhere.
        group: The group that the emails are about, if the code names one.
    """

    state: Literal["open", "done", "invalid"]
    group: str | None = None


INVALID = OptOutLink("invalid")


def find_opt_out(services: Services, token: str) -> OptOutLink:
    """Return what a link leads to, without changing anything."""
    ref = _read_ref(services, token)
    if ref is None or ref.recipient_id not in services.reader.find_recipients([ref.recipient_id]):
        return INVALID
    opted_out = OptOutRepository(services.storage).has_opted_out(*ref)
    return OptOutLink("done" if opted_out else "open", ref.group)


def opt_out(services: Services, token: str) -> OptOutLink:
    """Store the choice of the person whom the link was sent to; a repeat changes nothing."""
    ref = _read_ref(services, token)
    if ref is None or not OptOutRepository(services.storage).insert(ref.recipient_id, ref.group, services.now()):
        return INVALID
    return OptOutLink("done", ref.group)


def undo_opt_out(audit_log: AuditLog, recipient_id: UUID, group: str | None, reason: str) -> bool:
    """Delete a person's choice at their request, and record who did it and why; return False if there is none."""

    def change(record: AuditRecorder) -> bool:
        is_deleted = OptOutRepository(audit_log.storage).delete(recipient_id, group)
        if is_deleted:
            record("undid_opt_out", recipient_id, reason)
        return is_deleted

    return audit_log.perform(change)


def allow_emails(audit_log: AuditLog, recipient_id: UUID, reason: str) -> bool:
    """Allow emails to a person's address again, and record who did it and why; return False if they were allowed.

    An opt-out that a complaint led to stays: undoing it is the person's choice.
    """

    def change(record: AuditRecorder) -> bool:
        is_lifted = OptOutRepository(audit_log.storage).lift_suppressions(recipient_id)
        if is_lifted:
            record("allowed_emails", recipient_id, reason)
        return is_lifted

    return audit_log.perform(change)


def _read_ref(services: Services, token: str) -> OptOutRef | None:
    return read_opt_out_token(services.settings.secret_key.get_secret_value().encode(), token)
