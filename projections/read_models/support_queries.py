"""Queries of support: codes and recipients, recent reservations, rejected requests, and the review queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, cast
from uuid import UUID

from domain.events.campaign import CampaignCreated
from domain.values.identifiers import EmailAddress
from projections.event_store.codec import topics_of
from projections.event_store.stored_state import search_field
from projections.read_models.pagination import ListCursor
from projections.read_models.reader import Reader
from projections.sql.event_store import EventStoreSql
from projections.sql.read_models import ReadModelsSql

REQUEST_SCAN_LIMIT: Final = 200_000
"""Most rows of the log that a search for a request id reads, in a fraction of a second."""
CAUSATION_SCAN_LIMIT: Final = 20_000
"""Events of one code after a cause among which its effects are searched."""
COMPANION_SCAN_LIMIT: Final = 5_000
"""Positions before and after an event among which others with its correlation id are searched."""
COUNTED_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationSummary:
    """One reservation in a list; `suffix` is the end of the code's text.

    `address` is in plain text, so every page that shows it masks it; None if it was erased.
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
    suffix: str | None


class RejectedRequest(NamedTuple):
    """A rejected request for a code. `address` is known only of recipients with a reservation of any code."""

    at: datetime
    reason: str
    address: str | None


class RejectedRequestOfRecipient(NamedTuple):
    """A rejected request of one recipient; `suffix` is the end of the code's text. Campaign: that of the code now."""

    code_id: UUID
    at: datetime
    reason: str
    suffix: str | None
    campaign_id: UUID | None
    campaign_name: str | None


class RejectionPlace(NamedTuple):
    """Where a page of rejected requests begins: at a time, and behind how many of those at or before it.

    Requests of a batch have one time, so a time alone names no place.
    """

    until: datetime
    skip: int = 0


class PendingCounts(NamedTuple):
    """Pending reservations of a code: reserved, outcome unknown but retried, being sent, and parked as cases."""

    reserved: int
    doubtful: int
    sending: int
    parked: int


class DriftedStream(NamedTuple):
    """A code or a campaign whose rows differ from the log.

    Attributes:
        suffix: The end of the code.
        is_campaign: Whether it is a campaign.
        name: Of the campaign; None if its row is missing.
    """

    stream_id: UUID
    found_at: datetime
    rows: int
    suffix: str | None
    is_campaign: bool
    name: str | None


