"""What support asks: finding codes and persons, recent work, refused tries, and what waits for somebody."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, cast
from uuid import UUID

from domain.events import UseReserved
from domain.values import EmailAddress
from projections.codec import decode, topics_of
from projections.reading import Reader

STRETCH: Final = 2_000
"""Rows of the log that are looked through for one page of recent work."""

Place = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One reservation in a list. `address` is clear: whoever shows it masks it; None if it was forgotten.

    `hint` is the end of the code's text.
    """

    reservation_id: UUID
    code_id: UUID
    recipient_id: UUID
    status: str
    reserved_at: datetime
    deadline: datetime
    due_at: datetime | None
    lease_until: datetime | None
    ever_unknown: bool
    case_id: UUID | None
    sent_at: datetime | None
    accepted_at: datetime | None
    refunded_at: datetime | None
    refund_cause: str | None
    address: str | None
    hint: str | None


class RecentWork(NamedTuple):
    """Reservations, newest first, and the position from which the next page goes on; None at the log's beginning."""

    ids: list[UUID]
    next: int | None


class RefusedTry(NamedTuple):
    """A try on a code that a rule refused. `address` is known only of persons with a reservation somewhere."""

    at: datetime
    reason: str
    address: str | None


class SupportReader(Reader):
    """Support's questions; each is bounded."""

    def recent(self, before: int, limit: int) -> RecentWork:
        """The newest reservations of all codes, from a position of the log down."""
        rows = self._all("newest_log_rows", before, STRETCH, topics_of(UseReserved))
        ids = [cast("UseReserved", decode(row[1], bytes(row[2]))).reservation_id for row in rows[:limit]]
        if len(rows) > limit:
            return RecentWork(ids, rows[limit - 1][0])
        lowest = self._all("lowest_of_newest_log_rows", before, STRETCH)[0][0]
        return RecentWork(ids, lowest if lowest is not None and lowest > 1 else None)

    def cards(self, reservation_ids: Sequence[UUID]) -> list[Card]:
        """Reservations by their ids, in that order; unknown ones are left out."""
        found = {}
        for row in self._all("reservation_cards", list(reservation_ids)):
            *fields, sealed, key_id, hint = row
            address = self._opened(row[2], sealed, key_id)
            found[row[0]] = Card(**dict(zip(_CARD_FIELDS, fields, strict=True)), address=address, hint=hint)
        return [found[key] for key in reservation_ids if key in found]

    def recipient_of(self, address: EmailAddress) -> UUID | None:
        """The person with this address, if they ever reserved anything."""
        rows = self._all("recipient_ids_of_digests", list(self._storage.vault.digests("recipient", address.normal)))
        return cast("UUID", rows[0][1]) if rows else None

    def recipient_address(self, recipient_id: UUID) -> str | None:
        """A person's address in clear; None if there is no such person (or they were forgotten)."""
        rows = self._all("recipient_text", recipient_id)
        return self._opened(recipient_id, rows[0][0], rows[0][1]) if rows else None

    def of_recipient(self, recipient_id: UUID, before: Place, limit: int) -> list[Place]:
        """One page of a person's reservations on all codes, newest first: (reserved at, id)."""
        return [(row[1], row[0]) for row in self._all("reservations_of_recipient", recipient_id, *before, limit)]

    def codes_ending(self, hint: str, after: UUID, limit: int) -> list[UUID]:
        """Codes by the end of their text, in order of their (random) ids."""
        return [row[0] for row in self._all("code_texts_of_hint", hint, after, limit)]

    def hint(self, code_id: UUID) -> str:
        """What may be shown of a code's text."""
        rows = self._all("hint_of_code", code_id)
        return str(rows[0][0]) if rows else ""

    def code_of_reservation(self, reservation_id: UUID) -> UUID | None:
        """The code that a reservation is on; None if there is no such reservation."""
        rows = self._all("code_ids_of_reservations", [reservation_id])
        return cast("UUID", rows[0][1]) if rows else None

    def refusals(self, code_id: UUID, until: datetime, limit: int) -> list[RefusedTry]:
        """The newest refused tries on a code."""
        return [
            RefusedTry(at, reason, self._opened(recipient_id, sealed, key_id) if recipient_id else None)
            for at, reason, recipient_id, sealed, key_id in self._all("refusals_of_code", code_id, until, limit)
        ]

    def count_open_cases(self) -> int:
        """How many cases wait for a person."""
        return int(self._all("open_cases_count")[0][0])

    def stuck(self, due_before: datetime, after: Place, limit: int) -> list[Place]:
        """Reservations on which a machine should have acted before a moment, longest due first: (due at, id)."""
        return [(row[1], row[0]) for row in self._all("stuck_reservations", due_before, *after, limit)]

    def _opened(self, recipient_id: UUID, sealed: bytes | None, key_id: int | None) -> str | None:
        if sealed is None or key_id is None:
            return None
        return self._storage.vault.open("recipient", recipient_id, bytes(sealed), key_id)


_CARD_FIELDS = [name for name in Card.__dataclass_fields__ if name not in {"address", "hint"}]
