"""Rotating keys: rows of the vault under older keys are sealed and digested anew, while everything runs.

Both keys are in the ring meanwhile, and every look-up asks for the digests under each pepper; so a row is found before,
during and after its turn. What is interrupted goes on where it stopped: rows under the current keys are done.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import tuple_row

from domain.values import EmailAddress
from projections.bootstrap import Storage
from projections.forgetting import become_keeper_of_the_vault
from projections.sql import QUERIES
from projections.vault import RowKind

BATCH: Final = 500
"""Rows per transaction."""
NO_ID: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class _Table:
    """One table of the vault: its rows' kind, its statements, and the text that is digested of what is sealed."""

    kind: RowKind
    find: str
    write: str
    normal: Callable[[str], str] | None
    in_vault: bool = True


def _normal_address(typed: str) -> str:
    return EmailAddress.parse(typed).normal


TABLES: Final = (
    _Table("code", "codes_of_other_keys", "rekey_codes", str),
    _Table("recipient", "recipients_of_other_keys", "rekey_recipients", _normal_address),
    _Table("staff", "staff_of_other_keys", "rekey_staff", _normal_address, in_vault=False),
    _Table("text", "texts_of_other_keys", "rekey_texts", None),
)


class KeyRotation:
    """One run over the vault."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        pepper, master = storage.vault.current
        self._keys = {"pepper": pepper, "master": master}

    def left(self) -> int:
        """How many rows are under older keys."""
        with self._storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(QUERIES["count_other_keys"], self._keys).fetchone()
            return int(row[0]) if row else 0

    def run(self) -> Iterator[int]:
        """Seal and digest every row under the current keys.

        Yields:
            After each transaction the number of rows that it rewrote.

        Raises:
            SealBrokenError: A row's old key is not in the ring, or the row was altered; those before it are done.
        """
        for table in TABLES:
            after: UUID | None = NO_ID
            while after is not None:
                done, after = self._batch(table, after)
                yield done

    def older_refusals_until(self) -> datetime | None:
        """When the newest refused try was kept whose address is digested under an older pepper; None: there is none.

        Nobody can digest it anew, for the address itself is not kept. Until these rows have aged out, the older pepper
        stays in the ring, so that support finds them and forgetting deletes them.
        """
        with self._storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(QUERIES["refusals_of_other_peppers"], (self._keys["pepper"],)).fetchone()
            return row[0] if row else None

    def _batch(self, table: _Table, after: UUID) -> tuple[int, UUID | None]:
        pool = self._storage.datastore
        with pool.get_connection() as conn, conn.transaction(), conn.cursor(row_factory=tuple_row) as at:
            rows = at.execute(QUERIES[table.find], {**self._keys, "after": after, "limit": BATCH}).fetchall()
            if not rows:
                return 0, None
            if table.in_vault:
                become_keeper_of_the_vault(conn)
            self._rewrite(at, table, rows)
        return len(rows), rows[-1][0]

    def _rewrite(self, cursor: Cursor[Any], table: _Table, rows: Sequence[Any]) -> None:
        vault = self._storage.vault
        columns: list[tuple[Any, ...]] = []
        for row_id, sealed, key_id in rows:
            text = vault.open(table.kind, row_id, bytes(sealed), key_id)
            anew = vault.seal(table.kind, row_id, text)
            found: tuple[Any, ...] = ()
            if table.normal is not None:
                found = (vault.digests(table.kind, table.normal(text))[0], self._keys["pepper"])
            columns.append((row_id, *found, anew.sealed, anew.key_id))
        cursor.execute(QUERIES[table.write], [list(column) for column in zip(*columns, strict=True)])
