"""Loads reservations: each is folded from its events, or from those since it was claimed in this process."""

from collections.abc import Callable, Collection, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, LiteralString, cast
from uuid import UUID

from psycopg import Cursor

from domain.events import ReservationEvent
from domain.model.reservation import Reservation
from domain.model.reservation_transitions import evolve_reservation
from domain.ports import PipelineSteps
from domain.working_set import WorkingSet
from projections.database.binary_arrays import BIGS, UUIDS
from projections.database.pipeline import fetch_pipelined
from projections.event_store.caches import CLAIMED_MAX, StoreCaches
from projections.event_store.codec import decode
from projections.sql.event_store import EventStoreSql


class ReservationLoader:
    """Loads the reservations of one transaction into its working set.

    Args:
        send: Sends a statement in pipeline mode.
        caches: Of the process. A reservation that was claimed is usually next loaded to record the outcome.
        working_set: Of the transaction.
    """

    def __init__(self, send: Callable[..., Cursor[Any]], caches: StoreCaches, working_set: WorkingSet) -> None:
        self._send = send
        self._caches = caches
        self._working_set = working_set
        self._claimed: dict[UUID, Reservation] = {}
        self._requested: Cursor[Any] | None = None

    def find_codes(self, reservation_ids: Sequence[UUID]) -> PipelineSteps[dict[UUID, UUID]]:
        """Return the stream of each reservation. It never changes, so it is cached: a claim precedes each outcome."""
        rows: dict[UUID, UUID] = {}
        missing_ids: set[UUID] = set()
        for reservation_id in reservation_ids:
            try:
                rows[reservation_id] = self._caches.codes_of_reservations.get(reservation_id)
            except KeyError:
                missing_ids.add(reservation_id)
        if missing_ids:
            cursor = self._send(EventStoreSql.codes_of_reservations, UUIDS.encode(sorted(missing_ids)))
            for reservation_id, code_id, campaign_id in (yield from fetch_pipelined(cursor)):
                rows[reservation_id] = code_id
                self._caches.campaigns_of_codes.put(code_id, campaign_id)
                self._caches.codes_of_reservations.put(reservation_id, code_id)
        return rows

    def request(self, reservation_ids: Collection[UUID]) -> None:
        """Send the query for the events of existing reservations. Their streams are locked."""
        if not reservation_ids:
            return
        claimed = self._caches.claimed
        self._claimed = {key: claimed[key] for key in reservation_ids if key in claimed}
        ids = sorted(reservation_ids)
        versions = [self._claimed[key].versions[-1] if key in self._claimed else 0 for key in ids]
        self._requested = self._send(
            EventStoreSql.newer_events_of_reservations, UUIDS.encode(ids), BIGS.encode(versions)
        )

    def load(self) -> PipelineSteps[None]:
        """Add the requested reservations to the working set."""
        for reservation in self._claimed.values():
            self._working_set.add_reservation(reservation)
        if self._requested is not None:
            yield from self.fold(self._requested)

    def add(self, query: LiteralString, *params: Any) -> PipelineSteps[None]:
        """Run a query for events of reservations and add the folded reservations to the working set."""
        yield from self.fold(self._send(query, *params))

    def fold(self, cursor: Cursor[Any]) -> PipelineSteps[None]:
        """Add the reservations whose events a query returns, all of them or those since the claim."""
        for reservation_id, rows in groupby((yield from fetch_pipelined(cursor)), key=itemgetter(0)):
            reservation: Reservation | None = None
            for _, code_id, version, topic, state in rows:
                if reservation is None and (claimed := self._claimed.get(reservation_id)) is not None:
                    reservation = claimed if version > claimed.versions[-1] else None
                event = cast("ReservationEvent", decode(topic, state))
                reservation = evolve_reservation(reservation, code_id, version, event)
            if reservation is not None:
                self._working_set.add_reservation(reservation)

    def publish(self) -> None:
        """Keep what the committed transaction claimed, and drop what it ended."""
        claimed, working_set = self._caches.claimed, self._working_set
        for reservation_id in working_set.changed_reservations:
            reservation = working_set.reservations[reservation_id]
            if reservation.lease is not None:
                if len(claimed) >= CLAIMED_MAX:
                    claimed.clear()
                claimed[reservation_id] = reservation
            elif reservation_id in claimed:
                claimed.pop(reservation_id, None)
