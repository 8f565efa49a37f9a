"""The Merkle log above its leaves, and its checkpoints against it and against their keys.

The leaves themselves are `projections.replay.tile_check`.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from psycopg import Connection

from projections.replay.invariant_observer import RuleWatch
from projections.replay.tile_check import WHOLE_TREE, about_tree
from projections.sql.transparency_log import TransparencyLogSql
from projections.transparency_log.checkpoint_file import read_checkpoint_file
from projections.transparency_log.checkpoints import Checkpoint, checkpoint_of, checkpoints_after
from projections.transparency_log.merkle import Read, perfect_tree_root, root_of
from projections.transparency_log.tile_log import TILE, TILE_LEVELS, TreeSize, split_hashes, subtree_reader, tree_size
from projections.vault.vault import Vault

PUBLISHED = "proof: published checkpoints hold"
SIGNED = "proof: checkpoints are signed and hold"
PAGE_CHECKPOINTS = 1_000


class ExternalEvidence(NamedTuple):
    """What is known of the ledger outside of its database.

    Attributes:
        keys: Public keys that checkpoints may be signed with; None if they are not known here.
        published: The file of checkpoints, if there is one.
        vault: Opens the rows of the vault; None where the keys are not known, so that they stay unchecked.
    """

    keys: Collection[bytes] | None = None
    published: Path | None = None
    vault: Vault | None = None


def check_tree(conn: Connection[Any], watch: RuleWatch, tree: TreeSize, outside: ExternalEvidence) -> None:
    """Check tiles above the leaves, and checkpoints.

    Args:
        conn: For reading.
        watch: Where findings go.
        tree: How far the Merkle log went when the leaves were checked; there may be more by now.
        outside: What is known outside of the database.
    """
    keys, published, _ = outside
    read = subtree_reader(conn)
    try:
        _check_tiles(conn, watch, tree, read)
    except LookupError as lost:
        watch.keep(about_tree(WHOLE_TREE, tree.position, str(lost)))
    number = 0
    while page := checkpoints_after(conn, number, PAGE_CHECKPOINTS):
        # Signed meanwhile: the Merkle log that was checked does not hold it yet.
        size = TreeSize(*conn.execute(TransparencyLogSql.merkle_progress).fetchall()[0])
        for checkpoint in page:
            if trouble := _trouble(checkpoint, size, read, keys):
                detail = f"checkpoint {checkpoint.number}: {trouble}"
                watch.keep(about_tree(SIGNED, checkpoint.position, detail)._replace(type="Checkpoint"))
        number = page[-1].number
    if published is not None:
        _check_published(conn, watch, read, keys, published)


def _check_published(
    conn: Connection[Any], watch: RuleWatch, read: Read, keys: Collection[bytes] | None, published: Path
) -> None:
    """Each line of the file outside the database, but for those that the database has too and that were checked."""
    size = tree_size(conn)
    for number, line in read_checkpoint_file(published):
        held = checkpoint_of(conn, line.number) if line else None
        if held is not None and held._replace(position=0) == line:
            continue
        if trouble := _trouble(line, size, read, keys) if line else "it is no checkpoint":
            detail = f"line {number} of {published}: {trouble}"
            watch.keep(about_tree(PUBLISHED, size.position, detail)._replace(type="Checkpoint"))


def _check_tiles(conn: Connection[Any], watch: RuleWatch, tree: TreeSize, read: Read) -> None:
    """Each hash from the third height on is the one over the full tile below it."""
    height, count = 1, tree.size // TILE // TILE
    while count:
        for index in range(count):
            rows = conn.execute(TransparencyLogSql.merkle_tile, (height, index)).fetchall()
            below = split_hashes(bytes(rows[0][0])) if rows else []
            if len(below) < TILE or perfect_tree_root(below) != read((height + 1) * TILE_LEVELS, index):
                watch.keep(about_tree(WHOLE_TREE, tree.position, f"tile {index} of level {height} is altered"))
        height, count = height + 1, count // TILE


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
