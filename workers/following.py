"""Keeping the Merkle log up with the events, and having its head signed: off the hot path, on every sweep of beat."""

from datetime import datetime
from pathlib import Path

from projections.bootstrap import Storage
from projections.checkpoints import sign_head, signing_key
from projections.metrics import MERKLE_SIZE
from projections.tree_log import FOLLOWED_MAX, follow, tree_size

ROUNDS_MAX = 10
"""Transactions of one round; what is left then is the next round's."""


def follow_events(storage: Storage, now: datetime, checkpoint_file: Path | None) -> int:
    """Take what is new into the Merkle log and sign its head once a minute.

    Args:
        storage: The ledger.
        now: Database time.
        checkpoint_file: Where checkpoints are kept outside the database too.

    Returns:
        How many events were taken in.
    """
    taken = 0
    with storage.datastore.get_connection() as conn:
        for _ in range(ROUNDS_MAX):
            count = follow(conn)
            taken += count
            if count < FOLLOWED_MAX:
                break
        sign_head(conn, signing_key(storage.vault.rings["master"]), now, checkpoint_file)
        MERKLE_SIZE.set(tree_size(conn).size)
    return taken
