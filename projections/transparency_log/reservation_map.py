"""The map of reservations: which events each reservation has, as a tree that is signed with the Merkle log.

A log-backed map after "Verifiable Data Structures" (Eijdenberg, Laurie, Cutter: Google, 2015). It follows from the log
alone, so that anyone with the log can compute its root again. It has one place per event. The place of a reservation's
first event holds the chained hash over all its events: c = SHA-256(2, c before, leaf hash), from 32 zero bytes. The
other places hold zeros. Over the places is the tree of RFC 9162. The log proves where a reservation has its place, so
the map needs no keys, and what changes together is stored together.

A tile keeps how the newest checkpoint signed it, because proofs are given against that one while the map goes on.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.rows import tuple_row

from domain.events.campaign import CampaignUseReturned, CampaignUseTaken
from domain.events.reservation import RebindReserved, UseReserved
from projections.event_store.codec import topics_of
from projections.event_store.stored_state import JSON_BEGINS, RESERVATION_ID_BEGINS
from projections.sql.transparency_log import TransparencyLogSql
from projections.transparency_log.merkle import Read, compute_perfect_root, compute_root
from projections.transparency_log.tile_log import (
    CACHED_TILES_MAX,
    EVENTS_MAX,
    HASH_BYTES,
    TILE,
    HashedEvents,
    open_hash_reader,
    read_hashed,
    read_tree_size,
    split_hashes,
)

NO_HASH: Final = bytes(HASH_BYTES)
NOW: Final = -1
"""Instead of the number of a checkpoint: the map as it is now."""
OPENING_TOPICS: Final = frozenset({*topics_of(UseReserved), *topics_of(RebindReserved)})
"""Topics of the events that are the first of a reservation."""
CAMPAIGN_TOPICS: Final = frozenset({*topics_of(CampaignUseTaken), *topics_of(CampaignUseReturned)})
"""Topics of the events that name a reservation but belong to a campaign's stream: no receipt has them."""


class MapProgress(NamedTuple):
    """How far the map is.

    Attributes:
        size: Its places.
        position: Of the last event that it holds.
        checkpoint: Number of the newest checkpoint that signed it; 0 before the first.
    """

    size: int
    position: int
    checkpoint: int


class _About(msgspec.Struct):
    reservation_id: UUID | None = None


_decode_json = msgspec.json.Decoder(_About).decode


def read_reservation_id(state: bytes) -> bytes | None:
    """Return the id of the reservation that a stored event is about, as 16 bytes; None if it is about none."""
    if state[:1] == JSON_BEGINS:
        reservation_id = _decode_json(state).reservation_id
        return None if reservation_id is None else reservation_id.bytes
    return state.partition(RESERVATION_ID_BEGINS)[2][:16] or None


def chain_hashes(leaves: Iterable[bytes], before: bytes = NO_HASH) -> bytes:
    """Return the chained hash of a reservation after further events."""
    for leaf in leaves:
        before = sha256(b"\2" + before + leaf).digest()
    return before


