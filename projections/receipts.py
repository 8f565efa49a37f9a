"""Receipts: a reservation's events with the proof that they are in the Merkle log as of a signed checkpoint."""

import base64
import json
import struct
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import tuple_row

from projections.bootstrap import Storage
from projections.checkpoints import Checkpoint, checkpoint_document, checkpoint_of, first_checkpoint_from
from projections.merkle import consistency_path, inclusion_path, is_consistent, root_from_inclusion
from projections.sql import QUERIES
from projections.tree_log import event_leaf, leaf_index, reader_of

FORMAT = "redemption-ledger receipt 1"
CONSISTENCY_FORMAT = "redemption-ledger consistency 1"


class NotYetSignedError(Exception):
    """The newest events are in no checkpoint yet: one is signed each minute while Celery beat runs."""


class ReceiptError(Exception):
    """The receipt does not prove what it says; the message says why."""


def read_receipt(storage: Storage, reservation_id: UUID) -> dict[str, Any] | None:
    """The receipt of a reservation, all from one snapshot; None if there is none.

    Raises:
        NotYetSignedError: An event is in no checkpoint yet.
    """
    with storage.datastore.get_connection() as conn, conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        conn.execute(QUERIES["lock_read_models_to_read"])
        return receipt_of(conn, reservation_id)


def receipt_of(conn: Connection[Any], reservation_id: UUID) -> dict[str, Any] | None:
    """The receipt of a reservation; None if there is none.

    Raises:
        NotYetSignedError: An event is in no checkpoint yet.
    """
    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(QUERIES["places_of_reservation"], (reservation_id,)).fetchall()
    if not rows:
        return None
    checkpoint = first_checkpoint_from(conn, rows[-1][0])
    if checkpoint is None:
        raise NotYetSignedError(
            "its newest event is in no signed checkpoint yet: one is signed each minute while the worker and beat run"
        )
    read, events = reader_of(conn), []
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
    return {**document, "checkpoint": checkpoint_document(checkpoint)}


def read_consistency(storage: Storage, old: int, new: int) -> dict[str, Any] | None:
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
        path = consistency_path(reader_of(conn), first.size, second.size)
    return {
        "format": CONSISTENCY_FORMAT,
        "old": checkpoint_document(first),
        "new": checkpoint_document(second),
        "path": [base64.b64encode(step).decode() for step in path],
    }


def check_proof(text: str, public_key: bytes) -> str:
    """Check a receipt or a proof of consistency, offline.

    Args:
        text: The document.
        public_key: Raw Ed25519 key that its checkpoints must be signed with.

    Returns:
        What it proves, in a sentence.

    Raises:
        ReceiptError: It proves nothing.
    """
    try:
        document: dict[str, Any] = json.loads(text)
        if document["format"] == CONSISTENCY_FORMAT:
            return _check_consistency(document, public_key)
        if document["format"] != FORMAT or not document["events"]:
            raise ReceiptError(f"it is no {FORMAT!r}, or it holds no events")
        checkpoint = _signed_checkpoint(document["checkpoint"], public_key)
        for event in document["events"]:
            _check_event(event, checkpoint, document["reservation_id"])
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, struct.error) as bad:
        raise ReceiptError(f"it can't be read: {bad}") from bad
    about = f"{len(document['events'])} events of reservation {document['reservation_id']}"
    return f"{about} are in the ledger as of checkpoint {checkpoint.number}"


def _check_consistency(document: dict[str, Any], public_key: bytes) -> str:
    old, new = (_signed_checkpoint(document[name], public_key) for name in ("old", "new"))
    path = [base64.b64decode(step, validate=True) for step in document["path"]]
    if not is_consistent(old.size, new.size, old.root, new.root, path):
        raise ReceiptError(f"checkpoint {new.number} does not hold what checkpoint {old.number} held")
    return (
        f"the {old.size} events of checkpoint {old.number} are the first of the {new.size} of checkpoint {new.number}"
    )


def _signed_checkpoint(document: dict[str, Any], public_key: bytes) -> Checkpoint:
    checkpoint = _checkpoint_of(document)
    if checkpoint.public_key != public_key:
        raise ReceiptError("its checkpoint is signed with another key")
    if not checkpoint.is_signed:
        raise ReceiptError("the signature of its checkpoint is wrong")
    return checkpoint


def _check_event(event: dict[str, Any], checkpoint: Checkpoint, reservation_id: str) -> None:
    state = base64.b64decode(event["state"], validate=True)
    place = f"version {event['version']} of {event['stream']} ({event['topic']})"
    leaf = event_leaf(UUID(event["stream"]), event["version"], event["topic"], state)
    path = [base64.b64decode(step, validate=True) for step in event["path"]]
    if root_from_inclusion(leaf, event["leaf_index"], checkpoint.size, path) != checkpoint.root:
        raise ReceiptError(f"{place} is not in the ledger as of checkpoint {checkpoint.number}")
    if json.loads(state).get("reservation_id") != reservation_id:
        raise ReceiptError(f"{place} is about another reservation")


def _checkpoint_of(document: dict[str, Any]) -> Checkpoint:
    root, public, signature = (
        base64.b64decode(document[name], validate=True) for name in ("root", "public_key", "signature")
    )
    at = datetime.fromisoformat(document["at"])
    return Checkpoint(document["number"], document["size"], 0, root, at, public, signature)
