"""Queries over reservations, codes and histories, outside commands: bounded, and without locks."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Any, NamedTuple, cast
from uuid import UUID

from domain.events.reservation import ReservationEvent
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.model.reservation_transitions import fold_reservation
from domain.ports import UNVERIFIED, UnverifiedAddress
from domain.values.identifiers import EmailAddress, MalformedCodeError, candidate_codes, normalize_code
from domain.values.number_bounds import VERSIONS
from projections.database.binary_arrays import UUIDS
from projections.database.errors import StorageUnavailableError
from projections.database.store_queries import Database, ReadableStore
from projections.event_store.codec import decode
from projections.read_models.history_blocks import CODES, fold_entries
from projections.read_models.pagination import ListCursor, ListOrder
from projections.read_models.stream_entry import Entry
from projections.sql.event_store import EventStoreSql
from projections.sql.privacy import PrivacySql
from projections.sql.read_models import ReadModelsSql
from projections.vault.vault import Vault


class ReservationHistory(NamedTuple):
    """The events of one reservation in order, each with its version in the code's stream."""

    code_id: UUID
    events: list[tuple[int, ReservationEvent]]


class CaseRow(NamedTuple):
    """One case; open while `closed_at` is None."""

    case_id: UUID
    code_id: UUID
    reservation_id: UUID
    delivery: int
    cause: str
    opened_at: datetime
    closed_at: datetime | None
    closed_how: str | None


class ApiKeyRecord(NamedTuple):
    """A valid API key, with its recorded use.

    Attributes:
        scopes: None if the key has a role.
        networks: Networks that it may be used from; None for any.
    """

    key_id: UUID
    role: str
    scopes: list[str] | None
    expires_at: datetime | None
    networks: list[IPv4Network | IPv6Network] | None
    used_at: datetime | None
    refused_at: datetime | None