def read_map_progress(conn: Connection[Any]) -> MapProgress:
    """Return how far the map is."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        return MapProgress(*cursor.execute(TransparencyLogSql.map_progress).fetchall()[0])


def extend_map(conn: Connection[Any], events_max: int = EVENTS_MAX, appended: HashedEvents | None = None) -> int:
    """Add events of the Merkle log to the map in one transaction; none if another process does so now.

    Args:
        conn: In autocommit mode.
        events_max: Most events to add.
        appended: What was appended to the Merkle log just now; it is not read again if it comes next in the map.

    Returns:
        How many were added; as many as `events_max` means that there may be more.

    Raises:
        LookupError: The read model of reservations lacks one: `ledger rebuild --apply` repairs it.
    """
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        if not cursor.execute(TransparencyLogSql.lock_merkle).fetchall()[0][0]:
            return 0
        progress, until = read_map_progress(conn), read_tree_size(conn).position
        if progress.position >= until:
            return 0
        if appended is None or appended.after != progress.position:
            bounds = (until, events_max)
            appended = read_hashed(conn, TransparencyLogSql.copy_log_between, progress.position, bounds)
        if events := appended.events:
            _write_places(conn, progress, _group_events(conn, progress, appended), len(events))
            cursor.execute(TransparencyLogSql.set_map_progress, (progress.size + len(events), events[-1][0]))
        return len(events)


def catch_up_map(conn: Connection[Any], appended: HashedEvents, transactions_max: int) -> None:
    """Extend the map by what was appended to the Merkle log just now, or by what is missing before it.

    Args:
        conn: In autocommit mode.
        appended: What was appended.
        transactions_max: Most transactions.

    Raises:
        LookupError: The read model of reservations lacks one.
    """
    for _ in range(transactions_max):
        if extend_map(conn, appended=appended) < EVENTS_MAX:
            return


def compute_map_root(conn: Connection[Any], size: int) -> bytes | None:
    """Return the root of the map over the first events of the log; None if the map holds fewer, or more."""
    return compute_root(open_map_reader(conn, NOW), size) if read_map_progress(conn).size == size else None


def open_map_reader(conn: Connection[Any], checkpoint: int) -> Read:
    """Return a function that reads complete subtrees of the map as a checkpoint signed it, or `NOW`.

    It raises LookupError for a subtree that the map does not hold.
    """

    @lru_cache(CACHED_TILES_MAX)
    def tile(height: int, number: int) -> bytes:
        with conn.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(TransparencyLogSql.map_tile, (checkpoint, height, number)).fetchall()
        return bytes(rows[0][0]) if rows else b""

    return open_hash_reader(tile, "the reservation map")


def _group_events(conn: Connection[Any], progress: MapProgress, appended: HashedEvents) -> dict[int, list[bytes]]:
    """Return the leaf hashes of new events by the place of their reservation."""
    leaves: defaultdict[bytes, list[bytes]] = defaultdict(list)
    places: dict[bytes, int] = {}
    for place, (_, topic, state, leaf) in enumerate(appended.events, progress.size):
        reservation_id = None if topic in CAMPAIGN_TOPICS else read_reservation_id(state)
        if reservation_id is not None:
            leaves[reservation_id].append(leaf)
            if topic in OPENING_TOPICS:
                places[reservation_id] = place
    places |= _find_places(conn, [reservation_id for reservation_id in leaves if reservation_id not in places])
    return {places[reservation_id]: hashes for reservation_id, hashes in leaves.items()}


def _find_places(conn: Connection[Any], reservation_ids: list[bytes]) -> dict[bytes, int]:
    """Return the places of reservations that began before; those of one tile are found together."""
    if not reservation_ids:
        return {}
    places: dict[bytes, int] = {}
    positions: dict[int, list[int]] = {}
    ids = [UUID(bytes=reservation_id) for reservation_id in reservation_ids]
    with conn.cursor(row_factory=tuple_row, binary=True) as cursor:
        rows = cursor.execute(TransparencyLogSql.first_events_of_reservations, (ids,)).fetchall()
        for reservation_id, position, tile, first in rows:
            if tile not in positions:
                query = TransparencyLogSql.positions_of_tile
                positions[tile] = [row[0] for row in cursor.execute(query, (first, TILE)).fetchall()]
            places[reservation_id.bytes] = tile * TILE + bisect_left(positions[tile], position)
    if len(places) < len(reservation_ids):
        missing = next(each for each in ids if each.bytes not in places)
        raise LookupError(f"the read model of reservations lacks {missing}: run `ledger rebuild --apply`")
    return places


def _write_places(conn: Connection[Any], progress: MapProgress, grown: dict[int, list[bytes]], count: int) -> None:
    """Chain new hashes at their places, and hash the tiles again that changed, height by height."""
    size = progress.size + count
    chained = _Level(
        conn, 0, progress, {place // TILE for place in grown} | set(range(progress.size // TILE, -(-size // TILE)))
    )
    chained.grow(size)
    for place, hashes in grown.items():
        chained.set_hash(place, chain_hashes(hashes, chained.read_hash(place)))
    level, height = chained, 0
    while level.tiles:
        level.store()
        roots, height = level.compute_full_roots(), height + 1
        level = _Level(conn, height, progress, {index // TILE for index in roots})
        level.grow(max(roots, default=-1) + 1)
        for index, root in roots.items():
            level.set_hash(index, root)


class _Level:
    """The tiles of one height that change."""

    def __init__(self, conn: Connection[Any], height: int, progress: MapProgress, numbers: set[int]) -> None:
        self._conn, self._height, self._checkpoint = conn, height, progress.checkpoint
        with conn.cursor(row_factory=tuple_row, binary=True) as cursor:
            rows = cursor.execute(TransparencyLogSql.map_tiles, (height, list(numbers))).fetchall() if numbers else []
        stored = {number: bytearray(hashes) for number, hashes in rows}
        self.tiles: dict[int, bytearray] = {number: stored.get(number, bytearray()) for number in sorted(numbers)}

    def grow(self, size: int) -> None:
        """Fill up to a number of places with zeros."""
        for number, tile in self.tiles.items():
            expected = min(size - number * TILE, TILE) * HASH_BYTES
            tile.extend(bytes(max(expected - len(tile), 0)))

    def read_hash(self, place: int) -> bytes:
        """Return the hash at a place."""
        number, offset = divmod(place, TILE)
        return bytes(self.tiles[number][offset * HASH_BYTES : (offset + 1) * HASH_BYTES])

    def set_hash(self, place: int, digest: bytes) -> None:
        """Change the hash at a place."""
        number, offset = divmod(place, TILE)
        self.tiles[number][offset * HASH_BYTES : (offset + 1) * HASH_BYTES] = digest

    def compute_full_roots(self) -> dict[int, bytes]:
        """Return the hash over each full tile, by its number."""
        full = {number: tile for number, tile in self.tiles.items() if len(tile) == TILE * HASH_BYTES}
        return {number: compute_perfect_root(split_hashes(bytes(tile))) for number, tile in full.items()}

    def store(self) -> None:
        """Write the tiles."""
        rows = [(self._height, number, bytes(tile), self._checkpoint) for number, tile in self.tiles.items()]
        with self._conn.cursor() as cursor:
            cursor.executemany(TransparencyLogSql.upsert_map_tile, rows)
