"""All that the ledger knows of one person, read from wherever it is kept; `erasure` erases the same."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, NamedTuple
from uuid import UUID

from domain.values.identifiers import EmailAddress
from projections.read_models.reader import ReservationHistory
from projections.read_models.support_queries import RejectedAttempt, SupportReader
from projections.sql.privacy import PrivacySql
from projections.vault.vault import FoundRow

ROWS_MAX: Final = 100_000
"""Of each kind; a person who has more is none."""
AT_A_TIME: Final = 500
NEWEST: Final = (datetime(9999, 12, 31, tzinfo=UTC), UUID(int=2**128 - 1))


class AuditEntry(NamedTuple):
    """Something that staff did beside the ledger about a person. `reason`: None where none is kept."""

    at: datetime
    act: str
    subject_id: UUID
    reason: str | None


class Held(NamedTuple):
    """A reservation of theirs: its code's end, its history, and the texts about it by their ids."""

    reservation_id: UUID
    hint: str
    history: ReservationHistory
    texts: dict[UUID, str]


class PersonReader(SupportReader):
    """Questions about one person; none is asked while somebody waits for a click."""

    def ids_of(self, address: EmailAddress) -> list[UUID]:
        """Ids of the person with this address: one, or none.

        Raises:
            SealBrokenError: The row that is found by the address is not surely theirs.
        """
        vault = self._storage.vault
        rows = self._all(PrivacySql.recipients_of_digests, list(vault.digests("recipient", address.normal)))
        for row in rows:
            vault.open("recipient", FoundRow.of(row))
        return sorted({row[0] for row in rows})

    def reservations_of(self, recipient_id: UUID) -> Iterator[Held]:
        """Every reservation of theirs, newest first."""
        ids = self._reservation_ids(recipient_id)
        while batch := list(islice(ids, AT_A_TIME)):
            histories = self.reservation_events(batch)
            for reservation_id in batch:
                found = histories[reservation_id]
                texts = [text_id for _, event in found.events if (text_id := getattr(event, "text_id", None))]
                yield Held(reservation_id, self.hint(found.code_id), found, self.private_texts(texts))

    def tries_of(self, address: EmailAddress) -> list[RejectedAttempt]:
        """Their refused tries, newest first, under any key."""
        return self.refusals_of_person(self._storage.vault.digests("recipient", address.normal), NEWEST[0], ROWS_MAX)

    def audit_of(self, subjects: Sequence[UUID]) -> list[AuditEntry]:
        """What staff did about them or their reservations, oldest first."""
        vault = self._storage.vault
        found = []
        for at, act, subject_id, text_id, sealed, key_id in self._all(
            PrivacySql.audit_of_subjects, list(subjects), ROWS_MAX
        ):
            reason = None if sealed is None else vault.open_text(text_id, bytes(sealed), key_id)
            found.append(AuditEntry(at, act, subject_id, reason))
        return found

    def beside(self, reservation_ids: Sequence[UUID]) -> dict[str, list[tuple[Any, ...]]]:
        """Rows about their reservations that are neither event nor text."""
        statements = {
            "idempotency_keys": PrivacySql.idempotency_keys_of_reservations,
            "outbox": PrivacySql.outbox_of_reservations,
        }
        return {name: self._all(query, list(reservation_ids), ROWS_MAX) for name, query in statements.items()}

    def _reservation_ids(self, recipient_id: UUID) -> Iterator[UUID]:
        before = NEWEST
        while page := self.of_recipient(recipient_id, before, AT_A_TIME):
            yield from (reservation_id for _, reservation_id in page)
            before = page[-1]
