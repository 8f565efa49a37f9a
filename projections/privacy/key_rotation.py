"""Key rotation: rows of the vault under older keys are encrypted and digested again while the ledger runs.

During a rotation both keys are in the ring, and every lookup uses the digests under each pepper; so a row is found at
any time. An interrupted rotation continues where it stopped, since rows under the current keys are done.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import tuple_row

from domain.values.identifiers import EmailAddress
from projections.database.roles import assume_eraser_role
from projections.sql.privacy import PrivacySql
from projections.storage.bootstrap import LedgerStore
from projections.vault.vault import SearchableKind, SearchableRow, normalize_text

BATCH: Final = 500
"""Rows per transaction."""
NO_ID: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class _Table:
    """One table: its rows' kind, its statements, and whether only the eraser role may write it."""

    kind: SearchableKind | Literal["text", "factor"]
    find: str
    write: str
    is_of_vault: bool = True


TABLES: Final = (
    _Table("code", PrivacySql.codes_of_other_keys, PrivacySql.rekey_codes),
    _Table("recipient", PrivacySql.recipients_of_other_keys, PrivacySql.rekey_recipients),
    _Table("staff", PrivacySql.staff_of_other_keys, PrivacySql.rekey_staff),
    _Table("identity", PrivacySql.identities_of_other_keys, PrivacySql.rekey_identities),
    _Table("factor", PrivacySql.factors_of_other_keys, PrivacySql.rekey_factors),
    _Table("text", PrivacySql.texts_of_other_keys, PrivacySql.rekey_texts),
    _Table("text", PrivacySql.hand_out_rows_of_other_keys, PrivacySql.rekey_hand_out_rows, is_of_vault=False),
    _Table("text", PrivacySql.approvals_of_other_keys, PrivacySql.rekey_approvals, is_of_vault=False),
)


class KeyRotation:
    """One run over the vault."""

    def __init__(self, storage: LedgerStore) -> None:
        self._storage = storage
        pepper, master = storage.vault.current_key_ids
        self._keys = {"pepper": pepper, "master": master}

    def count_remaining(self) -> int:
        """Count the rows under older keys."""
        with self._storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(PrivacySql.count_other_keys, self._keys).fetchone()
            return int(row[0]) if row else 0

    def run(self) -> Iterator[int]:
        """Encrypt and digest every row under the current keys.

        Yields:
            After each transaction the number of rows that it rewrote.

        Raises:
            SealBrokenError: A row's old key is not in the ring, or the row was altered; those before it are done.
        """
        for table in TABLES:
            after: UUID | None = NO_ID
            while after is not None:
                count, after = self._rotate_batch(table, after)
                yield count

    def find_last_old_rejection(self) -> datetime | None:
        """Return the time of the newest rejected request whose email address is digested under an older pepper, if any.

        It cannot be digested again, because the address itself is not stored. Until these rows are deleted by age, the
        older pepper has to stay in the ring, so that support finds them and an erasure deletes them.
        """
        with self._storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(PrivacySql.refusals_of_other_peppers, (self._keys["pepper"],)).fetchone()
            return row[0] if row else None

    def _rotate_batch(self, table: _Table, after: UUID) -> tuple[int, UUID | None]:
        pool = self._storage.datastore
        with pool.get_connection() as conn, conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(table.find, {**self._keys, "after": after, "limit": BATCH}).fetchall()
            if not rows:
                return 0, None
            if table.is_of_vault:
                assume_eraser_role(conn)
            self._rewrite(cursor, table, rows)
        return len(rows), rows[-1][0]

    def _rewrite(self, cursor: Cursor[Any], table: _Table, rows: Sequence[Any]) -> None:
        vault = self._storage.vault
        columns: list[tuple[Any, ...]] = []
        for row in rows:
            digest_columns: tuple[Any, ...] = ()
            match table.kind:
                case "text" | "factor" as sealed_kind:
                    text = vault.open_text(*row, kind=sealed_kind)
                case kind:
                    # A pepper that is lost leaves its digests unchecked; those of the texts take their place.
                    text = vault.open(kind, SearchableRow.from_columns(row), may_lack_pepper=True)
                    digest = vault.compute_digests(kind, normalize_text(kind, text))[0]
                    digest_columns = (digest, self._keys["pepper"])
                    if kind == "recipient":
                        digest_columns += (vault.digest_mailbox(EmailAddress.parse(text)),)
            encrypted = vault.seal(table.kind, row[0], text)
            columns.append((row[0], *digest_columns, encrypted.sealed, encrypted.key_id))
        cursor.execute(table.write, [list(column) for column in zip(*columns, strict=True)])
