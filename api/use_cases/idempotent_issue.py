"""Issuing codes under an Idempotency-Key: a client whose answer was lost asks again and gets the same codes.

The key is kept first, with a random id; the codes' ids follow from that id and from no secret, so no rotation of keys
changes them. Issuing an id that exists changes nothing, and its text is read from the vault: so whoever comes second,
at the same time or after a crash half way, issues what is missing and answers with the same texts.
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
from domain.values.batches import batched
from domain.values.identifiers import RandomSource, format_code, generate_code
from projections.read_models.code_list import CodeListReader
from projections.read_models.reader import Reader
from projections.repositories.audit_log import AuditLog, describe_values
from projections.repositories.idempotency_keys import BatchIdempotencyKey, BatchIdempotencyKeyRepository
from projections.repositories.issue_batches import derive_code_id
from projections.repositories.notes import NoteRepository
from projections.storage.bootstrap import LedgerStore

_NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotentIssue:
    """What is asked for under a key. `note` is of the codes' terms, but its id is not known before the key's is."""

    key: BatchIdempotencyKey
    template: CodeTemplate
    count: int
    prefix: str
    note: str | None


def issue_key(caller: Caller, key: str, body: IssueRequest, new_id: UUID) -> BatchIdempotencyKey:
    """Digests of a key in its scope, which is who asks, and of what it asks for.

    What is left out counts as what it defaults to, so that a later version's new fields change no digest. Of the note
    only that there is one: its words are compared where they are sealed.

    Raises:
        ApplicationError: MALFORMED, the key is empty or too long.
    """
    scope = f"{caller.actor}:{caller.actor_id}:".encode()
    asked = body.model_dump(mode="json", exclude_defaults=True, exclude={_NOTE}) | {_NOTE: bool(body.note)}
    digest = hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).digest()
    return BatchIdempotencyKey(scope_digest(scope, key), digest, new_id)


def issue_idempotently(
    action: AuditLog, issue: IdempotentIssue, context: CommandContext, random_source: RandomSource
) -> list[IssuedText]:
    """Issue what a key asks for, or what is missing of it; all of it in the order of the first time.

    Codes that are there already are revealed again, with a line in the audit log.

    Raises:
        ApplicationError: IDEMPOTENCY_KEY_REUSED, the key came before with another body.
        StorageUnavailableError: The database is away; what is issued by then stays, and asking again goes on.
    """
    storage = action.storage
    saved_key = BatchIdempotencyKeyRepository(storage).save(issue.key, context.now)
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
        action.record(
            "exported_codes", None, describe_values(issued_before=len(existing_texts), batch=saved_key.batch_id)
        )
    texts = codes.find_texts(ids, clear=True)
    return [IssuedText(format_code(texts[code_id].text or ""), code_id) for code_id in ids]


def _keep_note(storage: LedgerStore, note: str, batch_id: UUID) -> UUID:
    """Keep the note once; it has to be the one that came first.

    Raises:
        ApplicationError: IDEMPOTENCY_KEY_REUSED, it is another.
    """
    draft = storage.vault.seal_text(note, uuid5(batch_id, _NOTE))
    NoteRepository(storage).insert(draft)
    cut = storage.vault.open_text(draft.text_id, draft.content.sealed, draft.content.key_id)
    if Reader(storage).find_private_text(draft.text_id) != cut:
        raise ApplicationError("IDEMPOTENCY_KEY_REUSED")
    return draft.text_id
