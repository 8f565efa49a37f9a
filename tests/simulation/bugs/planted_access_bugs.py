"""Bugs about accesses and rebinds. The first one is what the system before this one did."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain import command_bus
from domain.commands.access import rebind
from domain.commands.context import EventStamp
from domain.commands.reservation import correct_recipient, refund, resolve_case, settle_due
from domain.events.access import AccessReplaced
from domain.events.event import Event
from domain.events.reservation import RebindReserved, UseRefunded, UseReserved
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.ports import Removal
from domain.working_set import WorkingSet
from tests.simulation.services.work_queues import MemoryDueAccess
from workers.sending.removals import AccessExpirer

Patch = pytest.MonkeyPatch
Replacement = tuple[object, str, object]


def expired_rebind_gives_a_use_back(patch: Patch) -> None:
    """A rebind that is not sent in time is refunded as if it had held a use."""
    release_overdue = settle_due.release_overdue

    def give_back(code: RedeemCode, items: Sequence[Reservation], now: EventStamp) -> list[Event]:
        return [replace(cast("UseRefunded", event), kind="redeem") for event in release_overdue(code, items, now)]

    for place in (settle_due, rebind):
        patch.setattr(place, "release_overdue", give_back)


def former_access_ends_with_the_request(patch: Patch) -> None:
    """The access in the former group is ended when the rebind is asked for."""

    def at_once(events: Sequence[Event], working_set: WorkingSet) -> list[AccessReplaced]:
        return [
            AccessReplaced(at=event.at, actor=event.actor, reservation_id=event.follows, by=event.reservation_id)
            for event in events
            if isinstance(event, RebindReserved)
            and event.follows
            and working_set.reservations[event.follows].has_active_access
        ]

    patch.setattr(command_bus, "end_replaced_access", at_once)


def rebind_restarts_the_access(patch: Patch) -> None:
    """The days are counted from the rebind."""
    rebind_event = rebind._rebind_event

    def reserved(*args: Any) -> Event:
        return replace(cast("RebindReserved", rebind_event(*args)), activated_at=None)

    patch.setattr(rebind, "_rebind_event", reserved)


def access_is_taken_away_before_it_is_in_the_log(patch: Patch) -> None:
    """The channel is asked first, and the books come later."""
    work_as_usual = AccessExpirer.work

    def work(self: AccessExpirer, should_stop: Callable[[], bool]) -> Any:  # noqa: ANN401 - as it comes
        now = self.context().now
        store: Any = self.rows.__dict__["_store"]
        for reservation in list(store.reservations.values()):
            if reservation.has_active_access and reservation.is_access_over(now):
                removal = Removal(
                    reservation_id=reservation.reservation_id,
                    cause="expired",
                    ended_at=now,
                    recipient=None,
                    group=None,
                    farewell=None,
                )
                self.channel.revoke(removal)
        return work_as_usual(self, should_stop)

    patch.setattr(AccessExpirer, "work", work)


def second_invitation_does_not_wait(patch: Patch) -> None:
    """The first access ends, and the second invitation goes out at once."""
    correction_events = correct_recipient._correction_events

    def corrected(*args: Any) -> Sequence[Event]:
        return [
            replace(event, waits_for=None) if isinstance(event, UseReserved) else event
            for event in correction_events(*args)
        ]

    patch.setattr(correct_recipient, "_correction_events", corrected)


def refund_of_an_unknown_ends_nothing(patch: Patch) -> None:
    """Staff refund what a group's external system may have, and it keeps what it has."""
    for module in (refund, resolve_case):
        patch.setattr(module, "end_refunded_access", lambda *_, **__: [])


def lease_given_back_forgets_a_lost_removal(patch: Patch) -> None:
    """A worker that has no time for what it leased takes the trace of the one before it away."""

    def forget(
        self: MemoryDueAccess, reservation_ids: Sequence[UUID], leased_at: datetime, _: Collection[UUID]
    ) -> None:
        give_back(self, reservation_ids, leased_at, reservation_ids)

    give_back = MemoryDueAccess.give_back
    patch.setattr(MemoryDueAccess, "give_back", forget)


REPLACEMENTS: Final[Mapping[str, Replacement]] = {
    # Who redeems on a full code gets what a rebind never held.
    "overdue_rebind_makes_room": (Reservation, "is_use", True),
    # The access in the former group does not end.
    "former_access_stays": (command_bus, "end_replaced_access", lambda *_: []),
    # Anyone who wants to moves again.
    "rebinds_have_no_limit": (rebind, "_check_bounds", lambda *_: None),
    # The use moves to the right address, and the group's external system is not told that the first one lost it.
    "correction_ends_nothing": (correct_recipient, "end_corrected_access", lambda *_, **__: []),
    # The first access is removed, and the second invitation waits without end.
    "removal_releases_nothing": (command_bus, "release_waiting_invitations", lambda *_: []),
    # A worker that ends while it asks a channel leaves no trace: the next one asks as if it were the first.
    "lost_removal_counts_nothing": (MemoryDueAccess, "begin_removal", lambda *_: True),
    # An invitation that waits for a removal is refunded at its deadline, so its use invites a third person.
    "waiting_is_overdue": (Reservation, "is_waiting_for_removal", property(lambda *_: False)),
}
"""Bugs that are one other value in the place of a function or a constant, by name."""
