"""Planted bugs that trust times which the database's clock has not reached (invariant 15)."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from domain.commands import context
from domain.model import reservation_transitions
from domain.model.reservation import Reservation
from projections.work_queue.impossible_times import find_bounds
from tests.simulation.services import work_queues

Patch = pytest.MonkeyPatch


def sweep_waits_for_the_future(patch: Patch) -> None:
    """What is due in two days is due in two days, also if it was stored while the clock was ahead."""
    later = timedelta(days=100)
    patch.setattr(work_queues, "find_bounds", lambda now: {**find_bounds(now + later), "now": now})


def claim_waits_for_the_future(patch: Patch) -> None:
    """The sweep wakes a worker, and the aggregate sends it away."""

    def is_due(reservation: Reservation, now: datetime) -> bool:
        return reservation.next_attempt_at is not None and reservation.next_attempt_at <= now

    patch.setattr(Reservation, "is_attempt_due", is_due)


def lease_is_kept_until_the_future(patch: Patch) -> None:
    """A worker that died while the clock was ahead keeps its lease."""

    def is_leased(reservation: Reservation, now: datetime) -> bool:
        return reservation.lease is not None and reservation.lease.until > now

    patch.setattr(Reservation, "is_leased", is_leased)


def stream_that_is_ahead_tells_the_time(patch: Patch) -> None:
    """New waits count from the last event of the stream, and what was due before it is overdue."""
    patch.setattr(context, "possible_time", lambda _now, last_at: last_at)
    patch.setattr(reservation_transitions, "is_impossible", lambda _stored_at, _now: False)


CLOCK_PLANTS: tuple[Callable[[Patch], None], ...] = (
    sweep_waits_for_the_future,
    claim_waits_for_the_future,
    lease_is_kept_until_the_future,
    stream_that_is_ahead_tells_the_time,
)
