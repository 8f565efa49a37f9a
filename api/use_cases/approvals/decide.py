"""Decisions about proposals: a second person approves and so performs the action, or rejects; proposers withdraw."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from api.errors import ApplicationError
from api.use_cases.approvals.guarded_actions import Approved, perform_approved
from api.use_cases.approvals.requests import ROLES, read_request
from api.use_cases.services import Caller, LedgerServices, Services
from projections.config.approvals import ApprovalKind
from projections.config.staff_roles import RANK
from projections.repositories.api_keys import ApiKeyRepository
from projections.repositories.approvals import DONE, ApprovalRepository, Proposal, record_decision
from projections.repositories.audit_log import AuditRecorder
from projections.repositories.staff_accounts import StaffAccountRepository

LATER: Final = frozenset({"UNAVAILABLE", "OVERLOADED"})
"""Errors after which an approved action stays to be performed."""


def list_kinds_of_role(role: str) -> list[ApprovalKind]:
    """Return the kinds of actions that a role may decide about, which are those that it may perform."""
    return [kind for kind, least in ROLES.items() if RANK[role] >= RANK[least]]


def find_proposal(services: LedgerServices, approval_id: UUID) -> Proposal:
    """Return a proposal.

    Raises:
        ApplicationError: NOT_FOUND.
        StorageUnavailableError: The database is unavailable.
    """
    proposal = ApprovalRepository(services.storage).find(approval_id)
    if proposal is None:
        raise ApplicationError("NOT_FOUND")
    return proposal


def approve(services: Services, approval_id: UUID, caller: Caller) -> Proposal:
    """Approve a proposal and perform its action with the state of now; a repeat continues what was interrupted.

    Args:
        services: The application.
        approval_id: The proposal.
        caller: A signed-in member of staff.

    Raises:
        ApplicationError: NOT_FOUND; FORBIDDEN; APPROVAL_NOT_POSSIBLE, `why` says why; what stays to be performed later.
        StorageUnavailableError: The database is unavailable; a repeat continues.
    """
    proposal, staff_id = find_proposal(services, approval_id), _check_decider(services, approval_id, caller)
    repository, audit_log = ApprovalRepository(services.storage), services.open_audit_log(caller)
    _check_proposer(services, proposal)

    def change(record: AuditRecorder) -> bool:
        is_approved = repository.approve(approval_id, staff_id, audit_log.now)
        if is_approved:
            record_decision(record, "approved", approval_id, proposal.kind, proposal.subject_id)
        return is_approved

    is_new = audit_log.perform(change)
    proposal = find_proposal(services, approval_id)
    if not is_new and proposal.state_at(audit_log.now) != "approved":
        raise _not_possible(proposal, audit_log.now)
    return _perform(services, proposal, caller) if proposal.is_unfinished else proposal


def reject(services: LedgerServices, approval_id: UUID, caller: Caller, reason: str) -> None:
    """Reject a proposal, as a member of staff who may approve it, or as the operator of the machine.

    Raises:
        ApplicationError: NOT_FOUND; FORBIDDEN; APPROVAL_NOT_POSSIBLE, `why` says why.
        StorageUnavailableError: The database is unavailable.
    """
    find_proposal(services, approval_id)
    staff_id = None if caller.actor == "operator" else _check_decider(services, approval_id, caller)
    _close(services, approval_id, caller, staff_id, "rejected", reason)


def withdraw(services: LedgerServices, approval_id: UUID, caller: Caller) -> None:
    """Withdraw a proposal, as the member of staff who made it or whose API key did.

    Raises:
        ApplicationError: NOT_FOUND; APPROVAL_NOT_POSSIBLE, `why` says why.
        StorageUnavailableError: The database is unavailable.
    """
    proposal = find_proposal(services, approval_id)
    if not is_own(proposal, caller):
        raise ApplicationError("APPROVAL_NOT_POSSIBLE", why="withdraw")
    _close(services, approval_id, caller, proposal.proposer.staff_id, "withdrawn", None)


def is_own(proposal: Proposal, caller: Caller) -> bool:
    """Return whether a proposal is one of this member of staff, or of an API key that they created."""
    staff_id = proposal.proposer.staff_id
    return caller.actor == "staff" and staff_id is not None and staff_id == caller.account_id


def _check_decider(services: LedgerServices, approval_id: UUID, caller: Caller) -> UUID:
    """Return the id of the member of staff who decides.

    Raises:
        ApplicationError: FORBIDDEN, the caller is not one with the role of the action now; APPROVAL_NOT_POSSIBLE,
            it is their own proposal.
    """
    proposal = find_proposal(services, approval_id)
    if caller.actor != "staff" or caller.account_id is None:
        raise ApplicationError("FORBIDDEN")
    account = StaffAccountRepository(services.storage).find(caller.account_id)
    if account is None or proposal.kind not in list_kinds_of_role(account.role):
        raise ApplicationError("FORBIDDEN")
    if is_own(proposal, caller):
        raise ApplicationError("APPROVAL_NOT_POSSIBLE", why="own")
    return account.staff_id


def _check_proposer(services: LedgerServices, proposal: Proposal) -> None:
    """Check that who proposed still may: the account has the role, and the API key is valid.

    Raises:
        ApplicationError: APPROVAL_NOT_POSSIBLE.
    """
    staff_id, key_id, is_allowed = proposal.proposer.staff_id, proposal.proposer.key_id, True
    if staff_id is not None:
        account = StaffAccountRepository(services.storage).find(staff_id)
        is_allowed = account is not None and proposal.kind in list_kinds_of_role(account.role)
    if key_id is not None:
        key = ApiKeyRepository(services.storage).find(key_id)
        is_allowed = is_allowed and key is not None and key.is_valid(services.now())
    if not is_allowed:
        raise ApplicationError("APPROVAL_NOT_POSSIBLE", why="proposer")


def _close(
    services: LedgerServices,
    approval_id: UUID,
    caller: Caller,
    staff_id: UUID | None,
    state: Literal["rejected", "withdrawn"],
    reason: str | None,
) -> None:
    proposal, audit_log = find_proposal(services, approval_id), services.open_audit_log(caller)

    def change(record: AuditRecorder) -> bool:
        if not ApprovalRepository(services.storage).close(approval_id, state, staff_id, audit_log.now):
            return False
        action: Literal["rejected", "withdrew"] = "rejected" if state == "rejected" else "withdrew"
        record_decision(record, action, approval_id, proposal.kind, proposal.subject_id, reason)
        return True

    if not audit_log.perform(change) and find_proposal(services, approval_id).state != state:
        raise _not_possible(find_proposal(services, approval_id), audit_log.now)


def _perform(services: Services, proposal: Proposal, approver: Caller) -> Proposal:
    """Perform an approved action in the name of both persons, and store what became of it.

    The proof that it is them is that of the person who presses the button.
    """
    if proposal.private is None:
        raise AssertionError("a proposal that is open has what it stored encrypted")
    proposer = proposal.proposer
    caller = Caller(
        actor=proposer.actor,
        actor_id=proposer.actor_id,
        request_id=f"approval:{proposal.approval_id}",
        approved_by=str(proposal.decided_by),
        proof=approver.proof,
    )
    outcome = DONE
    try:
        if not perform_approved(services, Approved(proposal, caller, proposal.private), read_request(proposal.asked)):
            return proposal
    except ApplicationError as error:
        if error.code in LATER or error.facts.get("why") == "leased":
            raise
        outcome = error.code
    ApprovalRepository(services.storage).finish(proposal.approval_id, outcome)
    return find_proposal(services, proposal.approval_id)


def _not_possible(proposal: Proposal, now: datetime) -> ApplicationError:
    why = "expired" if proposal.state_at(now) == "expired" else "decided"
    return ApplicationError("APPROVAL_NOT_POSSIBLE", why=why)
