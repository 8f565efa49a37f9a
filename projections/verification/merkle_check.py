"""Check the Merkle log above its leaves, and its checkpoints with their signatures.

`projections.replay.tile_check` checks the leaves.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from psycopg import Connection

from projections.replay.invariant_observer import InvariantObserver
from projections.replay.tile_check import WHOLE_TREE, tree_finding
from projections.sql.transparency_log import TransparencyLogSql
from projections.transparency_log.checkpoint_file import read_checkpoint_file
from projections.transparency_log.checkpoints import Checkpoint, find_checkpoint, list_checkpoints
from projections.transparency_log.merkle import Read, compute_perfect_root, compute_root
from projections.transparency_log.tile_log import (
    TILE,
    TILE_LEVELS,
    TreeSize,
    open_subtree_reader,
    read_tree_size,
    split_hashes,
)
from projections.vault.vault import Vault

PUBLISHED = "proof: published checkpoints hold"
SIGNED = "proof: checkpoints are signed and hold"
PAGE_CHECKPOINTS = 1_000


class ExternalEvidence(NamedTuple):
    """Evidence of the ledger that is kept outside its database.

    Attributes:
        keys: Public keys that checkpoints may be signed with; None if they are not known here.
        published: The file of checkpoints, if there is one.
        vault: Opens the rows of the vault; None if the keys are not known, so that the rows stay unchecked.
    """

    keys: Collection[bytes] | None = None
    published: Path | None = None
    vault: Vault | None = None


def check_tree(conn: Connection[Any], observer: InvariantObserver, tree: TreeSize, evidence: ExternalEvidence) -> None:
    """Check tiles above the leaves, and checkpoints.

    Args:
        conn: For reading.
        observer: Takes the violations.
        tree: The size of the Merkle log when the leaves were checked; it may have grown.
        evidence: What is known outside of the database.
    """
    keys, published, _ = evidence
    subtree = open_subtree_reader(conn)
    try:
        _check_tiles(conn, observer, tree, subtree)
    except LookupError as error:
        observer.add_finding(tree_finding(WHOLE_TREE, tree.position, str(error)))
    number = 0
    while page := list_checkpoints(conn, number, PAGE_CHECKPOINTS):
        # It may be signed since then, so this reads how far the Merkle log goes now.
        size = TreeSize(*conn.execute(TransparencyLogSql.merkle_progress).fetchall()[0])
        for checkpoint in page:
            if problem := _find_problem(checkpoint, size, subtree, keys):
                detail = f"checkpoint {checkpoint.number}: {problem}"
                observer.add_finding(tree_finding(SIGNED, checkpoint.position, detail)._replace(type="Checkpoint"))
        number = page[-1].number
    if published is not None:
        _check_checkpoint_file(conn, observer, subtree, keys, published)


def _check_checkpoint_file(
    conn: Connection[Any], observer: InvariantObserver, subtree: Read, keys: Collection[bytes] | None, published: Path
) -> None:
    """Check each line of the checkpoint file, except those that were checked in the database already."""
    size = read_tree_size(conn)
    for number, line in read_checkpoint_file(published):
        stored_checkpoint = find_checkpoint(conn, line.number) if line else None
        if stored_checkpoint is not None and stored_checkpoint._replace(position=0) == line:
            continue
        if problem := _find_problem(line, size, subtree, keys) if line else "not a checkpoint":
            detail = f"line {number} of {published}: {problem}"
            observer.add_finding(tree_finding(PUBLISHED, size.position, detail)._replace(type="Checkpoint"))


def _check_tiles(conn: Connection[Any], observer: InvariantObserver, tree: TreeSize, subtree: Read) -> None:
    """Check that each hash from the third height on covers the full tile below it."""
    height, count = 1, tree.size // TILE // TILE
    while count:
        for index in range(count):
            rows = conn.execute(TransparencyLogSql.merkle_tile, (height, index)).fetchall()
            hashes = split_hashes(bytes(rows[0][0])) if rows else []
            if len(hashes) < TILE or compute_perfect_root(hashes) != subtree((height + 1) * TILE_LEVELS, index):
                observer.add_finding(
                    tree_finding(WHOLE_TREE, tree.position, f"tile {index} of level {height} is altered")
                )
        height, count = height + 1, count // TILE


def _find_problem(checkpoint: Checkpoint, size: TreeSize, subtree: Read, keys: Collection[bytes] | None) -> str | None:
    if keys is not None and checkpoint.public_key not in keys:
        return "it is signed with a key that LEDGER_MASTER_KEYS does not hold"
    if not checkpoint.is_signed:
        return "its signature is wrong"
    if checkpoint.size > size.size:
        return f"it covers {checkpoint.size} events, but the Merkle log has {size.size}: an older backup was restored"
    try:
        root = compute_root(subtree, checkpoint.size)
    except LookupError as error:
        return str(error)
    return None if root == checkpoint.root else "its root does not match the Merkle log"
