"""The working set of one `execute`: codes and reservations as they stand while a batch is decided.

The store fills it; every decision reads it and gives events; `record` folds them in at once, so that the
next command of the batch sees them. Nothing here is shared between batches.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.events import CodeIssued, Event, ReservationEvent, ReservationStarted
from domain.model import redeem_code, reservation
from domain.model.invariants import check_balance, check_transition
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.ports import RecipientDraft


class Recorded(Struct, frozen=True):
    """An event with its place: the stream it belongs to and its version there, counted from 1."""

    originator_id: UUID
    originator_version: int
    event: Event


class RememberedKey(Struct, frozen=True):
    """What an Idempotency-Key stood for: digest of the request's body, and the reservation it led to."""

    body_digest: bytes
    reservation_id: UUID


class WorkingSet:
    """Codes, reservations, recipients, idempotency keys and ids of known texts of one batch."""

    def __init__(self) -> None:
        self.codes: dict[UUID, RedeemCode] = {}
        self.reservations: dict[UUID, Reservation] = {}
        self.code_ids: dict[bytes, UUID] = {}
        self.recipient_ids: dict[bytes, UUID] = {}
        self.remembered: dict[bytes, RememberedKey] = {}
        self.known_texts: set[UUID] = set()
        self.earliest_deadlines: dict[UUID, datetime] = {}
        self.new_events: list[Recorded] = []
        self.changed_reservations: set[UUID] = set()
        self.changed_codes: set[UUID] = set()
        self.new_recipients: dict[bytes, RecipientDraft] = {}
        self._by_code: dict[UUID, list[UUID]] = {}
        self._by_person: dict[tuple[UUID, UUID], list[UUID]] = {}

    def hold(self, item: Reservation) -> None:
        """Take in a reservation that the store found."""
        if item.reservation_id not in self.reservations:
            self._by_code.setdefault(item.code_id, []).append(item.reservation_id)
            self._by_person.setdefault((item.code_id, item.recipient_id), []).append(item.reservation_id)
        self.reservations[item.reservation_id] = item

    def record(self, code_id: UUID, events: Sequence[Event]) -> None:
        """Fold new events of one stream in and keep them for the store.

        Raises:
            AssertionError: They would break an invariant of the code's balance; the batch must not commit.
        """
        for event in events:
            code = self.codes.get(code_id)
            version = code.version + 1 if code else 1
            if isinstance(event, CodeIssued):
                code = redeem_code.opened(code_id, version, event)
            elif code is not None:
                code = redeem_code.evolve(code, version, event)
            else:
                message = f"{type(event).__name__} can't begin a stream"
                raise AssertionError(message)
            if isinstance(event, ReservationEvent):
                self._record_reservation(code_id, version, event)
            self.codes[code_id] = check_balance(code)
            self.changed_codes.add(code_id)
            self.new_events.append(Recorded(code_id, version, event))

    def recipient_id(self, draft: RecipientDraft) -> UUID:
        """The id of this person: the one that the vault knows, or the new one that the draft proposes."""
        for digest in draft.digests:
            if (known := self.recipient_ids.get(digest)) is not None:
                return known
        return draft.new_id

    def adopt(self, draft: RecipientDraft) -> None:
        """Keep a person for the vault, if it does not know them yet. Only for accepted commands."""
        if not any(digest in self.recipient_ids for digest in draft.digests):
            self.recipient_ids[draft.digests[0]] = draft.new_id
            self.new_recipients[draft.digests[0]] = draft

    def remember(self, scope_digest: bytes, key: RememberedKey) -> None:
        """Keep what an Idempotency-Key led to, for the commands that follow in the batch; the first one stays."""
        self.remembered.setdefault(scope_digest, key)

    def code_id(self, digests: Sequence[bytes]) -> UUID | None:
        """The id of the code that has one of these digests."""
        for digest in digests:
            if (known := self.code_ids.get(digest)) is not None:
                return known
        return None

    def of_recipient(self, code_id: UUID, recipient_id: UUID) -> list[Reservation]:
        """What is known of one person's reservations on a code, oldest first."""
        found = [self.reservations[key] for key in self._by_person.get((code_id, recipient_id), ())]
        return sorted(found, key=lambda item: item.versions[0])

    def overdue(self, code_id: UUID, now: datetime) -> list[Reservation]:
        """Held uses of a code that a command may give back on its way, oldest deadline first."""
        found = (self.reservations[key] for key in self._by_code.get(code_id, ()))
        overdue = (item for item in found if item.is_use and item.is_overdue(now))
        return sorted(overdue, key=lambda item: item.deadline)

    def live(self, code_id: UUID) -> list[Reservation]:
        """What is known of a code's live reservations, oldest deadline first."""
        found = (self.reservations[key] for key in self._by_code.get(code_id, ()))
        return sorted((item for item in found if item.is_live), key=lambda item: (item.deadline, item.versions))

    def moves(self, item: Reservation) -> list[Reservation]:
        """What is known of live and sent rebinds that move a reservation's access, oldest first."""
        mine = self.of_recipient(item.code_id, item.recipient_id)
        return [other for other in mine if other.follows == item.reservation_id and is_active_rebind(other)]

    def has_text(self, text_id: UUID) -> bool:
        """Whether a free text is kept already, or will be with this batch."""
        new = (getattr(recorded.event, "text_id", None) for recorded in self.new_events)
        return text_id in self.known_texts or text_id in new

    def earliest_deadline(self, code_id: UUID, now: datetime) -> datetime | None:
        """The first deadline still ahead of the held uses of a code."""
        found = (self.reservations[key] for key in self._by_code.get(code_id, ()))
        known = [item.deadline for item in found if item.is_use and item.is_live and item.deadline > now]
        if (stored := self.earliest_deadlines.get(code_id)) is not None and stored > now:
            known.append(stored)
        return min(known, default=None)

    def changed(self) -> tuple[Iterable[RedeemCode], Iterable[Reservation]]:
        """Final states of what the batch touched."""
        return (
            [self.codes[key] for key in self.changed_codes],
            [self.reservations[key] for key in self.changed_reservations],
        )

    def _record_reservation(self, code_id: UUID, version: int, event: ReservationEvent) -> None:
        if isinstance(event, ReservationStarted):
            self.hold(reservation.opened(code_id, version, event))
        else:
            item = self.reservations[event.reservation_id]
            after = reservation.evolve(item, version, event)
            self.reservations[event.reservation_id] = check_transition(item, event, after)
        self.changed_reservations.add(event.reservation_id)


def is_active_rebind(item: Reservation) -> bool:
    """Whether it moves, or has moved, an access."""
    return item.kind == "rebind" and item.occupies_use
