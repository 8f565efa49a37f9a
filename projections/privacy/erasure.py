"""Forgetting a person: what the vault and the tables beside the log hold of them goes, the log stays as it is.

Events name only a random recipient id, so counts, balances, proofs and receipts are untouched. The id goes to a list
outside the database first: a restored backup, which knows the person again, forgets them again at its next start.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg import Cursor
from psycopg.rows import tuple_row

from domain.values.identifiers import EmailAddress
from projections.database.roles import assume_eraser_role
from projections.read_models.vault_reader import readable
from projections.sql.privacy import PrivacySql
from projections.storage.bootstrap import LedgerStore
from projections.vault.vault import FoundRow, normal_text

LIST_BATCH = 1000
"""Ids of the list that are looked up at a time."""


class ForgottenListError(Exception):
    """The list of forgotten people can't be written or read; the message says why and what to do."""


class _Line(msgspec.Struct, frozen=True):
    """A line of the list."""

    recipient_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class ErasedIdsFile:
    """Ids of forgotten people in a file beside the database, one JSON object a line, only ever appended to."""

    path: Path

    def add(self, recipient_id: UUID, at: datetime) -> None:
        """Write one down, durably.

        Raises:
            ForgottenListError: It can't be written; then nobody may be forgotten, for a backup would remember them.
        """
        line = msgspec.json.encode(_Line(recipient_id, at)) + b"\n"
        try:
            with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as fault:
            raise ForgottenListError(
                f"{self.path} can't be written ({fault.strerror}): name a place for it in LEDGER_FORGOTTEN_FILE"
            ) from fault

    def ids(self) -> Iterator[UUID]:
        """Every id in it; none if there is no list yet.

        Raises:
            ForgottenListError: It can't be read, or a line of it was altered.
        """
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    yield self._id(line, number)
        except FileNotFoundError:
            return
        except OSError as fault:
            raise ForgottenListError(f"{self.path} can't be read: {fault.strerror}") from fault

    def _id(self, line: bytes, number: int) -> UUID:
        try:
            return msgspec.json.decode(line, type=_Line).recipient_id
        except msgspec.DecodeError as bad:
            raise ForgottenListError(f"{self.path}, line {number}, is no id of a person: restore the file") from bad


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation that a person still holds, and until when a worker has it."""

    reservation_id: UUID
    lease_until: datetime | None


class Outlook(NamedTuple):
    """What forgetting a person would do.

    Attributes:
        reservations: All that stay in the books, without a name.
        given_back: Of them held, and surely not sent.
        counted: Of them perhaps sent: counted, for given back they could be free uses.
        leaving: Letters that a worker is sending now; they have to be waited for.
        tries: Refused tries, which are deleted.
        texts: Notes, replies and reasons, which are deleted.
    """

    reservations: int
    given_back: int
    counted: int
    leaving: int
    tries: int
    texts: int


class PersonEraser:
    """Deletes what is known of one person."""

    def __init__(self, storage: LedgerStore) -> None:
        self._storage = storage

    def find(self, address: EmailAddress) -> list[UUID]:
        """Ids of the person with this address: one, or none.

        Raises:
            SealBrokenError: The row that is found by the address is not surely theirs: another person would be erased.
        """
        vault = self._storage.vault
        digests = list(vault.digests("recipient", address.normal))
        with self._cursor() as cursor:
            rows = cursor.execute(PrivacySql.recipients_of_digests, (digests,)).fetchall()
        for row in rows:
            vault.open("recipient", FoundRow.of(row))
        return sorted({row[0] for row in rows})

    def held(self, recipient_id: UUID) -> list[Held]:
        """What they still hold, 500 at most."""
        with self._cursor() as conn:
            return [Held(*row) for row in conn.execute(PrivacySql.live_of_recipient, (recipient_id,))]

    def outlook(self, recipient_id: UUID, now: datetime) -> Outlook:
        """What would become of them and theirs."""
        named = {"recipient_id": recipient_id, "now": now}
        with self._cursor() as conn:
            texts = len(conn.execute(PrivacySql.texts_of_recipient, named).fetchall())
            counts = conn.execute(PrivacySql.outlook_of_recipient, named).fetchone()
            return Outlook._make((*counts, texts))

    def erase(self, recipient_id: UUID) -> bool:
        """Delete their address, the texts about their reservations, and the digests of their address.

        Returns:
            Whether they were known until now: of two that ask at once, one did it.
        """
        vault = self._storage.vault
        pool = self._storage.datastore
        with pool.get_connection() as conn, conn.transaction(), conn.cursor(row_factory=tuple_row) as at:
            found = at.execute(PrivacySql.recipients_by_id, ([recipient_id],)).fetchone()
            if found is not None:
                typed, digests = readable(vault, "recipient", found), [bytes(found[1])]
                if typed is not None:
                    digests += vault.digests("recipient", normal_text("recipient", typed))
                _delete_counts(at, digests)
            at.execute(PrivacySql.delete_keys_of_recipient, (recipient_id,))
            texts = at.execute(PrivacySql.texts_of_recipient, {"recipient_id": recipient_id}).fetchall()
            assume_eraser_role(conn)
            at.execute(PrivacySql.delete_texts, ([row[0] for row in texts],))
            return at.execute(PrivacySql.delete_recipient, (recipient_id,)).rowcount > 0

    def erase_refusals(self, address: EmailAddress) -> None:
        """Delete the digests of this address in refusals and rate limits, also where no reservation was ever made."""
        with self._cursor() as cursor:
            _delete_counts(cursor, list(self._storage.vault.digests("recipient", address.normal)))

    def remembered(self, forgotten: ErasedIdsFile) -> Iterator[UUID]:
        """Who is in the list and known to the database all the same, as after a restored backup.

        Raises:
            ForgottenListError: The list can't be read.
        """
        ids = forgotten.ids()
        while batch := list(islice(ids, LIST_BATCH)):
            with self._cursor() as conn:
                rows: Sequence[Any] = conn.execute(PrivacySql.recipients_by_id, (batch,)).fetchall()
            yield from (row[0] for row in rows)

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        with self._storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            yield cursor


def _delete_counts(cursor: Cursor[Any], digests: list[bytes]) -> None:
    """Delete what was counted by the digests of an email address: refused requests, and units of rate limits."""
    cursor.execute(PrivacySql.delete_refusals_of_digests, (digests,))
    cursor.execute(PrivacySql.delete_limit_reports_of_digests, (digests,))
