"""Second factors of staff, their recovery codes, and which challenges and half sign-ins were used."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg import Cursor

from projections.database.roles import assume_eraser_role, assume_runtime_role
from projections.database.store_queries import Database, ReadableStore
from projections.sql.second_factors import SecondFactorsSql
from projections.telemetry.metrics import ERRORS
from projections.vault.vault import SealBrokenError

log = logging.getLogger(__name__)

FactorKind = Literal["totp", "passkey"]
FACTORS_MAX: Final = 10
"""Most second factors of one account: a few devices of one person."""


class FactorContent(Struct, frozen=True):
    """What is stored encrypted of a factor.

    Attributes:
        staff_id: The account, so that a row that was moved to another one opens nothing.
        name: As its user typed it.
        secret: Of an app, in base32.
        public_key: Of a passkey, as its authenticator encoded it (RFC 9052).
    """

    staff_id: UUID
    name: str
    secret: str = ""
    public_key: bytes = b""


class Factor(NamedTuple):
    """One second factor. `content` is None if its row cannot be trusted: then it proves nothing."""

    factor_id: UUID
    staff_id: UUID
    kind: FactorKind
    created_at: datetime
    last_used_at: datetime | None
    counter: int
    credential_id: bytes | None
    content: FactorContent | None


class NewFactor(NamedTuple):
    """A factor that is added; its id is that of the state in which it was begun, so it is added once."""

    factor_id: UUID
    kind: FactorKind
    content: FactorContent
    counter: int
    credential_id: bytes | None = None


class StaffFactorRepository:
    """Reads and writes the tables `staff_factors`, `staff_recovery_codes` and `staff_spent_states`."""

    def __init__(self, storage: ReadableStore) -> None:
        self._vault, self._db = storage.vault, Database(storage)

    def list_of(self, staff_id: UUID) -> list[Factor]:
        """Return the factors of an account, the oldest first."""
        return [self._read(row) for row in self._db.fetch_all(SecondFactorsSql.factors_of_staff, staff_id)]

    def find_passkey(self, credential_id: bytes) -> Factor | None:
        """Return a passkey by the id that its authenticator gave it."""
        rows = self._db.fetch_all(SecondFactorsSql.factor_of_credential, credential_id)
        return self._read(rows[0]) if rows else None

    def has_any(self, staff_id: UUID) -> bool:
        """Return whether an account has a factor, also one whose row cannot be trusted."""
        return bool(self._db.fetch_all(SecondFactorsSql.has_factor, staff_id)[0][0])

    def insert(self, factor: NewFactor, now: datetime) -> bool:
        """Insert a factor; False if it was added already, or the account has `FACTORS_MAX`."""
        row = {**factor._asdict(), **self._seal(factor.factor_id, factor.content), "now": now, "limit": FACTORS_MAX}
        del row["content"]
        with self._as_account_keeper() as cursor:
            parameters = {**row, "staff_id": factor.content.staff_id}
            return bool(cursor.execute(SecondFactorsSql.add_factor, parameters).fetchall())

    def advance(self, factor_id: UUID, counter: int, now: datetime) -> bool:
        """Record a use; False if the counter is not higher than that of a former use: one of them is a copy."""
        parameters = {"factor_id": factor_id, "counter": counter, "now": now}
        with self._as_account_keeper() as cursor:
            return bool(cursor.execute(SecondFactorsSql.advance_factor, parameters).fetchall())

    def rename(self, factor_id: UUID, content: FactorContent) -> None:
        """Store another name."""
        sealed = self._seal(factor_id, content)
        with self._as_account_keeper() as cursor:
            cursor.execute(SecondFactorsSql.rename_factor, (sealed["sealed"], sealed["key_id"], factor_id))

    def delete(self, staff_id: UUID, only: UUID | None = None) -> list[FactorKind]:
        """Delete one factor of an account, or all; return their kinds. Recovery codes end with the last factor."""
        with self._as_account_keeper() as cursor:
            rows = cursor.execute(SecondFactorsSql.remove_factors, {"staff_id": staff_id, "only": only}).fetchall()
        return [row[0] for row in rows]

    def replace_recovery_codes(self, staff_id: UUID, digests: Sequence[bytes], now: datetime) -> None:
        """Replace all recovery codes of an account."""
        with self._as_account_keeper() as cursor:
            cursor.execute(SecondFactorsSql.clear_recovery_codes, (staff_id,))
            parameters = {"staff_id": staff_id, "digests": list(digests), "now": now}
            cursor.execute(SecondFactorsSql.add_recovery_codes, parameters)

    def use_recovery_code(self, staff_id: UUID, digest: bytes, now: datetime) -> bool:
        """Use a recovery code; False if it is not one of the account, or was used before."""
        with self._as_account_keeper() as cursor:
            return bool(cursor.execute(SecondFactorsSql.use_recovery_code, (now, staff_id, digest)).fetchall())

    def has_recovery_code(self, staff_id: UUID, digest: bytes) -> bool:
        """Return whether a recovery code is of the newest set of an account, used or not."""
        return bool(self._db.fetch_all(SecondFactorsSql.has_recovery_code, staff_id, digest)[0][0])

    def count_recovery_codes(self, staff_id: UUID) -> int:
        """Return how many recovery codes of an account are not used."""
        return int(self._db.fetch_all(SecondFactorsSql.unused_recovery_codes, staff_id)[0][0])

    def spend(self, state_id: UUID, expires_at: datetime, now: datetime) -> bool:
        """Use a challenge or a half sign-in; False if it was used before."""
        parameters = {"state_id": state_id, "expires_at": expires_at, "now": now}
        return bool(self._db.fetch_named(SecondFactorsSql.spend_state, **parameters))

    def _seal(self, factor_id: UUID, content: FactorContent) -> dict[str, Any]:
        sealed = self._vault.seal("factor", factor_id, msgspec.json.encode(content).decode())
        return {"sealed": sealed.sealed, "key_id": sealed.key_id}

    def _read(self, row: tuple[Any, ...]) -> Factor:
        credential_id = None if row[6] is None else bytes(row[6])
        factor = Factor._make([*row[:6], credential_id, None])
        try:
            return factor._replace(content=self._open(factor, *row[7:]))
        except SealBrokenError as error:
            ERRORS.labels("vault_error").inc()
            log.error(  # noqa: TRY400 - the row is broken, not the program
                "vault row refused", extra={"kind": "factor", "row_id": str(factor.factor_id), "why": str(error)}
            )
            return factor

    def _open(self, factor: Factor, sealed: bytes, key_id: int) -> FactorContent:
        text = self._vault.open_text(factor.factor_id, sealed, key_id, kind="factor")
        content = msgspec.json.decode(text, type=FactorContent)
        if content.staff_id != factor.staff_id:
            raise SealBrokenError(f"the factor {factor.factor_id} is of another account")
        return content

    @contextmanager
    def _as_account_keeper(self) -> Iterator[Cursor[tuple[Any, ...]]]:
        """Open a transaction as the role that may write how accounts sign in."""
        with self._db.open_transaction() as cursor:
            assume_eraser_role(cursor.connection)
            yield cursor
            assume_runtime_role(cursor.connection)
