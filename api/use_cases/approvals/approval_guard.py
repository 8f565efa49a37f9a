"""The guard of use cases that may need the approval of a second person: then it stores the proposal alone."""

from typing import Final, cast
from uuid import UUID

from api.errors import ApplicationError
from api.use_cases.approvals.requests import AnyRequest, store_request
from api.use_cases.services import Caller, LedgerServices
from domain.events.event import STAFF
from domain.values.identifiers import EmailAddress
from projections.repositories.api_keys import ApiKeyRepository
from projections.repositories.approvals import (
    ApprovalRepository,
    NewProposal,
    PrivatePart,
    Proposal,
    Proposer,
    ProposerKind,
    compute_fingerprint,
    expire_due,
    record_decision,
)
from projections.repositories.audit_log import AuditRecorder

REASON_LENGTH_MAX: Final = 2_000
"""Characters of a reason that a proposal stores, which is the longest that a form or a request can have."""


def require_approval(
    services: LedgerServices,
    caller: Caller,
    request: AnyRequest,
    reason: str = "",
    *,
    uses: int = 1,
    address: EmailAddress | None = None,
    person_id: UUID | None = None,
) -> Proposal | None:
    """Return if a request may be carried out now; otherwise store the proposal and raise.

    Args:
        services: The ledger.
        caller: Who asks. One whom a second person has approved passes.
        request: What is asked.
        reason: Why; kept encrypted until the proposal is closed.
        uses: How many uses a refund would return now.
        address: Of the person, if it is about one.
        person_id: Their id, if the ledger has one with this address.

    Returns:
        The approved proposal that this very request was about, if its result goes to the proposer.

    Raises:
        ApplicationError: APPROVAL_REQUIRED, with the id of the proposal; APPROVALS_FULL.
        StorageUnavailableError: The database is unavailable.
    """
    if caller.approved_by is not None or caller.actor not in STAFF:
        return None
    if not services.approvals.covers(request.KIND, uses):
        return None
    asked = store_request(request)
    digest = b"" if address is None else services.storage.vault.compute_digests("recipient", address.normal)[0]
    fingerprint, proposer = compute_fingerprint(asked, digest), find_proposer(services, caller)
    new = NewProposal(
        approval_id=services.new_id(),
        kind=request.KIND,
        subject_id=request.subject_id or person_id,
        asked=asked,
        fingerprint=fingerprint,
        private=PrivatePart(reason.strip()[:REASON_LENGTH_MAX], None if address is None else address.typed),
        proposer=proposer,
        expires_at=services.now() + services.approvals.lifetime,
    )
    proposal = _store(services, caller, new)
    if (
        proposal.state_at(services.now()) == "approved"
        and proposal.kind == "export_person"
        and _is_same(proposal.proposer, proposer)
    ):
        return proposal
    raise ApplicationError(
        "APPROVAL_REQUIRED",
        approval_id=proposal.approval_id,
        approval_url=f"/api/v1/approvals/{proposal.approval_id}",
    )


def find_proposer(services: LedgerServices, caller: Caller) -> Proposer:
    """Return who proposes, and which member of staff that is: an API key stands for the one who created it."""
    actor, account_id = cast("ProposerKind", caller.actor), caller.account_id
    if actor != "key" or account_id is None:
        return Proposer(actor, caller.actor_id, account_id)
    key = ApiKeyRepository(services.storage).find(account_id)
    return Proposer(actor, caller.actor_id, None if key is None else key.staff_id)


def _store(services: LedgerServices, caller: Caller, new: NewProposal) -> Proposal:
    """Return the open proposal of the same request, else a new one."""
    repository = ApprovalRepository(services.storage)
    proposal = repository.find_open(new.fingerprint)
    if proposal is not None and proposal.state_at(services.now()) != "expired":
        return proposal
    expire_due(services.storage, services.now(), services.new_id)
    audit_log = services.open_audit_log(caller)

    def change(record: AuditRecorder) -> None:
        if repository.insert(new, audit_log.now):
            record_decision(record, "proposed", new.approval_id, new.kind, new.subject_id, new.private.reason)

    audit_log.perform(change)
    if (stored := repository.find_open(new.fingerprint)) is None:
        raise ApplicationError("APPROVALS_FULL")
    return stored


def _is_same(one: Proposer, other: Proposer) -> bool:
    """Return whether both are the same member of staff, the same API key, or operators of the machine."""
    return one.actor == other.actor and (one.actor == "operator" or one.actor_id == other.actor_id)
