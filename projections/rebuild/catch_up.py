"""Applying events to rows that are there already, as the live path does: by the live path's own statements.

The connection's search_path says which tables are meant; see `projections.rebuild.shadow_tables`.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, cast
from uuid import UUID

from psycopg import Connection

from domain.events import Event, ReservationEvent
from domain.model.redeem_code import evolve_code
from domain.model.reservation import Reservation, evolve_reservation, fold_reservation
from projections.database.binary_arrays import to_columns
from projections.event_store.codec import UnreadableEventError, decode
from projections.event_store.row_mapping import (
    BALANCE_KINDS,
    CASE_KINDS,
    CLOSED_CASE_KINDS,
    RESERVATION_KINDS,
    balance_row,
    case_rows,
    code_from_row,
    reservation_row,
)
from projections.replay.observer import ReadEvent, UndecodableEventError, Watch
from projections.sql.event_store import EventStoreSql
from projections.sql.read_models import ReadModelsSql


class Tail:
    """Applies events that came after the rows were made.

    Args:
        conn: Its search_path names the tables.
        names: Which read models are there; the others are left alone.
        watch: Who looks on.
    """

    def __init__(self, conn: Connection[Any], names: frozenset[str], watch: Watch) -> None:
        self._conn, self._names, self._watch = conn, names, watch

    def apply(self, events: Sequence[ReadEvent]) -> None:
        """Bring all rows along, in order of position.

        Raises:
            UndecodableEventError: An event can't follow, and the watch says so.
        """
        if not events:
            return
        events = self._followed(events)
        self.apply_to_reservations([at for at in events if isinstance(at.event, ReservationEvent)])
        if "cases" in self._names:
            opened, closed = case_rows((at.code_id, at.event) for at in events)
            if opened:
                self._conn.execute(EventStoreSql.insert_cases, to_columns(CASE_KINDS, opened))
            self.close_cases(closed)

    def close_cases(self, closed: Sequence[Sequence[Any]]) -> None:
        """Ends of cases whose rows are there, as `case_rows` gives them."""
        if closed and "cases" in self._names:
            self._conn.execute(EventStoreSql.close_cases, to_columns(CLOSED_CASE_KINDS, closed))

    def apply_to_reservations(self, events: Sequence[ReadEvent]) -> None:
        """Bring rows of reservations along; events that a row has taken in already are passed over."""
        if not events or "reservations" not in self._names:
            return
        wanted = sorted({cast("ReservationEvent", at.event).reservation_id for at in events})
        states = self._reservations(wanted)
        changed: set[UUID] = set()
        for at in events:
            event = cast("ReservationEvent", at.event)
            before = states.get(event.reservation_id)
            if before is not None and at.version <= before.versions[-1]:
                continue
            try:
                after = evolve_reservation(before, at.code_id, at.version, event)
            except LookupError as error:
                self._watch.poison(_poison(at, str(error)))
                continue
            self._watch.item_event(at, before, after)
            states[event.reservation_id] = after
            changed.add(event.reservation_id)
        if changed:
            rows = [reservation_row(states[key]) for key in sorted(changed)]
            self._conn.execute(EventStoreSql.upsert_reservations, to_columns(RESERVATION_KINDS, rows))

    def _followed(self, events: Sequence[ReadEvent]) -> list[ReadEvent]:
        """Bring the codes along; gives the events that can follow."""
        if "code_balances" not in self._names:
            return [at for at in events if not self._watch.is_stopped(at.code_id)]
        wanted = sorted({at.code_id for at in events})
        known = {row[0]: code_from_row(row) for row in self._conn.execute(ReadModelsSql.balances_of_codes, (wanted,))}
        followed = []
        for at in events:
            if self._watch.is_stopped(at.code_id):
                continue
            before = known.get(at.code_id)
            if at.version != (before.version if before else 0) + 1:
                self._watch.poison(_poison(at, f"version {at.version - 1} is missing before it"))
                continue
            after = evolve_code(before, at.code_id, at.version, at.event)
            self._watch.code_event(at, before, after)
            known[at.code_id] = after
            followed.append(at)
        if followed:
            self._conn.execute(
                EventStoreSql.upsert_balances, to_columns(BALANCE_KINDS, map(balance_row, known.values()))
            )
        return followed

    def _reservations(self, wanted: list[UUID]) -> dict[UUID, Reservation]:
        """Reservations as their rows' events tell them."""
        found: dict[UUID, Reservation] = {}
        rows = self._conn.execute(EventStoreSql.events_of_reservations, (wanted,)).fetchall()
        for key, group in groupby(rows, key=lambda row: row[0]):
            events = list(group)
            history = [(row[2], cast("ReservationEvent", decode(row[3], bytes(row[4])))) for row in events]
            found[key] = fold_reservation(events[0][1], history)
        return found


def read_events(rows: Sequence[Sequence[Any]], watch: Watch) -> list[ReadEvent]:
    """Rows of the log (stream, version, position, topic, state), decoded.

    Raises:
        UndecodableEventError: One can't be read, and the watch says so.
    """
    found = []
    for stream, version, position, topic, state in rows:
        try:
            event: Event = decode(topic, bytes(state))
        except UnreadableEventError as bad:
            watch.poison(UndecodableEventError((stream.bytes, version, position, topic, bytes(state)), str(bad)))
        else:
            found.append(ReadEvent(position, stream, version, event))
    return found


def _poison(at: ReadEvent, why: str) -> UndecodableEventError:
    topic = type(at.event).__name__
    return UndecodableEventError((at.code_id.bytes, at.version, at.position, topic, b""), why)
