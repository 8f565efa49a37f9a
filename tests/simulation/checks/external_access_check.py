"""Invariant 11, seen from outside: what external systems have, compared with the ledger, at every moment of a run.

A system has what it was asked for, less what it refused and what it was told has ended. No more of a code than its used
and reserved uses, and besides only what is explained: an end that is recorded and on its way to the system (due, or a
case), a case about a late success, or an access that staff let stand when they refunded its use.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from domain.command_bus import AnyCommand
from domain.commands.case_events import REMOVED_BY_HAND
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.resolve_case import ResolveReservation
from domain.events.reservation import CaseClosed
from domain.model.invariants import is_removal_open
from domain.model.reservation import Reservation
from domain.results import AnyResult, CommandResult
from domain.working_set import WorkingSet
from tests.simulation.services.external_systems import ExternalSystem
from tests.simulation.services.store import MemoryStore


class ExternalAccessCheck:
    def __init__(self, store: MemoryStore, receivers: Mapping[str, ExternalSystem], counts: Counter[str]) -> None:
        self._store, self._receivers, self._counts = store, receivers, counts
        self._left: set[UUID] = set()

    def committed(
        self, working_set: WorkingSet, commands: Sequence[AnyCommand], results: Sequence[AnyResult]
    ) -> Iterator[str]:
        """Note what staff decided in a transaction, then compare."""
        for command, result in zip(commands, results, strict=True):
            is_refund = isinstance(command, RefundReservation | ResolveReservation) and command.revoke_access is False
            if is_refund and isinstance(result, CommandResult) and result.require_reservation().status == "refunded":
                self._left.add(result.require_reservation().reservation_id)
        for recorded in working_set.new_events:
            event = recorded.event
            if isinstance(event, CaseClosed) and event.how == REMOVED_BY_HAND:
                for receiver in self._receivers.values():
                    receiver.has.discard(event.reservation_id)
                    receiver.ended.add(event.reservation_id)
        yield from self.compare()

    def compare(self) -> Iterator[str]:
        for group, receiver in self._receivers.items():
            by_code: dict[UUID, list[Reservation]] = {}
            for reservation_id in sorted(receiver.has):
                reservation = self._store.reservations[reservation_id]
                if not self._is_explained(reservation):
                    by_code.setdefault(reservation.code_id, []).append(reservation)
            for code_id, items in by_code.items():
                code = self._store.codes[code_id]
                if len(items) > code.used + code.reserved:
                    ids = [str(reservation_id.reservation_id) for reservation_id in items]
                    yield f"invariant 11: {group} has {ids} of code {code_id}, which says {code.used}+{code.reserved}"

    def accepted_messages(self, reservation_id: UUID) -> Iterator[str]:
        """A system has just invited: of a corrected use it had nothing any more."""
        former = self._store.reservations[reservation_id].corrects
        self._counts["own system invited"] += 1
        self._counts["own system invited after a correction"] += former is not None
        while former is not None:
            for group, receiver in self._receivers.items():
                if former in receiver.has:
                    yield f"invariant 11: {group} got {reservation_id} and has {former}, whose address it corrects"
            former = self._store.reservations[former].corrects
        yield from self.compare()

    def _is_explained(self, reservation: Reservation) -> bool:
        """Whether no use has to stand for it: its end is on its way, it is a case, or staff let it stand."""
        is_on_its_way = is_removal_open(reservation) or (
            reservation.status == "refunded" and reservation.case_id is not None
        )
        return is_on_its_way or bool(self._left & self._chain(reservation))

    def _chain(self, reservation: Reservation) -> set[UUID]:
        chain_ids = {reservation.reservation_id}
        while reservation.kind == "rebind" and reservation.follows is not None:
            reservation = self._store.reservations[reservation.follows]
            chain_ids.add(reservation.reservation_id)
        return chain_ids
