"""Compare the map of reservations with the log: each place, each height, and the root that a checkpoint signed."""

from contextlib import closing
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import tuple_row

from projections.database.copy_reader import read_copied_events
from projections.definitions.registry import LOCK_TO_READ
from projections.replay.invariant_observer import InvariantObserver
from projections.replay.tile_check import tree_finding
from projections.sql.transparency_log import TransparencyLogSql
from projections.transparency_log.checkpoints import find_checkpoint
from projections.transparency_log.merkle import Read, compute_root, hash_node
from projections.transparency_log.reservation_map import (
    NO_HASH,
    NOW,
    OPENING_TOPICS,
    MapProgress,
    chain_hashes,
    open_map_reader,
    read_map_progress,
    read_reservation_id,
)
from projections.transparency_log.tile_log import TILE, TILE_LEVELS, hash_event

ALL_EVENTS = "proof: the reservation map has all events of each reservation"
PLACES_AT_ONCE = 64 * TILE
REPAIR = "`ledger rebuild --apply` writes the map again"


def check_map(conn: Connection[Any], observer: InvariantObserver) -> None:
    """Check the map; the first wrong place of each range is a finding.

    Args:
        conn: In autocommit mode; each range is read from one snapshot of the database.
        observer: Takes the violations.
    """
    place, position = 0, 0
    while True:
        with conn.transaction():
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            conn.execute(LOCK_TO_READ)
            progress = read_map_progress(conn)
            if place >= progress.size:
                _check_heights(conn, observer, progress)
                return
            count, position = _check_places(conn, observer, progress, place, position)
        if not count:
            return
        place += count


def _check_places(
    conn: Connection[Any], observer: InvariantObserver, progress: MapProgress, first: int, after: int
) -> tuple[int, int]:
    """Compare one range of places with the events; return how many there were, and the position of the last one."""
    count = min(PLACES_AT_ONCE, progress.size - first)
    openings: dict[int, bytes] = {}
    position, seen = after, 0
    params = (after, progress.position, count)
    with closing(read_copied_events(conn, TransparencyLogSql.copy_log_between, params)) as rows:
        for place, (_, _, last, topic, state) in enumerate(rows, first):
            position, seen = last, seen + 1
            if topic in OPENING_TOPICS and (reservation_id := read_reservation_id(state)) is not None:
                openings[place] = reservation_id
    chained = _chain_reservations(conn, list(openings.values()), progress.position)
    read = open_map_reader(conn, NOW)
    for place in range(first, first + count):
        expected = chained.get(openings[place], NO_HASH) if place in openings else NO_HASH
        if _read_hash(read, place) != expected:
            about = f"reservation {UUID(bytes=openings[place])}" if place in openings else f"place {place}"
            _add(observer, position, f"the map does not have exactly the events of {about}: {REPAIR}")
            break
    return seen, position


def _chain_reservations(conn: Connection[Any], reservation_ids: list[bytes], position: int) -> dict[bytes, bytes]:
    ids = [UUID(bytes=reservation_id) for reservation_id in reservation_ids]
    with conn.cursor(row_factory=tuple_row, binary=True) as cursor:
        rows = cursor.execute(TransparencyLogSql.events_of_reservations, (ids, position)).fetchall()
    return {
        reservation_id.bytes: chain_hashes(hash_event(*event) for _, *event in events)
        for reservation_id, events in groupby(rows, key=itemgetter(0))
    }


def _check_heights(conn: Connection[Any], observer: InvariantObserver, progress: MapProgress) -> None:
    """Check that each hash above the places covers what is below it, now and as the newest checkpoint signed it."""
    checkpoint = find_checkpoint(conn, progress.checkpoint)
    sizes = {NOW: progress.size} | ({checkpoint.number: checkpoint.size} if checkpoint else {})
    for number, size in sizes.items():
        read = open_map_reader(conn, number)
        try:
            if any(
                hash_node(read(level - 1, 2 * index), read(level - 1, 2 * index + 1)) != read(level, index)
                for level in range(TILE_LEVELS, size.bit_length(), TILE_LEVELS)
                for index in range(size >> level)
            ):
                _add(observer, progress.position, f"a tile of the map is altered: {REPAIR}")
            if checkpoint and number == checkpoint.number and compute_root(read, size) != checkpoint.map_root:
                _add(observer, progress.position, f"the map is not as checkpoint {number} signed it: {REPAIR}")
        except LookupError as error:
            _add(observer, progress.position, f"{error}: {REPAIR}")


def _read_hash(read: Read, place: int) -> bytes | None:
    try:
        return read(0, place)
    except LookupError:
        return None


def _add(observer: InvariantObserver, position: int, detail: str) -> None:
    observer.add_finding(tree_finding(ALL_EVENTS, position, detail)._replace(type="ReservationMap"))
