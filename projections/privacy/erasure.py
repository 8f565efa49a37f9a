"""Erasure of a person's data from the vault and the side tables; the event log stays as it is.

Events name only a random recipient id, so counts, balances, proofs and receipts do not change. The id is first written
to a file outside the database: after a restored backup the next start erases the person's data again.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, LiteralString, NamedTuple, cast
from uuid import UUID

import msgspec
from psycopg import Connection, Cursor
from psycopg.errors import LockNotAvailable
from psycopg.rows import tuple_row

from domain.events.event import Event
from domain.events.hand_out import HandOutCreated
from domain.values.batched import batched
from domain.values.identifiers import EmailAddress
from projections.database.connection import LOCK_TIMEOUT_MS, bound_lock_waits
from projections.database.roles import assume_eraser_role, assume_runtime_role
from projections.event_store.codec import decode
from projections.privacy.in_flight import InFlight, find_in_flight
from projections.privacy.person_texts import find_text_ids
from projections.sql.event_store import EventStoreSql
from projections.sql.privacy import PrivacySql
from projections.storage.bootstrap import LedgerStore
from projections.vault.vault import SearchableRow, normalize_text

IDS_PER_LOOKUP = 1000
"""Ids of the file per lookup."""


class ErasedIdsFileError(Exception):
    """The file of erased ids cannot be written or read; the message says why and what to do."""


class _ErasedId(msgspec.Struct, frozen=True):
    """A line of the file."""

    recipient_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class ErasedIdsFile:
    """Ids of erased recipients in a file outside the database: one JSON object per line, append-only."""

    path: Path

    def append(self, recipient_id: UUID, at: datetime) -> None:
        """Write an id to the file, durably. If root writes it, it belongs to the owner of its folder, who reads it.

        Raises:
            ErasedIdsFileError: It can't be written, so nothing may be erased: a restored backup would bring it back.
        """
        line = msgspec.json.encode(_ErasedId(recipient_id, at)) + b"\n"
        try:
            with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
                if os.geteuid() == 0:
                    folder = self.path.parent.stat()
                    os.fchown(file.fileno(), folder.st_uid, folder.st_gid)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ErasedIdsFileError(
                f"{self.path} cannot be written ({error.strerror}): set LEDGER_FORGOTTEN_FILE to a file that can"
            ) from error

    def read_ids(self) -> Iterator[UUID]:
        """Yield every id in the file; none if there is no file yet.

        Raises:
            ErasedIdsFileError: It can't be read, or a line of it was altered.
        """
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    yield self._parse_line(line, number)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ErasedIdsFileError(f"{self.path} cannot be read: {error.strerror}") from error

    def _parse_line(self, line: bytes, number: int) -> UUID:
        try:
            return msgspec.json.decode(line, type=_ErasedId).recipient_id
        except msgspec.DecodeError as error:
            raise ErasedIdsFileError(
                f"{self.path}, line {number} is not the ID of a person: restore the file"
            ) from error


@dataclass(frozen=True, slots=True)
class OpenReservation:
    """An unsettled reservation of a person, and the end of a worker's lease of it."""

    reservation_id: UUID
    lease_until: datetime | None


class ErasurePreview(NamedTuple):
    """What erasing a person would do.

    Attributes:
        reservations: Reservations that stay in the ledger, without a name.
        refunded: Reserved uses of them that were definitely not sent; they are refunded.
        counted: Those with an unknown outcome: they count, because refunded they could be free uses.
        in_flight: Messages that a worker is sending now; the erasure waits for them.
        rejected_requests: Rejected requests, which are deleted.
        texts: Notes, replies and reasons, which are deleted.
        codes: Codes that hand-outs sent to the person, which are revoked; not those of a line with several codes.
    """

    reservations: int
    refunded: int
    counted: int
    in_flight: int
    rejected_requests: int
    texts: int
    codes: int


WAITING_PLACES_MAX: Final = 1_000
"""Places of one person that an erasure looks at; few people wait in as many campaigns."""

WRITERS_MS_MAX: Final = 300
"""Longest wait of a sweep for a lock in milliseconds, as a rebuild's for the writers: later commands wait behind it."""

WhyKept = Literal["accepted", "case", "open", "code", "limit", "opt_out", "recent"]
"""Why an address is kept: something was accepted, a case is open, something is under way, a code can still be redeemed,
a campaign counts the uses of the person, they want no emails (or none can be delivered), or the time is not over."""


