"""All that the ledger knows of one person, read from wherever it is kept; `erasure` erases the same."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, NamedTuple
from uuid import UUID

from domain.values.identifiers import EmailAddress
from projections.read_models.reader import ReservationHistory
from projections.read_models.support_queries import RejectedRequestOfRecipient, SupportReader
from projections.sql.privacy import PrivacySql
from projections.vault.vault import SearchableRow

ROWS_MAX: Final = 100_000
"""Of each kind; a person who has more is none."""
PAGE_SIZE: Final = 500
NEWEST: Final = (datetime(9999, 12, 31, tzinfo=UTC), UUID(int=2**128 - 1))


class AuditEntry(NamedTuple):
    """Something that staff did beside the ledger about a person. `reason`: None where none is kept."""

    at: datetime
    act: str
    subject_id: UUID
    reason: str | None


class ReservationData(NamedTuple):
    """A reservation of theirs: its code's end, its history, and the texts about it by their ids."""

    reservation_id: UUID
    hint: str
    history: ReservationHistory
    texts: dict[UUID, str]


class PersonReader(SupportReader):
    """Questions about one person; none is asked while somebody waits for a click."""

    def find_recipient_ids(self, address: EmailAddress) -> list[UUID]:
        """Ids of the person with this address: one, or none.

        Raises:
            SealBrokenError: The row that is found by the address is not surely theirs.
        """
        vault = self._storage.vault
        rows = self._fetch_all(
            PrivacySql.recipients_of_digests, list(vault.compute_digests("recipient", address.normal))
        )
        for row in rows:
            vault.open("recipient", SearchableRow.from_columns(row))
        return sorted({row[0] for row in rows})

    def read_reservations(self, recipient_id: UUID) -> Iterator[ReservationData]:
        """Every reservation of theirs, newest first."""
        ids = self._read_reservation_ids(recipient_id)
        while batch := list(islice(ids, PAGE_SIZE)):
            histories = self.read_reservation_events(batch)
            for reservation_id in batch:
                history = histories[reservation_id]
                texts = [text_id for _, event in history.events if (text_id := getattr(event, "text_id", None))]
                yield ReservationData(
                    reservation_id, self.find_suffix(history.code_id), history, self.read_private_texts(texts)
                )

    def read_rejected_requests(self, address: EmailAddress) -> list[RejectedRequestOfRecipient]:
        """Their refused tries, newest first, under any key."""
        return self.list_rejected_requests_of_recipient(
            self._storage.vault.compute_digests("recipient", address.normal), NEWEST[0], ROWS_MAX
        )

    def read_audit_entries(self, subjects: Sequence[UUID]) -> list[AuditEntry]:
        """What staff did about them or their reservations, oldest first."""
        vault = self._storage.vault
        entries = []
        for at, act, subject_id, text_id, sealed, key_id in self._fetch_all(
            PrivacySql.audit_of_subjects, list(subjects), ROWS_MAX
        ):
            reason = None if sealed is None else vault.open_text(text_id, bytes(sealed), key_id)
            entries.append(AuditEntry(at, act, subject_id, reason))
        return entries

    def read_side_rows(self, reservation_ids: Sequence[UUID]) -> dict[str, list[tuple[Any, ...]]]:
        """Rows about their reservations that are neither event nor text."""
        statements = {
            "idempotency_keys": PrivacySql.idempotency_keys_of_reservations,
            "outbox": PrivacySql.outbox_of_reservations,
        }
        return {name: self._fetch_all(query, list(reservation_ids), ROWS_MAX) for name, query in statements.items()}

    def _read_reservation_ids(self, recipient_id: UUID) -> Iterator[UUID]:
        before = NEWEST
        while page := self.list_reservations_of_recipient(recipient_id, before, PAGE_SIZE):
            yield from (reservation_id for _, reservation_id in page)
            before = page[-1]
