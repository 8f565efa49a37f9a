"""Issue codes under an Idempotency-Key: a client whose answer was lost repeats the request and gets the same codes.

The key is stored first, with a random id. The codes' ids are derived from that id and from no secret, so no rotation of
keys changes them. Issuing an existing id changes nothing, and its text is read from the vault. So a second request, at
the same time or after a crash, issues what is missing and returns the same texts.
"""

import hashlib
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

import orjson
from msgspec import structs

from api.errors import ApplicationError
from api.schemas.resources import IssueRequest
from api.use_cases.idempotency import scope_digest
from api.use_cases.issue_codes import BATCH, CodeOrder, CodeTemplate, IssuedText, issue_batch
from api.use_cases.services import Caller
from domain.commands.context import CommandContext
from domain.values.batched import batched
from domain.values.identifiers import RandomSource, format_code, generate_code
from projections.read_models.code_list import CodeListReader
from projections.read_models.reader import Reader
from projections.repositories.audit_log import AuditLog, describe_values
from projections.repositories.idempotency_keys import BatchIdempotencyKey, save_key
from projections.repositories.issue_batches import derive_code_id
from projections.repositories.notes import insert_note
from projections.storage.bootstrap import LedgerStore

_NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotentIssue:
    """A request under a key. `note` belongs to the template, but gets its id only after the key is stored."""

    key: BatchIdempotencyKey
    template: CodeTemplate
    count: int
    prefix: str
    note: str | None


def issue_key(caller: Caller, key: str, body: IssueRequest, new_id: UUID) -> BatchIdempotencyKey:
    """Return digests of a key in the caller's scope, and of the request.

    A field that is left out counts as its default, so new fields of a later version change no digest. Of the note only
    its presence counts: its text is compared where it is encrypted.

    Raises:
        ApplicationError: MALFORMED, the key is empty or too long.
    """
    scope = f"{caller.actor}:{caller.actor_id}:".encode()
    asked = body.model_dump(mode="json", exclude_defaults=True, exclude={_NOTE}) | {_NOTE: bool(body.note)}
    digest = hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).digest()
    return BatchIdempotencyKey(scope_digest(scope, key), digest, new_id)


def issue_idempotently(
    audit_log: AuditLog, issue: IdempotentIssue, context: CommandContext, random_source: RandomSource
) -> list[IssuedText]:
    """Issue what a key asks for, or what is missing of it; return the codes in the order of the first request.

    Existing codes are revealed again, with an entry in the audit log.

    Raises:
        ApplicationError: IDEMPOTENCY_KEY_REUSED, the key was used with another body.
        StorageUnavailableError: The database is unavailable; issued codes stay, and a repeated request continues.
    """
    storage = audit_log.storage
    saved_key = save_key(storage, issue.key, context.now)
    if saved_key.body_digest != issue.key.body_digest:
        raise ApplicationError("IDEMPOTENCY_KEY_REUSED")
    ids = [derive_code_id(saved_key.batch_id, nth) for nth in range(1, issue.count + 1)]
    template = replace(
        issue.template, note_id=_keep_note(storage, issue.note, saved_key.batch_id) if issue.note else None
    )
    codes = CodeListReader(storage)
    existing_texts = codes.find_texts(ids, clear=False)
    missing = [code_id for code_id in ids if code_id not in existing_texts]
    context = structs.replace(context, correlation_id=saved_key.batch_id)
    for batch in batched(missing, BATCH):
        orders = [CodeOrder(code_id, issue.prefix + generate_code(random_source), template) for code_id in batch]
        issue_batch(storage, orders, context)
    if existing_texts:
        audit_log.record(
            "exported_codes", None, describe_values(issued_before=len(existing_texts), batch=saved_key.batch_id)
        )
    texts = codes.find_texts(ids, clear=True)
    return [IssuedText(format_code(texts[code_id].text or ""), code_id) for code_id in ids]


def _keep_note(storage: LedgerStore, note: str, batch_id: UUID) -> UUID:
    """Store the note once, and check that it equals the first request's note.

    Raises:
        ApplicationError: IDEMPOTENCY_KEY_REUSED, it is another note.
    """
    draft = storage.vault.seal_text(note, uuid5(batch_id, _NOTE))
    insert_note(storage, draft)
    cut = storage.vault.open_text(draft.text_id, draft.content.sealed, draft.content.key_id)
    if Reader(storage).find_private_text(draft.text_id) != cut:
        raise ApplicationError("IDEMPOTENCY_KEY_REUSED")
    return draft.text_id
