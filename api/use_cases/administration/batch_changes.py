"""Pauses, resumes, revokes or extends many codes together: one batch, one line in the audit log, one event per code.

The codes are those of a list when the batch is requested. The batch runner changes them slice by slice and continues
where a process ended: what is changed already does not change again.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final
from uuid import UUID

from msgspec import structs

from api.use_cases.code_actions import change_terms, pause, resume, revoke
from api.use_cases.services import Caller, LedgerServices
from domain.application import settle_revoked_code
from domain.command_bus import CodeCommand
from domain.commands.context import CommandContext
from domain.errors import Refusal
from projections.repositories.audit_log import AuditLog, AuditRecorder, describe_reason
from projections.repositories.issue_batches import Batch, BatchRepository, NewBatch
from projections.telemetry.after_commit import after_commit

CODES_MAX: Final = 100_000
"""Most codes of one batch. Their ids are stored with the request, in one transaction of about a second."""


def request_change(
    audit_log: AuditLog, batches: BatchRepository, new_batch: NewBatch, code_ids: Sequence[UUID], reason: str
) -> bool:
    """Store a batch that changes these codes; False if it is stored already.

    Args:
        audit_log: Who requests it.
        batches: Where batches are stored.
        new_batch: The batch. Its terms hold the new end of an extension.
        code_ids: At most `CODES_MAX`.
        reason: For the audit log; the note of the batch is the reason in the history of each code.
    """

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
    done = batch.done
    while codes := batches.list_code_ids(batch, done, slice_max):
        context = create_context()
        commands = [
            structs.replace(_command(services, batch, code_id, reason or ""), context=context) for _, code_id in codes
        ]
        results = services.storage.ledger.execute(commands)
        rejected = []
        for (number, code_id), result in zip(codes, results, strict=True):
            if isinstance(result, Refusal):
                rejected.append((number, result.code))
            elif batch.kind == "revoke" and result.code.reserved:
                _settle(services, create_context, code_id)
        done = codes[-1][0]
        yield len(codes), rejected


def _command(services: LedgerServices, batch: Batch, code_id: UUID, reason: str) -> CodeCommand:
    caller = Caller(actor="staff", actor_id=str(batch.staff_id))
    match batch.kind:
        case "pause":
            return pause.command(services, caller, code_id, note=reason)
        case "resume":
            return resume.command(services, caller, code_id, note=reason)
        case "revoke":
            return revoke.command(services, caller, code_id, note=reason)
        case _:
            return change_terms.command(services, caller, code_id, {"expires_at": batch.terms.expires_at}, note=reason)


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
