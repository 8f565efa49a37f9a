"""Checking receipts and proofs of consistency, offline.

docs/check_receipt.py does the same without this project's code, and both agree on every input. So each value has one
type and one normal form here, and a member that is not checked is refused: it would prove nothing.
"""

import base64
import json
import struct
from typing import Any, NamedTuple, NoReturn
from uuid import UUID

from projections.transparency_log.checkpoints import former_text, is_signature, signed_text
from projections.transparency_log.merkle import is_consistent, root_from_inclusion
from projections.transparency_log.receipts import CONSISTENCY_FORMAT, FORMAT
from projections.transparency_log.tile_log import HASH_BYTES, event_leaf

SIGNATURE_BYTES = 64
KEY_BYTES = 32
INTEGER_BITS = 63
"""What PostgreSQL's bigint holds."""


class ReceiptError(Exception):
    """The document does not prove what it says; the message says why."""


class _Head(NamedTuple):
    """A checkpoint whose signature holds, and how it is named: by its number only where that is signed."""

    name: str
    size: int
    root: bytes


class _Place(NamedTuple):
    """Where an event is: its stream, its version there, and its leaf."""

    stream: UUID
    version: int
    leaf: int


def check_proof(text: str, public_key: bytes) -> str:
    """Check a receipt or a proof of consistency.

    Args:
        text: The document.
        public_key: Raw Ed25519 key that its checkpoints must be signed with.

    Returns:
        What it proves, in a sentence. A receipt can't prove that it holds all events.

    Raises:
        ReceiptError: It proves nothing.
    """
    try:
        document = _parsed(text)
        if document["format"] == CONSISTENCY_FORMAT:
            return _check_consistency(document, public_key)
        if document["format"] != FORMAT:
            raise ReceiptError(f"it is not a {FORMAT!r}")
        return _check_events(document, public_key)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error) as bad:
        raise ReceiptError(f"it can't be read: {bad}") from bad


def _check_events(receipt: dict[str, Any], public_key: bytes) -> str:
    _of_members(receipt, "format", "reservation_id", "events", "checkpoint")
    head = _signed_head(receipt["checkpoint"], public_key)
    about, events = str(_identity(receipt["reservation_id"])), receipt["events"]
    if not isinstance(events, list) or not events:
        raise ReceiptError("it holds no events")
    before: _Place | None = None
    for event in events:
        place = _check_event(event, head, about)
        if before is not None and not _follows(place, before):
            raise ReceiptError("its events are repeated, out of order, or of several streams")
        before = place
    return f"at least these {len(events)} events of reservation {about} are in the ledger as of {head.name}"


def _follows(place: _Place, before: _Place) -> bool:
    """Whether an event stands behind another one, in the same stream and in the log."""
    return place.stream == before.stream and place.version > before.version and place.leaf > before.leaf


def _check_event(event: Any, head: _Head, about: str) -> _Place:  # noqa: ANN401 - whatever JSON holds there
    _of_members(event, "stream", "version", "topic", "state", "leaf_index", "path")
    place = _Place(_identity(event["stream"]), _integer(event["version"]), _integer(event["leaf_index"]))
    state, path = _octets(event["state"]), _path(event["path"])
    leaf = event_leaf(place.stream, place.version, event["topic"], state)
    where = f"version {place.version} of {place.stream}"
    if root_from_inclusion(leaf, place.leaf, head.size, path) != head.root:
        raise ReceiptError(f"{where} is not in the ledger as of {head.name}")
    if _parsed(state).get("reservation_id") != about:
        raise ReceiptError(f"{where} is about another reservation")
    return place


def _check_consistency(proof: dict[str, Any], public_key: bytes) -> str:
    _of_members(proof, "format", "old", "new", "path")
    path = _path(proof["path"])
    old, new = (_signed_head(proof[name], public_key) for name in ("old", "new"))
    if not old.size or not is_consistent(old.size, new.size, old.root, new.root, path):
        raise ReceiptError(f"{new.name} does not hold what {old.name} held")
    return f"the {old.size} events of {old.name} are the first of the {new.size} of {new.name}"


def _signed_head(head: Any, public_key: bytes) -> _Head:  # noqa: ANN401 - whatever JSON holds there
    _of_members(head, "number", "size", "root", "at", "public_key", "signature")
    number, size, at = head.get("number"), _integer(head["size"]), head["at"]
    root, signature = _octets(head["root"], HASH_BYTES), _octets(head["signature"], SIGNATURE_BYTES)
    if not isinstance(at, str):
        raise ReceiptError("the time of its checkpoint is not a text")
    if _octets(head["public_key"], KEY_BYTES) != public_key:
        raise ReceiptError("its checkpoint is signed with another key")
    # Over the time as it is written: another way to write the same time is not what was signed.
    if number is not None and is_signature(public_key, signature, signed_text(_integer(number), size, root, at)):
        return _Head(f"checkpoint {number}", size, root)
    if not is_signature(public_key, signature, former_text(size, root, at)):
        raise ReceiptError("the signature of its checkpoint is wrong")
    return _Head(f"the checkpoint of {at} over {size} events", size, root)


def _parsed(text: str | bytes) -> dict[str, Any]:
    found = json.loads(text, object_pairs_hook=_members, parse_constant=_refuse_constant)
    if not isinstance(found, dict):
        raise ReceiptError("it is not an object")
    return found


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ReceiptError("a member is there twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ReceiptError(f"{name} is not JSON")


def _of_members(document: object, *names: str) -> None:
    if not isinstance(document, dict) or not document.keys() <= set(names):
        raise ReceiptError("it has members that prove nothing")


def _integer(value: object) -> int:
    # A boolean is an int to Python.
    if type(value) is not int or not 0 <= value < 1 << INTEGER_BITS:
        raise ReceiptError("a number is not a whole one of 63 bits")
    return value


def _octets(value: object, count: int | None = None) -> bytes:
    """Bytes from base64 in its one normal form."""
    if not isinstance(value, str):
        raise ReceiptError("base64 is not a text")
    found = base64.b64decode(value, validate=True)
    if base64.b64encode(found).decode() != value or count not in {None, len(found)}:
        raise ReceiptError("base64 is not in its normal form, or of another length")
    return found


def _path(value: object) -> list[bytes]:
    if not isinstance(value, list):
        raise ReceiptError("a path is not a list")
    return [_octets(step, HASH_BYTES) for step in value]


def _identity(value: object) -> UUID:
    """An id in its one normal form."""
    if not isinstance(value, str) or str(found := UUID(value)) != value:
        raise ReceiptError("an id is not in its normal form")
    return found