def find_why_kept(
    cursor: Cursor[Any], recipient_ids: Sequence[UUID], now: datetime, before: datetime
) -> dict[UUID, WhyKept | None]:
    """Return why the address of each recipient is kept; None if everything about them ended before a time."""
    ids = list(recipient_ids)
    created = cursor.execute(PrivacySql.created_hand_outs_of_lines, (ids,)).fetchall()
    parameters = {
        "recipient_ids": ids,
        "now": now,
        "before": before,
        "expired_hand_outs": [row[0] for row in created if _expired(cast("HandOutCreated", _decode(row)), before)],
    }
    why_kept: dict[UUID, WhyKept | None] = dict(cursor.execute(PrivacySql.why_kept, parameters).fetchall())
    due = [recipient_id for recipient_id, why in why_kept.items() if why is None]
    newest = cursor.execute(PrivacySql.newest_events_of_recipients, (due,)).fetchall() if due else []
    return why_kept | {row[0]: "recent" for row in newest if _decode(row).at > before}


def _decode(row: Sequence[Any]) -> Event:
    _, topic, state = row
    return decode(topic, bytes(state))


def _expired(created: HandOutCreated, before: datetime) -> bool:
    return created.terms.expires_at is not None and created.terms.expires_at <= before


class StillInFlightError(Exception):
    """A message to the person may be on its way, so nothing was erased.

    Attributes:
        until: End of the last lease.
    """

    def __init__(self, until: datetime) -> None:
        super().__init__(until)
        self.until = until


class StillRedeemableError(Exception):
    """A code that a hand-out sent to the person can still be redeemed, so nothing was erased."""


class WritersBusyError(Exception):
    """Commands or senders are busy, and later ones would wait behind the erasure, so nothing was erased."""


