"""Check receipts and proofs of consistency, offline.

docs/check_receipt.py does the same without this project's code, and both agree on every input. So each value has one
type and one normal form here, and an unchecked member is refused, because it would prove nothing.
"""

import base64
import json
import struct
from itertools import pairwise
from typing import Any, NamedTuple, NoReturn
from uuid import UUID

from projections.event_store.stored_state import JSON_BEGINS, RESERVATION_ID_BEGINS
from projections.transparency_log.checkpoints import format_former_text, format_signed_text, verifies
from projections.transparency_log.merkle import compute_root_from_inclusion, is_consistent
from projections.transparency_log.receipts import COMPLETE_FORMAT, CONSISTENCY_FORMAT, FORMAT
from projections.transparency_log.reservation_map import chain_hashes
from projections.transparency_log.tile_log import HASH_BYTES, hash_event

SIGNATURE_BYTES = 64
KEY_BYTES = 32
INTEGER_BITS = 63
"""Size of PostgreSQL's bigint."""


class ReceiptError(Exception):
    """The document does not prove what it claims; the message says why."""


class _Head(NamedTuple):
    """A checkpoint with a valid signature, and its name: a number only if the number is signed."""

    name: str
    size: int
    root: bytes
    map_root: bytes | None = None


class _EventPosition(NamedTuple):
    """Where an event is: its stream, its version there, its leaf, and the hash of that."""

    stream: UUID
    version: int
    leaf: int
    digest: bytes


def check_proof(text: str, public_key: bytes) -> str:
    """Check a receipt or a proof of consistency.

    Args:
        text: The document.
        public_key: Raw Ed25519 key that its checkpoints must be signed with.

    Returns:
        What it proves, in a sentence.

    Raises:
        ReceiptError: The document proves nothing.
    """
    try:
        document = _parse_object(text)
        if document["format"] == CONSISTENCY_FORMAT:
            return _check_consistency(document, public_key)
        if document["format"] not in {FORMAT, COMPLETE_FORMAT}:
            raise ReceiptError(f"it is not a {COMPLETE_FORMAT!r}")
        return _check_events(document, public_key)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise ReceiptError(f"it cannot be read: {error}") from error


def _check_events(receipt: dict[str, Any], public_key: bytes) -> str:
    is_complete = receipt["format"] == COMPLETE_FORMAT
    map_member = ("map_path",) if is_complete else ()
    _require_members(receipt, "format", "reservation_id", "events", "checkpoint", *map_member)
    head = _read_signed_head(receipt["checkpoint"], public_key)
    about, events = str(_read_uuid(receipt["reservation_id"])), receipt["events"]
    if not isinstance(events, list) or not events:
        raise ReceiptError("it has no events")
    positions = [_check_event(event, head, about) for event in events]
    if not all(_follows(position, before) for before, position in pairwise(positions)):
        raise ReceiptError("its events are repeated, out of order, or of several streams")
    if not is_complete:
        return f"at least these {len(events)} events of reservation {about} are in the ledger as of {head.name}"
    chained, path = chain_hashes(position.digest for position in positions), _read_path(receipt["map_path"])
    if (
        head.map_root is None
        or compute_root_from_inclusion(chained, positions[0].leaf, head.size, path) != head.map_root
    ):
        raise ReceiptError("these are not all events of its reservation")
    return f"these {len(events)} events are all events of reservation {about} in the ledger as of {head.name}"


def _follows(position: _EventPosition, before: _EventPosition) -> bool:
    """Return whether an event comes after another one, in the same stream and in the log."""
    return position.stream == before.stream and position.version > before.version and position.leaf > before.leaf


def _check_event(event: Any, head: _Head, about: str) -> _EventPosition:  # noqa: ANN401 - whatever JSON holds there
    _require_members(event, "stream", "version", "topic", "state", "leaf_index", "path")
    position = _EventPosition(
        stream := _read_uuid(event["stream"]),
        version := _read_integer(event["version"]),
        _read_integer(event["leaf_index"]),
        hash_event(stream, version, event["topic"], state := _read_bytes(event["state"])),
    )
    path = _read_path(event["path"])
    where = f"version {position.version} of {position.stream}"
    if compute_root_from_inclusion(position.digest, position.leaf, head.size, path) != head.root:
        raise ReceiptError(f"{where} is not in the ledger as of {head.name}")
    if _read_reservation_id(state) != about:
        raise ReceiptError(f"{where} is about another reservation")
    return position


