"""Making a key for an integrator, for the admin page and the command line: its secret is given out once."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from api.scopes import Role, Scope
from api.sessions import digest_of
from projections.api_keys import ApiKeys
from projections.bootstrap import Storage
from projections.staff import StaffDesk

SECRET_BYTES: Final = 24
PREFIX: Final = "rl_"
"""What tells scanners of leaked secrets whose key it is."""
SCOPED: Final = "scoped"
"""In the place of a role, of keys that name their scopes."""


class KeyWish(NamedTuple):
    """What a key is to be: a role or scopes, one of both. `days`: how long it opens anything; None for ever."""

    name: str
    role: Role | None
    scopes: Sequence[Scope]
    days: int | None


def make_key(
    storage: Storage, wish: KeyWish, key_id: UUID, text_id: UUID, now: datetime, *, staff_id: UUID | None
) -> str | None:
    """Make a key, and write down who made it.

    Args:
        storage: An open ledger.
        wish: What it is to be.
        key_id: Its new id; the same id makes no second key.
        text_id: New id of its sealed name.
        now: Database time.
        staff_id: Who makes it; None for the operator.

    Returns:
        Its secret, which is kept nowhere; None if the key was made before.

    Raises:
        StorageUnavailableError: The database is away.
    """
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    is_new = ApiKeys(storage).add(
        key_id,
        digest_of(secret),
        wish.role or SCOPED,
        storage.vault.text(wish.name, text_id, key_id),
        now,
        expires_at=None if wish.days is None else now + timedelta(days=wish.days),
        staff_id=staff_id,
        scopes=None if wish.role else wish.scopes,
    )
    if not is_new:
        return None
    StaffDesk(storage).record("made_key", staff_id, now, key_id)
    return secret
