"""Comparing read models with a fold of the log, code by code."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import tuple_row

from domain import redeem_code, reservation
from domain.events import CodeIssued, Event, ReservationEvent
from domain.reservation import Reservation
from projections.bootstrap import Storage
from projections.codec import decode
from projections.rows import balance_row, case_rows, reservation_row
from projections.sql import QUERIES


class Drift(NamedTuple):
    """A row that is not what the log says; None stands for a row that is not there."""

    table: str
    row_id: UUID
    stored: tuple[Any, ...] | None
    folded: tuple[Any, ...] | None


def sample(storage: Storage, count: int) -> list[Drift]:
    """Check up to `count` codes picked at random."""
    with storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
        ids = [row[0] for row in cursor.execute(QUERIES["random_codes"], (count,)).fetchall()]
    return [found for code_id in ids for found in check_code(storage, code_id)]


def check_code(storage: Storage, code_id: UUID) -> list[Drift]:
    """Compare one code's balance and reservations with its log, all from one snapshot."""
    with (
        storage.datastore.get_connection() as conn,
        conn.transaction(),
        conn.cursor(row_factory=tuple_row) as cursor,
    ):
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        events = [
            (version, decode(topic, bytes(state)))
            for _, version, topic, state in cursor.execute(QUERIES["stream_events"], (code_id, 0, None))
        ]
        return [
            *_balance(cursor, code_id, events),
            *_reservations(cursor, code_id, events),
            *_cases(cursor, code_id, events),
        ]


def _balance(cursor: Cursor[Any], code_id: UUID, events: list[tuple[int, Event]]) -> list[Drift]:
    stored = cursor.execute(QUERIES["balance_of_code"], (code_id,)).fetchone()
    folded = None
    if events:
        version, first = events[0]
        code = redeem_code.opened(code_id, version, cast("CodeIssued", first))
        for version, event in events[1:]:
            code = redeem_code.evolve(code, version, event)
        folded = balance_row(code)
    return [] if stored == folded else [Drift("code_balances", code_id, stored, folded)]


def _reservations(cursor: Cursor[Any], code_id: UUID, events: list[tuple[int, Event]]) -> list[Drift]:
    states: dict[UUID, Reservation] = {}
    for version, event in events:
        if isinstance(event, ReservationEvent):
            known = states.get(event.reservation_id)
            states[event.reservation_id] = (
                reservation.evolve(known, version, event) if known else reservation.fold(code_id, [(version, event)])
            )
    folded = {key: reservation_row(item) for key, item in states.items()}
    stored = {row[0]: tuple(row) for row in cursor.execute(QUERIES["reservations_of_code"], (code_id,))}
    return _differences("reservations", stored, folded)


def _cases(cursor: Cursor[Any], code_id: UUID, events: list[tuple[int, Event]]) -> list[Drift]:
    rows, _ = case_rows((code_id, event) for _, event in events)
    stored = {row[0]: tuple(row) for row in cursor.execute(QUERIES["cases_of_code"], (code_id,))}
    return _differences("cases", stored, {row[0]: row for row in rows})


Rows = Mapping[UUID, tuple[Any, ...]]


def _differences(table: str, stored: Rows, folded: Rows) -> list[Drift]:
    return [
        Drift(table, key, stored.get(key), folded.get(key))
        for key in sorted(stored.keys() | folded.keys())
        if stored.get(key) != folded.get(key)
    ]