def _check_consistency(proof: dict[str, Any], public_key: bytes) -> str:
    _require_members(proof, "format", "old", "new", "path")
    path = _read_path(proof["path"])
    old, new = (_read_signed_head(proof[name], public_key) for name in ("old", "new"))
    if not old.size or not is_consistent(old.size, new.size, old.root, new.root, path):
        raise ReceiptError(f"{new.name} does not hold what {old.name} held")
    return f"the {old.size} events of {old.name} are the first of the {new.size} of {new.name}"


def _read_signed_head(head: Any, public_key: bytes) -> _Head:  # noqa: ANN401 - whatever JSON holds there
    _require_members(head, "number", "size", "root", "at", "public_key", "signature", "map_root")
    number, size, at = head.get("number"), _read_integer(head["size"]), head["at"]
    root, signature = _read_bytes(head["root"], HASH_BYTES), _read_bytes(head["signature"], SIGNATURE_BYTES)
    if not isinstance(at, str):
        raise ReceiptError("the time of its checkpoint is not text")
    if _read_bytes(head["public_key"], KEY_BYTES) != public_key:
        raise ReceiptError("its checkpoint is signed with another key")
    # Over the time as it is written: another way to write the same time is not what was signed.
    if "map_root" in head:
        map_root = _read_bytes(head["map_root"], HASH_BYTES)
        if not verifies(public_key, signature, format_signed_text(_read_integer(number), size, root, at, map_root)):
            raise ReceiptError("the signature of its checkpoint is wrong")
        return _Head(f"checkpoint {number}", size, root, map_root)
    if number is not None and verifies(
        public_key, signature, format_signed_text(_read_integer(number), size, root, at)
    ):
        return _Head(f"checkpoint {number}", size, root)
    if not verifies(public_key, signature, format_former_text(size, root, at)):
        raise ReceiptError("the signature of its checkpoint is wrong")
    return _Head(f"the checkpoint of {at} over {size} events", size, root)


def _parse_object(text: str | bytes) -> dict[str, Any]:
    document = json.loads(text, object_pairs_hook=_read_members, parse_constant=_reject_constant)
    if not isinstance(document, dict):
        raise ReceiptError("it is not an object")
    return document


def _read_reservation_id(state: bytes) -> str | None:
    """Return the reservation of an event, read as docs/check_receipt.py does."""
    if state[:1] == JSON_BEGINS:
        reservation_id: str | None = _parse_object(state).get("reservation_id")
        return reservation_id
    return str(UUID(bytes=state.partition(RESERVATION_ID_BEGINS)[2][:16]))


def _read_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ReceiptError("a member appears twice")
    return members


def _reject_constant(name: str) -> NoReturn:
    raise ReceiptError(f"{name} is not JSON")


def _require_members(document: object, *names: str) -> None:
    if not isinstance(document, dict) or not document.keys() <= set(names):
        raise ReceiptError("it has unknown members")


def _read_integer(value: object) -> int:
    # A boolean is an int to Python.
    if type(value) is not int or not 0 <= value < 1 << INTEGER_BITS:
        raise ReceiptError("a number is not a 63-bit integer")
    return value


def _read_bytes(value: object, count: int | None = None) -> bytes:
    """Return bytes from base64 in its one normal form."""
    if not isinstance(value, str):
        raise ReceiptError("base64 is not text")
    decoded = base64.b64decode(value, validate=True)
    if base64.b64encode(decoded).decode() != value or count not in {None, len(decoded)}:
        raise ReceiptError("base64 is not in its normal form, or of another length")
    return decoded


def _read_path(value: object) -> list[bytes]:
    if not isinstance(value, list):
        raise ReceiptError("a path is not a list")
    return [_read_bytes(step, HASH_BYTES) for step in value]


def _read_uuid(value: object) -> UUID:
    """Return an id in its one normal form."""
    if not isinstance(value, str) or str(parsed := UUID(value)) != value:
        raise ReceiptError("an id is not in its normal form")
    return parsed
