"""Adds new events to the Merkle log, the reservation map and the event counters, and has the head of the log signed."""

import logging
from datetime import datetime
from pathlib import Path

from projections.database.errors import OlderStateError
from projections.monitoring.event_counters import update_counters
from projections.storage.bootstrap import LedgerStore
from projections.transparency_log.checkpoint_file import sign_and_write
from projections.transparency_log.checkpoints import derive_signing_key
from projections.transparency_log.reservation_map import catch_up_map
from projections.transparency_log.tile_log import EVENTS_MAX, append_hashed

log = logging.getLogger(__name__)

TRANSACTIONS_MAX = 10
"""Most transactions of one run; the next run continues."""


def update_log(storage: LedgerStore, now: datetime, checkpoint_file: Path | None) -> int:
    """Add new events to the Merkle log, the reservation map and the event counters, and sign the head once a minute.

    Args:
        storage: The ledger.
        now: Database time.
        checkpoint_file: File outside the database for checkpoints.

    Returns:
        How many events were added to the Merkle log.
    """
    consumed = 0
    with storage.datastore.get_connection() as conn:
        for _ in range(TRANSACTIONS_MAX):
            appended = append_hashed(conn)
            consumed += len(appended.events)
            try:
                catch_up_map(conn, appended, TRANSACTIONS_MAX)
            except LookupError as error:
                log.error("extending the reservation map failed", extra={"why": str(error)})  # noqa: TRY400 - as below
            if len(appended.events) < EVENTS_MAX:
                break
        try:
            sign_and_write(conn, derive_signing_key(storage.vault.rings["master"]), now, checkpoint_file)
        except OlderStateError as error:
            log.error("signing a checkpoint failed", extra={"why": str(error)})  # noqa: TRY400 - the field says it all
        update_counters(conn)
    return consumed
