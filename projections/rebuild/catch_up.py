"""Applying newer events to existing rows, with the statements of the live path.

The connection's search_path names the tables; see `projections.rebuild.shadow_tables`.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, cast
from uuid import UUID

from psycopg import Connection

from domain.events.campaign import CampaignEvent
from domain.events.event import Event
from domain.events.reservation import ReservationEvent, ReservationStarted
from domain.model.campaign import Campaign, evolve_campaign
from domain.model.redeem_code import RedeemCode, evolve_code
from domain.model.reservation import Reservation
from domain.model.reservation_transitions import evolve_reservation, fold_reservation
from domain.working_set import Recorded, Transition
from projections.definitions.projection import State
from projections.definitions.registry import STATE_PROJECTIONS, STATE_STORES
from projections.definitions.row_writer import merge_event_rows, write_rows
from projections.definitions.tables.campaigns import PROJECTION as CAMPAIGNS
from projections.definitions.tables.code_balances import PROJECTION as CODE_BALANCES
from projections.event_store.codec import UnreadableEventError, decode
from projections.replay.observer import FoldObserver, ReadEvent, UndecodableEventError
from projections.sql.event_store import EventStoreSql

_NUMBER = attrgetter("int")
"""Orders ids as UUID does, whose comparison is written in Python."""

ReservationStates = tuple[Reservation | None, Reservation | None]
"""A reservation before and after an event."""


class CatchUp:
    """Applies events that were appended after the rows were made.

    Args:
        conn: Its search_path names the tables.
        names: Projections whose rows exist; others are left alone.
        observer: Checks events while they are applied.
    """

    def __init__(self, conn: Connection[Any], names: frozenset[str], observer: FoldObserver) -> None:
        self._conn, self._names, self._observer = conn, names, observer

    def apply(self, events: Sequence[ReadEvent]) -> None:
        """Apply events to all rows, in order of position.

        Raises:
            UndecodableEventError: An event cannot follow, and the observer says so.
        """
        campaigns = self._fold_campaigns([at for at in events if isinstance(at.event, CampaignEvent)])
        self._write_event_rows([_transition(at, None, None, None) for at in campaigns])
        codes = self._fold_codes([at for at in events if not isinstance(at.event, CampaignEvent)])
        reservations = self._fold_reservations([at for at, _, _ in codes if isinstance(at.event, ReservationEvent)])
        self._write_event_rows(
            [_transition(at, before, after, reservations.get(at.position)) for at, before, after in codes]
        )

    def apply_out_of_order(self, events: Sequence[ReadEvent]) -> None:
        """Apply events to reservations whose rows were written before them; everything else has them already."""
        reservations = self._fold_reservations(events)
        transitions = [_transition(at, None, None, reservations.get(at.position)) for at in events]
        self._write_event_rows(transitions, state=Reservation)

    def _has_states(self, kind: type[State]) -> bool:
        """Return whether states of a kind can be read back from rows that exist."""
        return STATE_STORES[kind].name in self._names

    def _write_state_rows(self, kind: type[State], states: Sequence[State]) -> None:
        for projection in STATE_PROJECTIONS[kind]:
            if states and projection.name in self._names:
                write_rows(self._conn, projection, list(map(projection.row, states)))

    def _write_event_rows(self, transitions: Sequence[Transition], state: type[State] | None = None) -> None:
        """Write the rows that follow from events, of projections that use one kind of state or of all."""
        merged = merge_event_rows(
            transitions,
            lambda projection: projection.name in self._names and (state is None or projection.state is state),
        )
        for projection, merger in merged.items():
            write_rows(self._conn, projection, merger.take())

    def _fold_codes(self, events: Sequence[ReadEvent]) -> list[tuple[ReadEvent, RedeemCode | None, RedeemCode | None]]:
        """Apply events to codes; return those that can follow, each with its code before and after it."""
        if not self._has_states(RedeemCode):
            return [(at, None, None) for at in events if not self._observer.is_stopped(at.code_id)]
        code_ids = sorted({at.code_id for at in events})
        query = CODE_BALANCES.table.select("code_id = ANY(%s)")
        rows = self._conn.execute(query, (code_ids,)).fetchall() if code_ids else []
        codes = {code.code_id: code for code in map(CODE_BALANCES.read_back, rows)}
        followed: list[tuple[ReadEvent, RedeemCode | None, RedeemCode | None]] = []
        for at in events:
            if self._observer.is_stopped(at.code_id):
                continue
            before = codes.get(at.code_id)
            if at.version != (before.version if before else 0) + 1:
                self._observer.report_undecodable(_undecodable(at, f"version {at.version - 1} is missing before it"))
                continue
            after = evolve_code(before, at.code_id, at.version, at.event)
            self._observer.observe_code(at, before, after)
            codes[at.code_id] = after
            followed.append((at, before, after))
        if followed:
            self._write_state_rows(RedeemCode, list(codes.values()))
        return followed

    def _fold_campaigns(self, events: Sequence[ReadEvent]) -> list[ReadEvent]:
        """Apply events to campaigns; return those that can follow, and report the others."""
        if not self._has_states(Campaign):
            return [at for at in events if not self._observer.is_stopped(at.code_id)]
        if not events:
            return []
        query = CAMPAIGNS.table.select("campaign_id = ANY(%s)")
        rows = self._conn.execute(query, (sorted({at.code_id for at in events}),)).fetchall()
        campaigns = {campaign.campaign_id: campaign for campaign in map(CAMPAIGNS.read_back, rows)}
        followed = []
        for at in events:
            if self._observer.is_stopped(at.code_id):
                continue
            before = campaigns.get(at.code_id)
            if at.version != (before.version if before else 0) + 1:
                self._observer.report_undecodable(_undecodable(at, f"version {at.version - 1} is missing before it"))
                continue
            campaigns[at.code_id] = after = evolve_campaign(before, at.code_id, at.version, at.event)
            self._observer.observe_campaign(at, before, after)
            followed.append(at)
        self._write_state_rows(Campaign, list(campaigns.values()))
        return followed

    def _fold_reservations(self, events: Sequence[ReadEvent]) -> dict[int, ReservationStates]:
        """Apply events to reservations; return the states before and after each, by position.

        Events that the row of a reservation contains already are skipped. A reservation that one of the events starts
        has no row yet, so it is not looked up: under load these are nearly all.
        """
        if not events or not self._has_states(Reservation):
            return {}
        started_ids = {at.event.reservation_id for at in events if isinstance(at.event, ReservationStarted)}
        known_ids = {cast("ReservationEvent", at.event).reservation_id for at in events} - started_ids
        current = self._read_reservations(sorted(known_ids, key=_NUMBER)) if known_ids else {}
        states: dict[int, ReservationStates] = {}
        changed_ids: set[UUID] = set()
        for at in events:
            event = cast("ReservationEvent", at.event)
            before = current.get(event.reservation_id)
            if before is not None and at.version <= before.versions[-1]:
                continue
            try:
                after = evolve_reservation(before, at.code_id, at.version, event)
            except LookupError as error:
                self._observer.report_undecodable(_undecodable(at, str(error)))
                continue
            self._observer.observe_reservation(at, before, after)
            current[event.reservation_id] = after
            states[at.position] = before, after
            changed_ids.add(event.reservation_id)
        self._write_state_rows(Reservation, [current[key] for key in sorted(changed_ids, key=_NUMBER)])
        return states

    def _read_reservations(self, reservation_ids: list[UUID]) -> dict[UUID, Reservation]:
        """Return reservations as folded from the events that their rows name."""
        rows = self._conn.execute(EventStoreSql.events_of_reservations, (reservation_ids,)).fetchall()
        reservations: dict[UUID, Reservation] = {}
        for reservation_id, group in groupby(rows, key=lambda row: row[0]):
            events = list(group)
            history = [
                (version, cast("ReservationEvent", decode(topic, bytes(state))))
                for _, _, version, topic, state in events
            ]
            reservations[reservation_id] = fold_reservation(events[0][1], history)
        return reservations


def read_events(rows: Sequence[Sequence[Any]], observer: FoldObserver) -> list[ReadEvent]:
    """Decode rows of the log (stream, version, position, topic, state).

    Raises:
        UndecodableEventError: One cannot be decoded, and the observer says so.
    """
    events = []
    for stream, version, position, topic, state in rows:
        try:
            event: Event = decode(topic, bytes(state))
        except UnreadableEventError as error:
            stored = (stream.bytes, version, position, topic, bytes(state))
            observer.report_undecodable(UndecodableEventError(stored, str(error)))
        else:
            events.append(ReadEvent(position, stream, version, event))
    return events


def _transition(
    at: ReadEvent, code_before: RedeemCode | None, code: RedeemCode | None, states: ReservationStates | None
) -> Transition:
    return Transition(Recorded(at.code_id, at.version, at.event), code_before, code, *(states or (None, None)))


def _undecodable(at: ReadEvent, reason: str) -> UndecodableEventError:
    topic = type(at.event).__name__
    return UndecodableEventError((at.code_id.bytes, at.version, at.position, topic, b""), reason)