class PersonEraser:
    """Deletes the data of one person."""

    def __init__(self, storage: LedgerStore) -> None:
        self._storage = storage

    def find_recipient_ids(self, address: EmailAddress) -> list[UUID]:
        """Return the ids of the recipient with this email address: one, or none.

        Raises:
            SealBrokenError: The row found by the address cannot be verified as theirs: another person could be erased.
        """
        vault = self._storage.vault
        digests = list(vault.compute_digests("recipient", address.normal))
        with self._open_cursor() as cursor:
            rows = cursor.execute(PrivacySql.recipients_of_digests, (digests,)).fetchall()
        for row in rows:
            vault.open("recipient", SearchableRow.from_columns(row))
        return sorted({row[0] for row in rows})

    def find_in_flight(self, recipient_ids: Sequence[UUID], address: EmailAddress | None, now: datetime) -> InFlight:
        """Return what is on its way to a person; without an address, test emails to it are left out."""
        digests = () if address is None else self._storage.vault.compute_digests("recipient", address.normal)
        with self._open_cursor() as cursor:
            return find_in_flight(cursor, recipient_ids, digests, now)

    def list_open_reservations(self, recipient_id: UUID) -> list[OpenReservation]:
        """Return unsettled reservations of a person, at most 500."""
        with self._open_cursor() as cursor:
            return [OpenReservation(*row) for row in cursor.execute(PrivacySql.live_of_recipient, (recipient_id,))]

    def list_waiting_places(self, recipient_id: UUID) -> list[tuple[UUID, UUID]]:
        """Return campaign and place of each place that a recipient has on waiting lists."""
        with self._open_cursor() as cursor:
            rows = cursor.execute(PrivacySql.waiting_places_of_person, (recipient_id, WAITING_PLACES_MAX)).fetchall()
        return [(row[1], row[0]) for row in rows if row[-1]]

    def list_redeemable_codes(self, recipient_id: UUID) -> list[UUID]:
        """Return codes that hand-outs sent to a person and that an erasure revokes.

        They are not those of a line with several codes, revoked ones, and those that others have redeemed.
        """
        with self._open_cursor() as cursor:
            rows = cursor.execute(PrivacySql.redeemable_codes_of_recipient, (recipient_id,)).fetchall()
            return [row[0] for row in rows]

    def preview(self, recipient_id: UUID, now: datetime) -> ErasurePreview:
        """Return what erasing this person would do."""
        parameters = {"recipient_id": recipient_id, "now": now}
        with self._open_cursor() as cursor:
            texts = len(find_text_ids(cursor, recipient_id))
            reservations, refunded, counted, rejected = cursor.execute(
                PrivacySql.outlook_of_recipient, parameters
            ).fetchone()
            in_flight = find_in_flight(cursor, [recipient_id], (), now).messages
            codes = len(cursor.execute(PrivacySql.redeemable_codes_of_recipient, (recipient_id,)).fetchall())
            return ErasurePreview(reservations, refunded, counted, in_flight, rejected, texts, codes)

    def has_erased(self, recipient_id: UUID) -> bool:
        """Return whether the audit log records the erasure of this recipient."""
        with self._open_cursor() as cursor:
            return bool(cursor.execute(PrivacySql.has_erased, (recipient_id,)).fetchone()[0])

    def erase(self, recipient_id: UUID, now: datetime | None = None, list_id: Callable[[], None] | None = None) -> bool:
        """Delete a person's email address, its digests, and the texts about their reservations.

        Args:
            recipient_id: Their id in the log.
            now: Database time, to wait for messages on their way; None to erase all the same.
            list_id: Lists the id outside the database. It is called once nothing else prevents the erasure.

        Returns:
            Whether there was data: of two concurrent calls, one returns True.

        Raises:
            StillInFlightError: A message may be on its way.
            StillRedeemableError: A code was sent since the codes of the person were revoked.
        """
        with self._hold_recipient(recipient_id, PrivacySql.hold_addresses) as (conn, cursor):
            if now is not None and (until := find_in_flight(cursor, [recipient_id], (), now).until) is not None:
                raise StillInFlightError(until)
            if cursor.execute(PrivacySql.redeemable_codes_of_recipient, (recipient_id,)).fetchone() is not None:
                raise StillRedeemableError
            if list_id is not None:
                list_id()
            return self._delete(conn, cursor, recipient_id, now)

    def erase_unaccepted(self, recipient_id: UUID, now: datetime, before: datetime) -> bool:
        """Erase a person who never accepted anything; return False if `why_kept` has a reason to keep the address.

        No command is decided from the decision until the end of the transaction: one about this person, such as a new
        redemption of theirs, is decided either before or without the address. The id is not listed: if a restored
        backup brings the person back, they are past the same time again.

        Raises:
            WritersBusyError: A lock was not granted within `WRITERS_MS_MAX`; the next run tries again.
        """
        locks = (EventStoreSql.lock_exclusive_writer, PrivacySql.hold_addresses)
        try:
            with self._hold_recipient(recipient_id, *locks, wait_ms_max=WRITERS_MS_MAX) as (conn, cursor):
                is_leased = find_in_flight(cursor, [recipient_id], (), now).until is not None
                if is_leased or find_why_kept(cursor, [recipient_id], now, before) != {recipient_id: None}:
                    return False
                return self._delete(conn, cursor, recipient_id, now)
        except LockNotAvailable as error:
            raise WritersBusyError from error

    def _delete(self, conn: Connection[Any], cursor: Cursor[Any], recipient_id: UUID, now: datetime | None) -> bool:
        vault = self._storage.vault
        recipient = cursor.execute(PrivacySql.recipients_by_id, ([recipient_id],)).fetchone()
        if recipient is not None:
            typed, digests = vault.read_text("recipient", recipient), [bytes(recipient[1])]
            if typed is not None:
                digests += vault.compute_digests("recipient", normalize_text("recipient", typed))
            _delete_counts(cursor, digests)
        cursor.execute(PrivacySql.delete_keys_of_recipient, (recipient_id,))
        cursor.execute(PrivacySql.expire_approvals_of_recipient, {"recipient_id": recipient_id, "now": now})
        cursor.execute(PrivacySql.delete_ended_places, (recipient_id,))
        texts = find_text_ids(cursor, recipient_id)
        assume_eraser_role(conn)
        cursor.execute(PrivacySql.delete_texts, (texts,))
        is_new = cursor.execute(PrivacySql.delete_recipient, (recipient_id,)).rowcount > 0
        assume_runtime_role(conn)
        return is_new

    @contextmanager
    def _hold_recipient(
        self, recipient_id: UUID, *locks: LiteralString, wait_ms_max: int = LOCK_TIMEOUT_MS
    ) -> Iterator[tuple[Connection[Any], Cursor[Any]]]:
        """Open a transaction with these locks, taken in this order, and then with the lock of a recipient's row."""
        pool = self._storage.datastore
        with pool.get_connection() as conn, conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            bound_lock_waits(conn, wait_ms_max)
            for lock in locks:
                cursor.execute(lock)
            assume_eraser_role(conn)
            cursor.execute(PrivacySql.lock_recipient, (recipient_id,))
            assume_runtime_role(conn)
            yield conn, cursor

    def erase_refusals(self, address: EmailAddress) -> None:
        """Delete the digests of this address in refusals and rate limits, also where no reservation was ever made."""
        with self._open_cursor() as cursor:
            _delete_counts(cursor, list(self._storage.vault.compute_digests("recipient", address.normal)))

    def find_restored(self, erased_ids: ErasedIdsFile) -> Iterator[UUID]:
        """Yield ids of the file that the database still knows, as after a restored backup.

        Raises:
            ErasedIdsFileError: The file can't be read.
        """
        for batch in batched(erased_ids.read_ids(), IDS_PER_LOOKUP):
            with self._open_cursor() as cursor:
                rows: Sequence[Any] = cursor.execute(PrivacySql.recipients_by_id, (batch,)).fetchall()
            yield from (row[0] for row in rows)

    @contextmanager
    def _open_cursor(self) -> Iterator[Any]:
        with self._storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            yield cursor


def _delete_counts(cursor: Cursor[Any], digests: list[bytes]) -> None:
    """Delete rejected requests and rate limit counts under the digests of an email address."""
    cursor.execute(PrivacySql.delete_refusals_of_digests, (digests,))
    cursor.execute(PrivacySql.delete_limit_reports_of_digests, (digests,))
    cursor.execute(PrivacySql.delete_test_emails_of_digests, (digests,))
