"""The Merkle log over the events: a consumer that hashes them in order of position, off the hot path, in tiles.

A leaf covers what is stored of an event: stream, version, topic and state (which holds its times). Positions only give
the order: they have gaps, and an import into another database assigns others.
"""

import struct
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection
from psycopg.abc import Query
from psycopg.rows import tuple_row

from projections.database.copy_reader import read_copied_events
from projections.sql.transparency_log import TransparencyLogSql
from projections.transparency_log.merkle import Read, compute_perfect_root, hash_leaf

TILE = 256
TILE_LEVELS = 8
HASH_BYTES = 32
_PLACE = struct.Struct(">qH").pack
CACHED_TILES_MAX = 64
"""Tiles that a reader caches; 8 kB each."""
EVENTS_MAX = 20_000
"""Events in one transaction of the consumer."""


class TreeSize(NamedTuple):
    """How many events the Merkle log holds, and the position of the last one."""

    size: int
    position: int


def hash_event(stream: UUID, version: int, topic: str, state: bytes) -> bytes:
    """Return the leaf hash of an event."""
    return hash_stored_event(stream.bytes, version, topic, state)


def hash_stored_event(stream: bytes, version: int, topic: str, state: bytes) -> bytes:
    """Return the leaf hash of an event, given the bytes of the stream's id."""
    name = topic.encode()
    return hash_leaf(stream + _PLACE(version, len(name)) + name + state)


def split_hashes(hashes: bytes) -> list[bytes]:
    """Return the single hashes of a tile."""
    return [hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES)]


def read_tree_size(conn: Connection[Any]) -> TreeSize:
    """Return how many events the Merkle log holds."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        return TreeSize(*cursor.execute(TransparencyLogSql.merkle_progress).fetchall()[0])


class HashedEvents(NamedTuple):
    """Events that follow each other in the log.

    Attributes:
        after: Position of the event before the first one.
        events: Position, topic, state and leaf hash of each. Bare tuples, as millions are made.
    """

    after: int
    events: list[tuple[int, str, bytes, bytes]]


def append_new_events(conn: Connection[Any], events_max: int = EVENTS_MAX) -> int:
    """Append new events to the Merkle log; return how many, as `append_hashed` does."""
    return len(append_hashed(conn, events_max).events)


def append_hashed(conn: Connection[Any], events_max: int = EVENTS_MAX) -> HashedEvents:
    """Append new events to the Merkle log in one transaction; none if another process does so now.

    Args:
        conn: In autocommit mode.
        events_max: Most events to append.

    Returns:
        What was appended; as many as `events_max` means that there may be more.
    """
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        if not cursor.execute(TransparencyLogSql.lock_merkle).fetchall()[0][0]:
            return HashedEvents(0, [])
        size, position = read_tree_size(conn)
        added = read_hashed(conn, TransparencyLogSql.copy_log_after, position, (events_max,))
        if events := added.events:
            _append_hashes(conn, size, [event[3] for event in events], [event[0] for event in events])
            cursor.execute(TransparencyLogSql.set_merkle_progress, (size + len(events), events[-1][0]))
        return added


def read_hashed(conn: Connection[Any], query: Query, after: int, bounds: tuple[int, ...]) -> HashedEvents:
    """Return the events that a statement copies after a position, with their leaf hashes."""
    with closing(read_copied_events(conn, query, (after, *bounds))) as rows:
        events = [
            (position, topic, state, hash_stored_event(stream, version, topic, state))
            for stream, version, position, topic, state in rows
        ]
    return HashedEvents(after, events)


def _append_hashes(conn: Connection[Any], size: int, hashes: Sequence[bytes], positions: Sequence[int]) -> None:
    """Append hashes to the tiles of one height, and those of tiles that become full to the next height."""
    height = 0
    while hashes:
        index, stored_count = divmod(size, TILE)
        before, first = _read_tile(conn, height, index) if stored_count else (b"", None)
        roots_of_full_tiles: list[bytes] = []
        joined = split_hashes(before) + list(hashes)
        for start in range(0, len(joined), TILE):
            tile = joined[start : start + TILE]
            if height == 0 and (start or first is None):
                first = positions[start - stored_count if start else 0]
            conn.execute(TransparencyLogSql.upsert_merkle_tile, (height, index + start // TILE, first, b"".join(tile)))
            if len(tile) == TILE:
                roots_of_full_tiles.append(compute_perfect_root(tile))
        height, size, hashes, positions = height + 1, size // TILE, roots_of_full_tiles, ()


def _read_tile(conn: Connection[Any], height: int, index: int) -> tuple[bytes, int | None]:
    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(TransparencyLogSql.merkle_tile, (height, index)).fetchall()
    return (bytes(rows[0][0]), rows[0][1]) if rows else (b"", None)


def open_subtree_reader(conn: Connection[Any]) -> Read:
    """Return a function that reads complete subtrees out of the tiles and caches the last tiles.

    It raises LookupError for a subtree that the tiles don't hold.
    """

    @lru_cache(CACHED_TILES_MAX)
    def tile(height: int, number: int) -> bytes:
        return _read_tile(conn, height, number)[0]

    read_cached = open_hash_reader(tile, "the Merkle log")

    def read(level: int, index: int) -> bytes:
        try:
            return read_cached(level, index)
        except LookupError:
            tile.cache_clear()  # a tile may have grown since it was read
            return read_cached(level, index)

    return read


def open_hash_reader(tile: Callable[[int, int], bytes], name: str) -> Read:
    """Return a function that computes complete subtrees from tiles.

    Args:
        tile: Returns the hashes of a tile, by height and number; none if there is no such tile.
        name: Of the tree, for the LookupError about a subtree that the tiles don't hold.
    """

    def read(level: int, index: int) -> bytes:
        height, within = divmod(level, TILE_LEVELS)
        number, offset = divmod(index << within, TILE)
        start, count = offset * HASH_BYTES, 1 << within
        data = tile(height, number)[start : start + count * HASH_BYTES]
        if len(data) < count * HASH_BYTES:
            raise LookupError(f"{name} does not hold subtree {index} of level {level}")
        return compute_perfect_root(split_hashes(data))

    return read


def find_leaf_index(conn: Connection[Any], position: int) -> int | None:
    """Return the number of an event's leaf, counted from 0; None if the event is not in the Merkle log yet."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(TransparencyLogSql.merkle_tile_of_position, (position,)).fetchall()
        if not rows or position > read_tree_size(conn).position:
            return None
        index, first = rows[0]
        before = cursor.execute(TransparencyLogSql.count_events_between, (first, position)).fetchall()[0][0]
    return int(index) * TILE + int(before)
