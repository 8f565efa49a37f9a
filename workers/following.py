"""Keeping Merkle log and tallies up with the events and having the head signed: off the hot path, on its own beat."""

from datetime import datetime
from pathlib import Path

from projections.bootstrap import Storage
from projections.checkpoints import sign_head, signing_key
from projections.tallies import advance
from projections.tree_log import FOLLOWED_MAX, follow

ROUNDS_MAX = 10
"""Transactions of one round; what is left then is the next round's."""


def follow_events(storage: Storage, now: datetime, checkpoint_file: Path | None) -> int:
    """Take what is new into the Merkle log and the tallies, and sign the head once a minute.

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
        advance(conn)
    return taken
