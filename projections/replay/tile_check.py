"""Comparing events with the lowest tiles of the Merkle log, one range of tiles at a time.

Each tile names the position at which it begins, so a lost or altered event affects its own tile only, and several
processes can check ranges concurrently.
"""

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from projections.database.copy_reader import StoredRow, read_copied_events
from projections.replay.findings import RuleViolation
from projections.sql.rebuild import RebuildSql
from projections.transparency_log.merkle import compute_perfect_root
from projections.transparency_log.tile_log import HASH_BYTES, TILE, TreeSize, hash_stored_event, split_hashes

UNALTERED = "proof: events are what the Merkle log says"
WHOLE_TREE = "proof: the Merkle log is whole"
TILES_AT_ONCE = 64
NO_STREAM = UUID(int=0)


class _Tile(NamedTuple):
    """A lowest tile.

    Attributes:
        number: Counted from 0.
        start: The position of its first event.
        hashes: Of its events.
        parent_hash: The hash over it, as the next height holds it; None while it is not full.
    """

    number: int
    start: int
    hashes: bytes
    parent_hash: bytes | None


def tree_finding(rule: str, position: int, detail: str) -> RuleViolation:
    """Return a finding about the Merkle log itself."""
    return RuleViolation(rule, NO_STREAM, 0, position, "MerkleLog", None, detail)


def check_tiles(conn: Connection[Any], first: int, last: int, tree: TreeSize) -> Iterator[RuleViolation]:
    """Compare tiles with their events, and with the hash over each that is kept above it.

    Args:
        conn: For reading; it is used for nothing else at the same time.
        first: Number of the first tile.
        last: Number of the last one.
        tree: The size of the Merkle log.
    """
    for start in range(first, last + 1, TILES_AT_ONCE):
        end = min(start + TILES_AT_ONCE - 1, last)
        tiles = [_Tile(*row) for row in conn.execute(RebuildSql.merkle_leaves, (start, end + 1))]
        missing_tiles = sorted(set(range(start, end + 1)) - {tile.number for tile in tiles})
        if missing_tiles:
            yield tree_finding(WHOLE_TREE, tree.position, f"tile {missing_tiles[0]} of level 0 is missing")
            continue
        if start == 0:
            tiles[0] = tiles[0]._replace(start=0)
        if tiles[-1].number == end:
            tiles.append(_Tile(end + 1, tree.position + 1, b"", None))
        # The tree may have grown since its size was read.
        tiles[-1] = tiles[-1]._replace(start=min(tiles[-1].start, tree.position + 1))
        with closing(read_copied_events(conn, RebuildSql.copy_log_range, (tiles[0].start, tiles[-1].start))) as events:
            yield from _compare_tiles(events, tiles, tree)


def _compare_tiles(events: Iterator[StoredRow], tiles: list[_Tile], tree: TreeSize) -> Iterator[RuleViolation]:
    """Compare all but the last of these tiles, which says where the others end."""
    pending: StoredRow | None = None
    for tile, following in pairwise(tiles):
        tile_events = [pending] if pending else []
        pending = None
        for event in events:
            if event[2] >= following.start:
                pending = event
                break
            tile_events.append(event)
        yield from _compare_tile(tile, tile_events, min(TILE, tree.size - tile.number * TILE), tree)


def _compare_tile(tile: _Tile, events: list[StoredRow], expected: int, tree: TreeSize) -> Iterator[RuleViolation]:
    leaves = [hash_stored_event(stream, version, topic, state) for stream, version, _, topic, state in events]
    if len(tile.hashes) < expected * HASH_BYTES:
        yield tree_finding(
            WHOLE_TREE, tree.position, f"tile {tile.number} of level 0 holds fewer hashes than it should"
        )
        return
    hashes = split_hashes(tile.hashes)  # more than expected, if the tile has grown since the size of the tree was read
    recorded = hashes[:expected]
    if tile.parent_hash is not None and compute_perfect_root(hashes) != tile.parent_hash:
        yield tree_finding(WHOLE_TREE, tree.position, f"tile {tile.number} of level 0 is altered")
    if leaves == recorded:
        return
    index = next((n for n, pair in enumerate(zip(leaves, recorded, strict=False)) if pair[0] != pair[1]), len(recorded))
    if index < len(events):
        stream, version, position, topic, _ = events[index]
        detail = "not the recorded event of this position: altered, moved, added, or an earlier one is missing"
        yield RuleViolation(UNALTERED, UUID(bytes=stream), version, position, topic.partition(":")[0], None, detail)
    else:
        last_position = events[-1][2] if events else tile.start - 1
        missing_tiles = len(recorded) - len(leaves)
        yield tree_finding(
            UNALTERED,
            last_position,
            f"{missing_tiles} events that were recorded after position {last_position} are missing",
        )
