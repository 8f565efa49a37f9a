"""The events against the Merkle log, the Merkle log against its checkpoints, and those against their keys."""

from collections.abc import Collection, Iterator
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.checkpoints import Checkpoint, all_checkpoints
from projections.merkle import Read, complete_root, root_of
from projections.sql import QUERIES
from projections.tree_log import TILE, TILE_LEVELS, TreeSize, event_leaf, reader_of, tree_size
from projections.verify_rules import Finding, RuleWatch

UNALTERED = "proof: events are what the Merkle log says"
WHOLE_TREE = "proof: the Merkle log is whole"
SIGNED = "proof: checkpoints are signed and hold"
PAGE_EVENTS = 5_000
NOBODY = UUID(int=0)


def check_tree(conn: Connection[Any], watch: RuleWatch, keys: Collection[bytes] | None) -> None:
    """Check events, tiles and checkpoints.

    Args:
        conn: For reading.
        watch: Where findings go.
        keys: Public keys that checkpoints may be signed with; None if they are not known here.
    """
    size = tree_size(conn)
    read = reader_of(conn)
    try:
        _check_events(conn, watch, size, read)
        _check_tiles(watch, size, read)
    except LookupError as lost:
        watch.keep(_about_tree(WHOLE_TREE, size.position, str(lost)))
    for checkpoint in all_checkpoints(conn):
        if trouble := _trouble(checkpoint, size, read, keys):
            detail = f"checkpoint {checkpoint.number}: {trouble}"
            watch.keep(_about_tree(SIGNED, checkpoint.position, detail))


def _check_events(conn: Connection[Any], watch: RuleWatch, size: TreeSize, read: Read) -> None:
    """Each event's hash is the recorded one; the first that isn't is named: after a lost one, all others differ."""
    index = 0
    for stream, version, position, topic, state in _events(conn, size.position):
        if index >= size.size or event_leaf(stream, version, topic, bytes(state)) != read(0, index):
            detail = "it is not the event that was recorded at this place: altered, moved, or one before it is lost"
            kind = topic.partition(":")[0]
            watch.keep(Finding(UNALTERED, stream, version, position, kind, None, detail))
            return
        index += 1
    if index < size.size:
        detail = f"{size.size - index} events that were recorded are missing at the end of the log"
        watch.keep(_about_tree(UNALTERED, size.position, detail))


def _events(conn: Connection[Any], until: int) -> Iterator[Any]:
    after = 0
    while rows := conn.execute(QUERIES["events_between"], (after, until, PAGE_EVENTS)).fetchall():
        yield from rows
        after = rows[-1][2]


def _check_tiles(watch: RuleWatch, size: TreeSize, read: Read) -> None:
    """Each hash above the leaves is the one over the full tile below it."""
    count, level = size.size // TILE, 0
    while count:
        for index in range(count):
            below = [read(level, index * TILE + number) for number in range(TILE)]
            if complete_root(below) != read(level + TILE_LEVELS, index):
                watch.keep(_about_tree(WHOLE_TREE, size.position, f"tile {index} of level {level} is altered"))
        count, level = count // TILE, level + TILE_LEVELS


def _trouble(checkpoint: Checkpoint, size: TreeSize, read: Read, keys: Collection[bytes] | None) -> str | None:
    if keys is not None and checkpoint.public_key not in keys:
        return "it is signed with a key that is not this ledger's"
    if not checkpoint.is_signed:
        return "its signature is wrong"
    if checkpoint.size > size.size:
        return f"it holds {checkpoint.size} events and the Merkle log {size.size}: an older state was restored"
    try:
        root = root_of(read, checkpoint.size)
    except LookupError as lost:
        return str(lost)
    return None if root == checkpoint.root else "its root is not that of the Merkle log"


def _about_tree(rule: str, position: int, detail: str) -> Finding:
    return Finding(rule, NOBODY, 0, position, "Checkpoint" if rule == SIGNED else "MerkleLog", None, detail)