class Reader:
    """Queries to the store; each uses one connection of the pool for a short time.

    Raises (all methods):
        StorageUnavailableError: The database is unavailable.
    """

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def find_reservation(self, reservation_id: UUID) -> Reservation | None:
        """Return a reservation, folded from its events; None if there is none."""
        rows = self._db.fetch_all(EventStoreSql.events_of_reservations, [reservation_id])
        if not rows:
            return None
        history = [(row[2], cast("ReservationEvent", decode(row[3], bytes(row[4])))) for row in rows]
        return fold_reservation(rows[0][1], history)

    def find_code(self, typed: str) -> UUID | None:
        """Return the id of a code by its text (in any spelling) or by its id."""
        (code_id,) = self.find_possible_codes([typed])
        return code_id if code_id and self._db.fetch_all(EventStoreSql.stream_events, code_id, 0, 1) else None

    def find_possible_codes(self, typed: Sequence[str]) -> list[UUID | None]:
        """Return the ids of codes by their texts (in any spelling); for a text that is an id, that id, known or not."""
        digests = [self._compute_code_digests(text) for text in typed]
        named = [digest for each in digests for digest in each]
        rows = self._db.fetch_all(EventStoreSql.code_ids_of_digests, named) if named else []
        ids_by_digest: dict[bytes, UUID] = {bytes(row[0]): row[1] for row in rows}
        return [
            next((ids_by_digest[digest] for digest in each if digest in ids_by_digest), None) or _parse_id(text)
            for text, each in zip(typed, digests, strict=True)
        ]

    def _compute_code_digests(self, typed: str) -> list[bytes]:
        try:
            texts = candidate_codes(normalize_code(typed))
        except MalformedCodeError:
            return []
        return [digest for text in texts for digest in self._storage.vault.compute_digests("code", text)]

    def find_existing_codes(self, normals: Sequence[str]) -> set[str]:
        """Return those of these normal forms that are codes of the ledger."""
        vault = self._storage.vault
        texts = {digest: normal for normal in normals for digest in vault.compute_digests("code", normal)}
        return (
            {texts[row[0]] for row in self._db.fetch_all(EventStoreSql.code_ids_of_digests, list(texts))}
            if texts
            else set()
        )

    def find_existing_digests(self, digests: Sequence[bytes]) -> set[bytes]:
        """Return those of these digests of typed codes under which the ledger has a code."""
        return {bytes(row[0]) for row in self._db.fetch_all(EventStoreSql.code_ids_of_digests, digests)}

    def read_history(
        self, code_id: UUID, *, as_of: datetime | None = None, after: int = 0
    ) -> Iterator[Entry[RedeemCode]]:
        """Yield every event of a code in order, folded from the first one.

        Args:
            code_id: The code; an unknown one has no events.
            as_of: Leave out events after this time.
            after: Begin after this version (earlier events are folded, but not returned).
        """
        for entry in fold_entries(
            CODES, partial(self._db.fetch_all, EventStoreSql.stream_events), code_id, None, VERSIONS.most
        ):
            if as_of is not None and entry.event.at > as_of:
                return
            if entry.version > after:
                yield entry

    def find_code_text(self, code_id: UUID) -> str | None:
        """Return a code's text in normal form; None if there is no such code, or its row is broken."""
        rows = self._db.fetch_all(ReadModelsSql.code_text, code_id)
        return self._storage.vault.read_text("code", rows[0]) if rows else None

    def find_campaign_name(self, code_id: UUID) -> str | None:
        """Return the present name of the campaign that a code belongs to; None if it belongs to none."""
        rows = self._db.fetch_all(ReadModelsSql.campaign_name_of_code, code_id)
        return rows[0][0] if rows else None

    def find_private_text(self, text_id: UUID) -> str | None:
        """Return a note or a server's reply; None if it was erased."""
        rows = self._db.fetch_all(ReadModelsSql.private_text, text_id)
        return self._storage.vault.open_text(text_id, bytes(rows[0][0]), rows[0][1]) if rows else None

    def find_email_addresses(self, reservation_ids: Sequence[UUID]) -> dict[UUID, str]:
        """Return email addresses of reservations as typed; those of erased recipients and broken rows are missing."""
        rows = self._db.fetch_all(ReadModelsSql.addresses_of_reservations, list(reservation_ids))
        addresses = ((row[0], self._storage.vault.read_text("recipient", row[1:])) for row in rows)
        return {reservation_id: address for reservation_id, address in addresses if address is not None}

    def find_recipients(self, recipient_ids: Sequence[UUID]) -> dict[UUID, EmailAddress | UnverifiedAddress]:
        """Return the email address of recipients, or that it cannot be trusted, by their ids in the log.

        Erased recipients are missing. One broken row delays only its own email.
        """
        rows = self._db.fetch_all(PrivacySql.recipients_by_id, UUIDS.encode(recipient_ids))
        return read_recipients(self._storage.vault, rows)

    def list_pending_reservations(self, code_id: UUID, limit: int) -> list[UUID]:
        """Return ids of pending reservations of a code, earliest deadline first."""
        return [row[0] for row in self._db.fetch_all(ReadModelsSql.live_reservations_of_code, code_id, limit)]

    def count_sent(self, code_id: UUID) -> int:
        """Count the uses of a code that were sent and not refunded since."""
        return int(self._db.fetch_all(ReadModelsSql.count_sent_of_code, code_id)[0][0])

    def find_api_key(self, digest: bytes, now: datetime) -> ApiKeyRecord | None:
        """Return a valid API key by its digest; None if it has expired or was revoked."""
        rows = self._db.fetch_all(ReadModelsSql.api_key_of_digest, digest, now)
        return ApiKeyRecord(*rows[0]) if rows else None

    def find_balance(self, code_id: UUID) -> dict[str, Any] | None:
        """Return one code's balance; None if there is no such code."""
        rows = self._db.fetch_dicts(ReadModelsSql.balance_of_code, (code_id,))
        return rows[0] if rows else None

    def list_cases(
        self, place: ListCursor, limit: int, *, closed_too: bool, order: ListOrder = "oldest"
    ) -> list[CaseRow]:
        """Return one page of cases behind a place, by the time of opening."""
        statements = {"newest": ReadModelsSql.newest_cases, "oldest": ReadModelsSql.list_cases}
        return [CaseRow(*row) for row in self._db.fetch_all(statements[order], *place, closed_too, limit)]

    def list_outage_candidates(self, start: datetime, end: datetime, *, include_sent: bool) -> list[UUID]:
        """Return reservations that an outage in this window may have affected; their events decide."""
        rows = self._db.fetch_all(ReadModelsSql.parked_unknowns, end)
        if include_sent:
            rows += self._db.fetch_all(ReadModelsSql.sent_unaccepted, end, start)
        return [row[0] for row in rows]

    def read_reservation_events(self, reservation_ids: Sequence[UUID]) -> dict[UUID, ReservationHistory]:
        """Return the events of reservations by their ids."""
        histories: dict[UUID, ReservationHistory] = {}
        for reservation_id, code_id, version, topic, state in self._db.fetch_all(
            EventStoreSql.events_of_reservations, list(reservation_ids)
        ):
            event = cast("ReservationEvent", decode(topic, bytes(state)))
            histories.setdefault(reservation_id, ReservationHistory(code_id, [])).events.append((version, event))
        return histories

    def ping(self) -> None:
        """Check that the database answers and accepts writes.

        Raises:
            StorageUnavailableError: It does not.
        """
        if self._db.fetch_all(ReadModelsSql.read_only)[0][0]:
            raise StorageUnavailableError("the database is a standby, which accepts no writes")


def read_recipients(vault: Vault, rows: Iterable[tuple[Any, ...]]) -> dict[UUID, EmailAddress | UnverifiedAddress]:
    """Return the email addresses of rows of the vault by the id of the recipient, or that one cannot be trusted."""
    addresses = ((row[0], vault.read_text("recipient", row)) for row in rows)
    return {key: UNVERIFIED if address is None else EmailAddress.parse(address) for key, address in addresses}


def _parse_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
