"""Receipts: a reservation's events with the proof that they are in the Merkle log as of a signed checkpoint.

`proof_check` checks them, and so does docs/check_receipt.py without this project's code.
"""

import base64
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from psycopg import Connection
from psycopg.rows import tuple_row

from projections.definitions.registry import LOCK_TO_READ
from projections.sql.transparency_log import TransparencyLogSql
from projections.storage.bootstrap import LedgerStore
from projections.transparency_log.checkpoints import (
    Checkpoint,
    find_checkpoint,
    find_checkpoint_covering,
    to_document,
)
from projections.transparency_log.merkle import compute_consistency_path, compute_inclusion_path
from projections.transparency_log.reservation_map import open_map_reader, read_map_progress
from projections.transparency_log.tile_log import find_leaf_index, open_subtree_reader

FORMAT: Final = "redemption-ledger receipt 1"
COMPLETE_FORMAT: Final = "redemption-ledger receipt 2"
"""Of a receipt that proves that it has all events of its reservation."""
CONSISTENCY_FORMAT: Final = "redemption-ledger consistency 1"


class NotYetSignedError(Exception):
    """The newest events are in no checkpoint yet: one is signed each minute while Celery beat runs."""


def read_receipt(storage: LedgerStore, reservation_id: UUID) -> dict[str, Any] | None:
    """Return the receipt of a reservation, read from one snapshot; None if there is no such reservation.

    Raises:
        NotYetSignedError: An event is in no checkpoint yet.
    """
    with storage.datastore.get_connection() as conn, conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        conn.execute(LOCK_TO_READ)
        return build_receipt(conn, reservation_id)


def build_receipt(conn: Connection[Any], reservation_id: UUID) -> dict[str, Any] | None:
    """Return the receipt of a reservation; None if there is no such reservation.

    It is complete once a checkpoint that covers its events has signed the reservation map too.

    Raises:
        NotYetSignedError: An event is in no checkpoint yet.
    """
    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(TransparencyLogSql.places_of_reservation, (reservation_id,)).fetchall()
    if not rows:
        return None
    mapped = find_checkpoint(conn, read_map_progress(conn).checkpoint)
    is_complete = mapped is not None and mapped.map_root is not None and mapped.position >= rows[-1][0]
    checkpoint = mapped if is_complete else find_checkpoint_covering(conn, rows[-1][0])
    if checkpoint is None:
        raise NotYetSignedError(
            "its newest event is not in a signed checkpoint yet: wait a minute, and check that worker and beat run"
        )
    events = prove_events(conn, rows, checkpoint)
    document: dict[str, Any] = {"format": FORMAT, "reservation_id": str(reservation_id), "events": events}
    document["checkpoint"] = to_proof_document(checkpoint)
    if is_complete:
        read = open_map_reader(conn, checkpoint.number)
        path = compute_inclusion_path(read, events[0]["leaf_index"], checkpoint.size)
        document |= {"format": COMPLETE_FORMAT, "map_path": [base64.b64encode(step).decode() for step in path]}
    return document


def prove_events(
    conn: Connection[Any], rows: Sequence[tuple[int, UUID, int, str, bytes]], checkpoint: Checkpoint
) -> list[dict[str, Any]]:
    """Return events with the paths that prove them.

    Args:
        conn: For reading.
        rows: Position, stream, version, topic and state of each.
        checkpoint: A checkpoint that covers them all.
    """
    read, events = open_subtree_reader(conn), []
    for position, stream, version, topic, state in rows:
        index = find_leaf_index(conn, position)
        if index is None:
            raise AssertionError("a checkpoint holds what the Merkle log does not")
        path = compute_inclusion_path(read, index, checkpoint.size)
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
    return events


def read_consistency(storage: LedgerStore, old: int, new: int) -> dict[str, Any] | None:
    """Return the proof that one checkpoint's events are the beginning of another's; None if one does not exist.

    Args:
        storage: The ledger.
        old: Number of the earlier checkpoint.
        new: Number of the later one.
    """
    with storage.datastore.get_connection() as conn:
        first, second = find_checkpoint(conn, old), find_checkpoint(conn, new)
        if first is None or second is None or first.size > second.size:
            return None
        path = compute_consistency_path(open_subtree_reader(conn), first.size, second.size)
    return {
        "format": CONSISTENCY_FORMAT,
        "old": to_proof_document(first),
        "new": to_proof_document(second),
        "path": [base64.b64encode(step).decode() for step in path],
    }


def to_proof_document(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return a checkpoint as proofs show it: without its number, unless that is signed."""
    document = to_document(checkpoint)
    if not checkpoint.is_number_signed:
        del document["number"]
    return document