class SupportReader(Reader):
    """Queries of support; each is bounded."""

    def list_newest_reservations(self, before: ListCursor, limit: int) -> list[ListCursor]:
        """Return one page of the reservations of all codes, newest first: (reserved at, id)."""
        return self._db.fetch_all(ReadModelsSql.newest_reservations, *before, limit)

    def list_summaries(self, reservation_ids: Sequence[UUID]) -> list[ReservationSummary]:
        """Return reservations in the order of these ids, without unknown ones."""
        summaries = {}
        for row in self._db.fetch_all(ReadModelsSql.reservation_cards, list(reservation_ids)):
            fields, suffix, address = row[:14], row[14], self._storage.vault.read_text("recipient", row[15:])
            summaries[row[0]] = ReservationSummary(
                **dict(zip(_CARD_FIELDS, fields, strict=True)), address=address, suffix=suffix
            )
        return [summaries[key] for key in reservation_ids if key in summaries]

    def find_recipient(self, address: EmailAddress) -> UUID | None:
        """Return the recipient with this email address; None without any reservation."""
        rows = self._db.fetch_all(
            EventStoreSql.recipient_ids_of_digests,
            list(self._storage.vault.compute_digests("recipient", address.normal)),
        )
        return cast("UUID", rows[0][1]) if rows else None

    def find_email_address(self, recipient_id: UUID) -> str | None:
        """Return a recipient's email address in plain text; None if unknown or erased."""
        rows = self._db.fetch_all(ReadModelsSql.recipient_text, recipient_id)
        return self._storage.vault.read_text("recipient", rows[0]) if rows else None

    def list_reservations_of_recipient(self, recipient_id: UUID, before: ListCursor, limit: int) -> list[ListCursor]:
        """Return one page of a recipient's reservations of all codes, newest first: (reserved at, id)."""
        return [
            (row[1], row[0])
            for row in self._db.fetch_all(ReadModelsSql.reservations_of_recipient, recipient_id, *before, limit)
        ]

    def find_codes_by_suffix(self, suffix: str, after: UUID, limit: int) -> list[UUID]:
        """Return codes by suffix, in order of their (random) ids."""
        return [row[0] for row in self._db.fetch_all(ReadModelsSql.codes_of_suffix, suffix, after, limit)]

    def find_suffix(self, code_id: UUID) -> str:
        """Return what may be shown of a code's text."""
        rows = self._db.fetch_all(ReadModelsSql.suffix_of_code, code_id)
        return str(rows[0][0]) if rows else ""

    def find_code_of_reservation(self, reservation_id: UUID) -> UUID | None:
        """Return the code of a reservation; None if there is no such reservation."""
        rows = self._db.fetch_all(EventStoreSql.code_ids_of_reservations, [reservation_id])
        return cast("UUID", rows[0][1]) if rows else None

    def list_rejected_requests(self, code_id: UUID, place: RejectionPlace, limit: int) -> list[RejectedRequest]:
        """Return rejected requests for a code, newest first."""
        return [
            RejectedRequest(at, reason, self._storage.vault.read_text("recipient", row))
            for at, reason, *row in self._db.fetch_all(ReadModelsSql.refusals_of_code, code_id, *place, limit)
        ]

    def list_rejected_requests_of_recipient(
        self, digests: Sequence[bytes], place: RejectionPlace, limit: int
    ) -> list[RejectedRequestOfRecipient]:
        """Return rejected requests of one email address for all codes, by its digests, newest first."""
        return [
            RejectedRequestOfRecipient(*row)
            for row in self._db.fetch_all(ReadModelsSql.refusals_of_person, list(digests), *place, limit)
        ]

    def list_digests(self, recipient_id: UUID) -> list[bytes]:
        """Return the digests of a recipient; none if the recipient is unknown."""
        return [bytes(row[0]) for row in self._db.fetch_all(ReadModelsSql.digests_of_recipient, recipient_id)]

    def count_reservations_of_recipient(self, recipient_id: UUID) -> int:
        """Count a recipient's reservations of all codes, up to `COUNTED_MAX`."""
        return int(self._db.fetch_all(ReadModelsSql.count_reservations_of_recipient, recipient_id, COUNTED_MAX)[0][0])

    def read_private_texts(self, text_ids: Sequence[UUID]) -> dict[UUID, str]:
        """Return notes and replies by their ids; erased ones are missing."""
        vault = self._storage.vault
        rows = self._db.fetch_all(ReadModelsSql.private_texts_of_ids, list(text_ids)) if text_ids else []
        return {row[0]: vault.open_text(row[0], bytes(row[1]), row[2]) for row in rows}

    def count_pending(self, code_id: UUID) -> PendingCounts:
        """Count the pending reservations of a code by what revoking it would do to them."""
        return PendingCounts(*self._db.fetch_all(ReadModelsSql.held_of_code, code_id)[0])

    def list_effects(self, code_id: UUID, version: int, limit: int) -> list[int]:
        """Return versions of the events that name this event as their cause, in a bounded range after it."""
        cause = search_field("caused_by", version)
        parameters = {
            "code_id": code_id,
            "version": version,
            "until": version + CAUSATION_SCAN_LIMIT,
            "packed": cause.packed,
            "inside": cause.json + b",",
            "at_end": cause.json + b"}",
            "limit": limit,
        }
        return [row[0] for row in self._db.fetch_named(ReadModelsSql.events_caused_by, **parameters)]

    def list_followers(self, reservation_ids: Sequence[UUID]) -> list[UUID]:
        """Return the reservations that follow these: further uses and rebinds, in order of their ids."""
        return [row[0] for row in self._db.fetch_all(ReadModelsSql.followers_of_reservations, list(reservation_ids))]

    def list_companions(self, correlation_id: UUID, code_id: UUID, position: int, limit: int) -> list[tuple[UUID, int]]:
        """Return events with this correlation id on other codes than this one, close to a position: (code, version)."""
        correlation = search_field("correlation_id", correlation_id)
        parameters = {
            "packed": correlation.packed,
            "json": correlation.json,
            "code_id": code_id,
            "after": position - COMPANION_SCAN_LIMIT,
            "until": position + COMPANION_SCAN_LIMIT,
            "limit": limit,
        }
        return [(row[0], row[1]) for row in self._db.fetch_named(ReadModelsSql.companions, **parameters)]

    def list_events_of_request(self, request_id: str, before: int, limit: int) -> list[tuple[UUID, int]]:
        """Return the newest event of each code in one request, among the newest events of the log: (code, version).

        Args:
            request_id: As responses and events name it.
            before: Read events before this position.
            limit: Most codes to give; those of the newest events.
        """
        request = search_field("request_id", request_id)
        parameters = {"before": before, "stretch": REQUEST_SCAN_LIMIT, **request._asdict(), "limit": limit}
        return [(row[0], row[1]) for row in self._db.fetch_named(EventStoreSql.events_of_request, **parameters)]

    def list_drifted_streams(self, limit: int) -> list[DriftedStream]:
        """Return codes and campaigns whose rows differ from the log, longest known first."""
        rows = self._db.fetch_all(ReadModelsSql.drifting, topics_of(CampaignCreated), limit)
        return [DriftedStream(row[0], row[1], row[2], row[3], bool(row[4]), row[5]) for row in rows]

    def count_open_cases(self) -> int:
        """Count open cases."""
        return int(self._db.fetch_all(ReadModelsSql.open_cases_count)[0][0])

    def list_stuck(self, due_before: datetime, after: ListCursor, limit: int) -> list[ListCursor]:
        """Return reservations that were due before a time, longest due first: (due at, id)."""
        return [
            (row[1], row[0]) for row in self._db.fetch_all(ReadModelsSql.stuck_reservations, due_before, *after, limit)
        ]


_CARD_FIELDS = [name for name in ReservationSummary.__dataclass_fields__ if name not in {"address", "suffix"}]
