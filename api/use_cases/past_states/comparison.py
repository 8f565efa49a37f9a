"""Two times of a code compared: balances, terms, the events in between, and the reservations that they changed."""

from collections import Counter
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain.events.event import Event
from domain.events.reservation import ReservationEvent
from domain.model.reservation import PublicState
from projections.read_models.past_states import PastState, PastStateReader

EVENTS_READ_MAX: Final = 2_000
"""Most events between two times that are read, the newest; the balances are those of the times in any case."""
RESERVATIONS_MAX: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedReservation:
    """A reservation that has events between the times; a state is None where it did not exist yet.

    Attributes:
        last: Version of its newest event of those.
    """

    reservation_id: UUID
    before: PublicState | None
    after: PublicState | None
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What changed from one time to a later one.

    Attributes:
        events: How many events there are in between.
        kinds: How many of each type are among the events that were read.
        events_read: How many were read, the newest.
        reservations: Those that changed, the newest change first.
        reservations_left_out: How many further ones changed by the events that were read.
    """

    before: PastState
    after: PastState
    events: int
    kinds: list[tuple[type[Event], int]]
    events_read: int
    reservations: list[ChangedReservation]
    reservations_left_out: int


def compare(states: PastStateReader, first: PastState, second: PastState) -> Comparison:
    """Compare two states of one code; the earlier one comes first, whatever their order.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    before, after = sorted((first, second), key=lambda past: (past.version, past.at))
    start = max(before.version, after.version - EVENTS_READ_MAX)
    entries = states.read_entries(after.code_id, range(start + 1, after.version + 1))
    kinds = Counter(type(entry.event) for entry in entries)
    newest = {
        entry.event.reservation_id: entry.version for entry in entries if isinstance(entry.event, ReservationEvent)
    }
    listed = sorted(newest, key=lambda key: newest[key], reverse=True)[:RESERVATIONS_MAX]
    earlier, later = (
        {reservation.reservation_id: reservation for reservation in states.fold_related(past, listed, ())}
        for past in (before, after)
    )
    return Comparison(
        before=before,
        after=after,
        events=after.version - before.version,
        kinds=kinds.most_common(),
        events_read=len(entries),
        reservations=[
            ChangedReservation(
                reservation_id=key,
                before=earlier[key].public_state if key in earlier else None,
                after=later[key].public_state if key in later else None,
                last=newest[key],
            )
            for key in listed
        ],
        reservations_left_out=len(newest) - len(listed),
    )
