"""Idempotency-Key: how a client's key is read, and the digest under which it is stored within its scope."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import orjson
from msgspec.structs import replace
from pydantic import BaseModel

from api.errors import ApplicationError, malformed
from api.schemas.resources import KEY_LENGTH_MAX
from domain.writes import IdempotencyKey
from projections.repositories.idempotency_keys import BatchIdempotencyKey, save_key
from projections.vault.vault import CodeInput

if TYPE_CHECKING:
    from api.use_cases.services import Caller, LedgerServices


def scope_digest(scope: bytes, key: str) -> bytes:
    """Return the digest of a key in its scope; the key itself is not stored.

    Raises:
        ApplicationError: MALFORMED, it is empty or longer than 255 characters.
    """
    if not 1 <= len(key) <= KEY_LENGTH_MAX:
        raise malformed("header.idempotency-key", f"must have 1 to {KEY_LENGTH_MAX} characters")
    return hashlib.sha256(scope + key.encode(errors="replace")).digest()


def idempotency_key(
    key: str, caller: "Caller", code: CodeInput, again: UUID | None, recipient: Sequence[bytes]
) -> IdempotencyKey:
    """Return the digests of a key in its scope, and of what the body says beyond that scope.

    The scope is the API key; on the public route, which knows no caller, it is what is asked for: code and recipient,
    under each pepper, the current one's first.
    """
    # The code's first digests, as many as there are peppers, are those of its text, in the order of the person's.
    current, *older = [
        _digested(key, caller, text + person, again) for text, person in zip(code.digests, recipient, strict=False)
    ]
    return replace(current, older=older) if older else current


def _digested(key: str, caller: "Caller", what: bytes, again: UUID | None) -> IdempotencyKey:
    more = again.bytes if again else b""
    if caller.actor == "person":
        scope, body = what, more
    else:
        scope, body = f"{caller.actor}:{caller.actor_id}:".encode(), what + more
    return IdempotencyKey(
        scope_digest=scope_digest(scope, key),
        body_digest=hashlib.sha256(body).digest(),
    )


def find_keyed_id(
    services: "LedgerServices", caller: "Caller", key: str | None, kind: str, body: BaseModel
) -> UUID | None:
    """Return the id of what a request creates: that of the first request under its key; None without a key.

    The key is stored first, with a random id. Creating a known id changes nothing, so a second request, at the same
    time or after a crash, creates nothing twice.

    Args:
        services: The ledger.
        caller: The scope of the key, together with `kind`.
        key: As the client sent it.
        kind: What is created, in one word.
        body: A field that is left out is not in its digest, so new fields of a later version change no digest.

    Raises:
        ApplicationError: MALFORMED, the key is empty or too long; IDEMPOTENCY_KEY_REUSED, it came with another body.
        StorageUnavailableError: The database is unavailable.
    """
    if key is None:
        return None
    scope = f"{caller.actor}:{caller.actor_id}:{kind}\0".encode()  # no header has the last character
    digest = hashlib.sha256(
        orjson.dumps(body.model_dump(mode="json", exclude_unset=True), option=orjson.OPT_SORT_KEYS)
    ).digest()
    asked = BatchIdempotencyKey(scope_digest(scope, key), digest, services.new_id())
    saved = save_key(services.storage, asked, services.now())
    if saved.body_digest != digest:
        raise ApplicationError("IDEMPOTENCY_KEY_REUSED")
    return saved.batch_id
