"""Export of all data of one person, from every table that holds some; `erasure` erases the same."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from domain.model.hand_out import list_codes_of_line
from domain.values.batched import batched
from domain.values.identifiers import EmailAddress
from projections.privacy.person_texts import find_codes, find_text_ids
from projections.read_models.pagination import NEWEST
from projections.read_models.reader import ReservationHistory
from projections.read_models.support_queries import RejectedRequestOfRecipient, RejectionPlace, SupportReader
from projections.sql.privacy import PrivacySql
from projections.vault.vault import SearchableRow

ROWS_MAX: Final = 100_000
"""Most rows of each kind; no person has more."""
PAGE_SIZE: Final = 500


class AuditEntry(NamedTuple):
    """An entry of the audit log about a person, and the id of its reason; None if none is stored."""

    at: datetime
    act: str
    subject_id: UUID
    text_id: UUID | None


class ReservationData(NamedTuple):
    """One reservation: the suffix of its code, and its history."""

    reservation_id: UUID
    suffix: str
    history: ReservationHistory


class HandOutData(NamedTuple):
    """A row of a hand-out's list: its code's suffix, the values that the email names, whether its link was opened.

    `codes`: how many codes the row has. `suffix` is that of the first, and `more_suffixes` are those of the others that
    are issued.
    """

    hand_out_id: UUID
    code_id: UUID
    suffix: str
    language: str
    variables: dict[str, str]
    is_form_opened: bool
    codes: int
    more_suffixes: list[str]


class PersonReader(SupportReader):
    """Queries about one person; they may take long, and no redeem request waits for them."""

    def find_recipient_ids(self, address: EmailAddress) -> list[UUID]:
        """Return the ids of the recipient with this email address: one, or none.

        Raises:
            SealBrokenError: The row found by the address cannot be verified as theirs.
        """
        vault = self._storage.vault
        rows = self._db.fetch_all(
            PrivacySql.recipients_of_digests, list(vault.compute_digests("recipient", address.normal))
        )
        for row in rows:
            vault.open("recipient", SearchableRow.from_columns(row))
        return sorted({row[0] for row in rows})

    def read_reservations(self, recipient_id: UUID) -> Iterator[ReservationData]:
        """Yield every reservation of a person, newest first."""
        ids = self._read_reservation_ids(recipient_id)
        for batch in batched(ids, PAGE_SIZE):
            histories = self.read_reservation_events(batch)
            for reservation_id in batch:
                history = histories[reservation_id]
                yield ReservationData(reservation_id, self.find_suffix(history.code_id), history)

    def read_texts(self, recipient_id: UUID) -> dict[UUID, str]:
        """Return all texts about a person, by their ids."""
        with self._db.open_cursor() as cursor:
            text_ids = find_text_ids(cursor, recipient_id)
        return self.read_private_texts(text_ids)

    def list_codes(self, recipient_id: UUID) -> list[UUID]:
        """Return the ids of the codes that were handed out to a person or are bound to them."""
        with self._db.open_cursor() as cursor:
            return find_codes(cursor, recipient_id)

    def read_rejected_requests(self, address: EmailAddress) -> list[RejectedRequestOfRecipient]:
        """Return rejected requests of a person, newest first, under any pepper."""
        return self.list_rejected_requests_of_recipient(
            self._storage.vault.compute_digests("recipient", address.normal), RejectionPlace(NEWEST[0]), ROWS_MAX
        )

    def read_audit_entries(self, subjects: Sequence[UUID]) -> list[AuditEntry]:
        """Return entries of the audit log about a person, their reservations or their codes, oldest first."""
        rows = self._db.fetch_all(PrivacySql.audit_of_subjects, list(subjects), ROWS_MAX)
        return [AuditEntry._make(row) for row in rows]

    def read_side_rows(self, reservation_ids: Sequence[UUID]) -> dict[str, list[tuple[Any, ...]]]:
        """Return rows about reservations that are neither events nor texts, by table."""
        statements = {
            "idempotency_keys": PrivacySql.idempotency_keys_of_reservations,
            "outbox": PrivacySql.outbox_of_reservations,
        }
        return {name: self._db.fetch_all(query, list(reservation_ids), ROWS_MAX) for name, query in statements.items()}

    def read_suppressions(self, recipient_id: UUID) -> list[tuple[Any, ...]]:
        """Return why the person's address is not written to: cause, group, since and until."""
        rows = self._db.fetch_all(PrivacySql.suppressions_of_recipient, recipient_id)
        return [(cause, group, since, until) for cause, group, _, since, until in rows]

    def read_opt_outs(self, recipient_id: UUID) -> list[tuple[Any, ...]]:
        """Return the groups whose reminders a person does not want, and since when."""
        return self._db.fetch_all(PrivacySql.opt_outs_of_recipient, recipient_id)

    def read_waiting_places(self, recipient_id: UUID) -> list[tuple[Any, ...]]:
        """Return the places that a person has or had: id, campaign, code, times, email, whether it is on the list."""
        return self._db.fetch_all(PrivacySql.waiting_places_of_person, recipient_id, ROWS_MAX)

    def read_hand_outs(self, recipient_id: UUID) -> list[HandOutData]:
        """Return what lists of hand-outs have about a person, in the order of the uploads."""
        rows = self._db.fetch_all(PrivacySql.hand_out_rows_of_recipient, recipient_id, ROWS_MAX)
        open_text = self._storage.vault.open_text
        return [
            HandOutData(
                hand_out_id,
                code_id,
                self.find_suffix(code_id),
                language,
                {} if sealed is None else orjson.loads(open_text(code_id, sealed, key_id)),
                is_form_opened,
                codes,
                [suffix for (suffix,) in self._db.fetch_all(PrivacySql.suffixes_of_codes, more_ids)],
            )
            for hand_out_id, code_id, language, sealed, key_id, is_form_opened, codes in rows
            for more_ids in [list_codes_of_line(code_id, codes)[1:]]
        ]

    def _read_reservation_ids(self, recipient_id: UUID) -> Iterator[UUID]:
        before = NEWEST
        while page := self.list_reservations_of_recipient(recipient_id, before, PAGE_SIZE):
            yield from (reservation_id for _, reservation_id in page)
            before = page[-1]
