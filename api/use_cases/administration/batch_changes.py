"""Pauses, resumes, revokes or extends many codes together: one batch, one line in the audit log, one event per code.

The codes are those of a list when the batch is requested. The batch runner changes them slice by slice and continues
where a process ended: what is changed already does not change again.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple, cast
from uuid import UUID

from msgspec import structs

from api.use_cases.approvals.approval_guard import require_approval
from api.use_cases.approvals.requests import RevokeCodes, RevokeLine
from api.use_cases.code_actions import change_terms, pause, resume, revoke
from api.use_cases.services import Caller, LedgerServices
from domain.application import settle_revoked_code
from domain.command_bus import CodeCommand
from domain.commands.context import CommandContext
from domain.errors import Refusal
from domain.values.batched import batched
from projections.repositories.audit_log import AuditRecorder, describe_reason
from projections.repositories.issue_batches import Batch, BatchRepository, ChangeKind, NewBatch
from projections.telemetry.after_commit import after_commit

SLICE: Final = 250
"""Codes of one commit."""


class CodeChange(NamedTuple):
    """What is done to each code.

    Attributes:
        kind: The change.
        reason: For the history of each code.
        expires_at: The new end of an extension.
    """

    kind: ChangeKind
    reason: str
    expires_at: datetime | None = None


def request_change(
    services: LedgerServices,
    caller: Caller,
    codes: RevokeCodes | RevokeLine,
    new_batch: NewBatch,
    code_ids: Sequence[UUID],
    reason: str,
) -> bool:
    """Store a batch that changes these codes; False if it is stored already.

    Args:
        services: The ledger.
        caller: Who requests it.
        codes: Which codes are meant, in case that a revocation needs an approval.
        new_batch: The batch. Its terms hold the new end of an extension.
        code_ids: At most `CODES_MAX`.
        reason: For the audit log; the note of the batch is the reason in the history of each code.

    Raises:
        ApplicationError: APPROVAL_REQUIRED, it waits for a second person now.
        StorageUnavailableError: The database is unavailable.
    """
    if new_batch.kind == "revoke":
        require_approval(services, caller, codes, reason)
    batches, audit_log = BatchRepository(services.storage), services.open_audit_log(caller)

    def change(record: AuditRecorder) -> bool:
        if not batches.insert(new_batch, audit_log.now):
            return False
        batches.insert_codes(new_batch.batch_id, code_ids)
        details = {"action": new_batch.kind, "count": len(code_ids), "until": new_batch.terms.expires_at}
        record("changed_codes", new_batch.batch_id, describe_reason(reason, **details))
        return True

    return audit_log.perform(change)


def change_codes(
    services: LedgerServices,
    batches: BatchRepository,
    batch: Batch,
    create_context: Callable[[], CommandContext],
    slice_max: int,
) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Change the codes of a batch that are not done yet, a slice in each step.

    Yields:
        How many codes the slice has, and the numbers of those that were refused, with the codes of the refusals.

    Raises:
        StorageUnavailableError: The database is unavailable; the slices before this one are changed.
    """
    reason = services.reader.find_private_text(batch.text_id) if batch.text_id else None
    change = CodeChange(cast("ChangeKind", batch.kind), reason or "", batch.terms.expires_at)
    done = batch.done
    while codes := batches.list_code_ids(batch, done, slice_max):
        refused = _change_slice(services, change, [code_id for _, code_id in codes], create_context)
        done = codes[-1][0]
        yield len(codes), [(codes[place][0], code) for place, code in refused]


def change_at_once(
    services: LedgerServices,
    caller: Caller,
    codes: RevokeCodes | RevokeLine,
    change: CodeChange,
    code_ids: Sequence[UUID],
    progress: Callable[[int], None],
) -> tuple[UUID, list[tuple[UUID, str]]]:
    """Change codes while the caller waits; return the correlation id of the events, and which codes were refused why.

    A run that is interrupted can be repeated: what is changed already does not change again. Each run is one line in
    the audit log.

    Args:
        services: The ledger.
        caller: Who asks.
        codes: Which codes are meant, in case that a revocation needs an approval.
        change: What is done to each code.
        code_ids: At most `CODES_MAX`.
        progress: Is called with the number of codes of each slice.

    Raises:
        ApplicationError: APPROVAL_REQUIRED, it waits for a second person now.
        StorageUnavailableError: The database is unavailable; the slices before this one are changed.
    """
    if change.kind == "revoke":
        require_approval(services, caller, codes, change.reason)
    change_id = services.new_id()
    details = {"action": change.kind, "count": len(code_ids), "until": change.expires_at}
    services.open_audit_log(caller).record("changed_codes", change_id, describe_reason(change.reason, **details))

    def create_context() -> CommandContext:
        return structs.replace(services.context(caller), correlation_id=change_id)

    refused = []
    for ids in batched(code_ids, SLICE):
        refused += [(ids[place], code) for place, code in _change_slice(services, change, ids, create_context)]
        progress(len(ids))
    return change_id, refused


def _change_slice(
    services: LedgerServices,
    change: CodeChange,
    code_ids: Sequence[UUID],
    create_context: Callable[[], CommandContext],
) -> list[tuple[int, str]]:
    """Change some codes in one transaction; return the places of those that were refused, with the refusal's code."""
    context = create_context()
    commands = [structs.replace(_command(services, change, code_id), context=context) for code_id in code_ids]
    refused = []
    for place, result in enumerate(services.storage.ledger.execute(commands)):
        if isinstance(result, Refusal):
            refused.append((place, result.code))
        elif change.kind == "revoke" and result.code.reserved:
            _settle(services, create_context, code_ids[place])
    return refused


def _command(services: LedgerServices, change: CodeChange, code_id: UUID) -> CodeCommand:
    caller = Caller(actor="operator")  # replaced with the context
    match change.kind:
        case "pause":
            return pause.command(services, caller, code_id, note=change.reason)
        case "resume":
            return resume.command(services, caller, code_id, note=change.reason)
        case "revoke":
            return revoke.command(services, caller, code_id, note=change.reason)
        case "extend":
            changes = {"expires_at": change.expires_at}
            return change_terms.command(services, caller, code_id, changes, note=change.reason)


def _settle(services: LedgerServices, create_context: Callable[[], CommandContext], code_id: UUID) -> None:
    """Settle what a revoked code holds, as far as it goes now; the sweep continues."""
    with after_commit("settling a revoked code"):
        settle_revoked_code(
            services.storage.ledger.execute,
            code_id,
            create_context,
            services.new_id,
            services.settling_commands_max,
        )
