"""Receipts: a reservation's events with the proof that they are in the Merkle log as of a signed checkpoint.

They are checked by `proof_check`, and without this project's code by docs/check_receipt.py.
"""

import base64
from typing import Any, Final
from uuid import UUID

from psycopg import Connection
from psycopg.rows import tuple_row

from projections.sql.transparency_log import TransparencyLogSql
from projections.storage.bootstrap import LedgerStore
from projections.transparency_log.checkpoints import (
    Checkpoint,
    checkpoint_document,
    checkpoint_of,
    first_checkpoint_from,
)
from projections.transparency_log.merkle import consistency_path, inclusion_path
from projections.transparency_log.tile_log import leaf_index, subtree_reader

FORMAT: Final = "redemption-ledger receipt 1"
CONSISTENCY_FORMAT: Final = "redemption-ledger consistency 1"


class NotYetSignedError(Exception):
    """The newest events are in no checkpoint yet: one is signed each minute while Celery beat runs."""


def read_receipt(storage: LedgerStore, reservation_id: UUID) -> dict[str, Any] | None:
    """The receipt of a reservation, all from one snapshot; None if there is none.

    Raises:
        NotYetSignedError: An event is in no checkpoint yet.
    """
    with storage.datastore.get_connection() as conn, conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        conn.execute(TransparencyLogSql.lock_read_models_to_read)
        return receipt_of(conn, reservation_id)


def receipt_of(conn: Connection[Any], reservation_id: UUID) -> dict[str, Any] | None:
    """The receipt of a reservation; None if there is none.

    Raises:
        NotYetSignedError: An event is in no checkpoint yet.
    """
    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(TransparencyLogSql.places_of_reservation, (reservation_id,)).fetchall()
    if not rows:
        return None
    checkpoint = first_checkpoint_from(conn, rows[-1][0])
    if checkpoint is None:
        raise NotYetSignedError(
            "its newest event is in no signed checkpoint yet: one is signed each minute while the worker and beat run"
        )
    read, events = subtree_reader(conn), []
    for position, stream, version, topic, state in rows:
        index = leaf_index(conn, position)
        if index is None:
            raise AssertionError("a checkpoint holds what the Merkle log does not")
        path = inclusion_path(read, index, checkpoint.size)
        events.append(
            {
                "stream": str(stream),
                "version": version,
                "topic": topic,
                "state": base64.b64encode(bytes(state)).decode(),
                "leaf_index": index,
                "path": [base64.b64encode(step).decode() for step in path],
            }
        )
    document = {"format": FORMAT, "reservation_id": str(reservation_id), "events": events}
    return {**document, "checkpoint": proved_document(checkpoint)}


def read_consistency(storage: LedgerStore, old: int, new: int) -> dict[str, Any] | None:
    """The proof that one checkpoint's events are the beginning of another's; None if one of them is not there.

    Args:
        storage: The ledger.
        old: Number of the earlier checkpoint.
        new: Number of the later one.
    """
    with storage.datastore.get_connection() as conn:
        first, second = checkpoint_of(conn, old), checkpoint_of(conn, new)
        if first is None or second is None or first.size > second.size:
            return None
        path = consistency_path(subtree_reader(conn), first.size, second.size)
    return {
        "format": CONSISTENCY_FORMAT,
        "old": proved_document(first),
        "new": proved_document(second),
        "path": [base64.b64encode(step).decode() for step in path],
    }


def proved_document(made: Checkpoint) -> dict[str, Any]:
    """A checkpoint for outsiders: without its number, unless that is signed."""
    document = checkpoint_document(made)
    if not made.is_number_signed:
        del document["number"]
    return document
