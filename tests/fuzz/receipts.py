"""`python -m tests.fuzz.receipts --inputs N --seed S`: altered receipts to both checkers, which must say the same.

One is the ledger's own (`proof_check`), the other docs/check_receipt.py, which shares no code with it.
"""

import argparse
import importlib.util
import json
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.events.reservation import InviteSent
from projections.event_store.stored_state import pack
from projections.transparency_log.checkpoints import format_former_text, format_signed_text
from projections.transparency_log.merkle import (
    compute_consistency_path,
    compute_inclusion_path,
    compute_root,
    hash_node,
)
from projections.transparency_log.proof_check import ReceiptError, check_proof
from projections.transparency_log.receipts import COMPLETE_FORMAT, CONSISTENCY_FORMAT, FORMAT
from projections.transparency_log.reservation_map import chain_hashes
from projections.transparency_log.tile_log import hash_event
from tests.fuzz.mutator import Mutator

SCRIPT: Final = Path(__file__).parents[2] / "docs" / "check_receipt.py"
INPUTS: Final = 100_000
INPUTS_PER_SEED: Final = 500
AT: Final = datetime(2026, 11, 25, 12, tzinfo=UTC).isoformat()
RESERVATION: Final = UUID("6f1d2c3b-4a59-4877-9a0b-c1d2e3f40516")
STREAM: Final = UUID("0b0d8f4e-6a51-4d3c-8f1e-2d6c5b4a3f20")
KEY: Final = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC: Final = KEY.public_key().public_bytes_raw()
LEAVES: Final = 11


class DisagreementError(Exception):
    """The two checkers differ over an input, which the message holds."""


def _text(octets: bytes) -> str:
    return b64encode(octets).decode()


def _state(index: int) -> bytes:
    reservation_id = RESERVATION if index % 3 else STREAM
    if index % 2:
        return json.dumps({"reservation_id": str(reservation_id), "n": index}).encode()
    return pack(
        InviteSent(
            at=datetime(2026, 11, 25, 12, microsecond=index % 4 // 2, tzinfo=UTC),
            actor="worker",
            caused_by=1 << 6 * index,
            reservation_id=reservation_id,
            attempt=1,
            server="mx.example.com:25" * (index + 1),
        )
    )


LEAF_HASHES: Final = [hash_event(STREAM, index + 1, f"UseReserved:{index}", _state(index)) for index in range(LEAVES)]


def _read(level: int, index: int) -> bytes:
    if level == 0:
        return LEAF_HASHES[index]
    return hash_node(_read(level - 1, 2 * index), _read(level - 1, 2 * index + 1))


def _root(size: int) -> bytes:
    def over(start: int, end: int) -> bytes:
        if end - start == 1:
            return LEAF_HASHES[start]
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        return hash_node(over(start, middle), over(middle, end))

    return over(0, size)


MAP_HASHES: Final = [
    chain_hashes(leaf for index, leaf in enumerate(LEAF_HASHES) if index % 3) if place == 1 else bytes(32)
    for place in range(LEAVES)
]


def _read_map(level: int, index: int) -> bytes:
    if level == 0:
        return MAP_HASHES[index]
    return hash_node(_read_map(level - 1, 2 * index), _read_map(level - 1, 2 * index + 1))


def _head(number: int, size: int, *, is_former: bool = False, is_mapped: bool = False) -> dict[str, Any]:
    root, map_root = _root(size), compute_root(_read_map, size) if is_mapped else None
    text = format_former_text(size, root, AT) if is_former else format_signed_text(number, size, root, AT, map_root)
    numbered: dict[str, Any] = {"number": number} if number else {}
    numbered |= {"map_root": _text(map_root)} if map_root else {}
    keys = {"public_key": _text(PUBLIC), "signature": _text(KEY.sign(text))}
    return {**numbered, "size": size, "root": _text(root), "at": AT, **keys}


def _receipt(head: dict[str, Any]) -> dict[str, Any]:
    events = [
        {
            "stream": str(STREAM),
            "version": index + 1,
            "topic": f"UseReserved:{index}",
            "state": _text(_state(index)),
            "leaf_index": index,
            "path": [_text(step) for step in compute_inclusion_path(_read, index, head["size"])],
        }
        for index in range(head["size"])
        if index % 3
    ]
    receipt = {"format": FORMAT, "reservation_id": str(RESERVATION), "events": events, "checkpoint": head}
    if "map_root" not in head:
        return receipt
    path = [_text(step) for step in compute_inclusion_path(_read_map, 1, head["size"])]
    return {**receipt, "format": COMPLETE_FORMAT, "map_path": path}


def _consistency(old: int, new: int, *, is_former: bool = False) -> dict[str, Any]:
    heads = (_head(number, size, is_former=is_former) for number, size in ((1, old), (2, new)))
    path = [_text(step) for step in compute_consistency_path(_read, old, new)]
    return {"format": CONSISTENCY_FORMAT, **dict(zip(("old", "new"), heads, strict=True)), "path": path}


COMPLETE: Final = _receipt(_head(4, LEAVES, is_mapped=True))
LEFT_OUT: Final = [
    {**COMPLETE, "events": COMPLETE["events"][:at] + COMPLETE["events"][at + 1 :]}
    for at in range(len(COMPLETE["events"]))
]
"""The same without one of its events each, which both must refuse."""
VALID: Final = (
    COMPLETE,
    {**{name: value for name, value in COMPLETE.items() if name != "map_path"}, "format": FORMAT},
    _receipt(_head(3, LEAVES, is_former=False)),
    _receipt(_head(3, LEAVES, is_former=True)),
    _receipt(_head(0, 6, is_former=True)),
    _receipt(_head(1, 2, is_former=False)),
    _consistency(4, LEAVES),
    _consistency(7, LEAVES),
    _consistency(5, 5, is_former=True),
)
ODD_NAMES: Final = ("note", "path", "number", "size", "Number", "map_root", "map_path")
ODD_VALUES: Final[Sequence[Any]] = (
    *(None, True, False, 0, 1, -1, 3, 3.0, 1.5, 1e400, float("nan"), 2**63 - 1, 2**63, 2**70, 10**400),
    *("", "3", "é", "\ud800", "A", "AA==", "AB==", "AAAA\n", "2026-11-25T12:00:00Z", AT, str(STREAM).upper()),
    *([], {}, [[]], [None], {"number": 1}, str(RESERVATION), FORMAT, COMPLETE_FORMAT, CONSISTENCY_FORMAT),
)


def _places(value: Any, parent: Any = None, name: Any = None) -> list[tuple[Any, Any]]:  # noqa: ANN401 - any JSON
    """Each value of a document by what holds it and under which name or number."""
    places = [] if parent is None else [(parent, name)]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, key_or_index in list(inner):
        places += _places(key_or_index, value, key)
    return places


def _alter(mutator: Mutator, document: dict[str, Any]) -> None:
    choice = mutator.choice
    parent, name = choice.choice(_places(document))
    value = parent[name]
    match choice.randrange(9):
        case 0:
            del parent[name]
        case 1:
            parent[name] = choice.choice(ODD_VALUES)
        case 2 if isinstance(value, list) and value:
            value.insert(choice.randrange(len(value) + 1), choice.choice(value))
        case 3 if isinstance(value, list):
            choice.shuffle(value)
        case 4 if isinstance(value, int) and abs(value) < 1 << 70:
            parent[name] = choice.choice((value + 1, value - 1, float(value), str(value), bool(value), -value))
        case 5 if isinstance(value, str):
            parent[name] = mutator.text((value,))
        case 6 if isinstance(value, dict):
            value[choice.choice(ODD_NAMES)] = choice.choice(ODD_VALUES)
        case 7:
            other, there = choice.choice(_places(document))
            parent[name] = json.loads(json.dumps(other[there]))
        case _ if isinstance(parent, dict):
            items = list(parent.items())
            choice.shuffle(items)
            parent.clear()
            parent.update(items)
        case _:
            pass


def _twice(text: str) -> str:
    return text.replace('"version": 2', '"version": 9, "version": 2', 1).replace('"size"', '"size": 1, "size"', 1)


def _nested(mutator: Mutator, text: str) -> str:
    depth = mutator.choice.choice((50, 900, 960, 990, 1_000, 50_000))
    return text.replace("[", "[" * depth, 1).replace("]", "]" * depth, 1)


def _misspelled(mutator: Mutator, text: str) -> str:
    start = mutator.choice.randrange(len(text) + 1)
    end = start + mutator.choice.choice((3, 30, 300))
    return text[:start] + mutator.text((text[start:end],)) + text[end:]


def altered(mutator: Mutator) -> str:
    """One input: a valid document, altered a few times as a document, as a text, or both."""
    choice = mutator.choice
    document = json.loads(json.dumps(choice.choice(VALID)))
    for _ in range(choice.choice((0, 1, 1, 1, 2, 3))):
        if _places(document):
            document = json.loads(json.dumps(document))
            _alter(mutator, document)
    text = json.dumps(document, ensure_ascii=choice.random() < 0.5, indent=choice.choice((None, None, 2)))
    how = choice.random()
    ways: Sequence[tuple[float, Callable[[], str]]] = (
        (0.70, lambda: text),
        (0.75, lambda: _twice(text)),
        (0.77, lambda: _nested(mutator, text)),
        (0.80, lambda: choice.choice(("\ufeff", " \n", "\u00a0", "[", "\x00")) + text),
        (0.83, lambda: text.replace("+", "\\u002b").replace("/", "\\/")),
        (1.00, lambda: _misspelled(mutator, text)),
    )
    return next(make() for until, make in ways if how < until)


def script() -> Any:  # noqa: ANN401 - a module that is loaded by its path
    spec = importlib.util.spec_from_file_location("check_receipt", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def both_say(text: str, standalone: Any) -> str | None:  # noqa: ANN401 - as `script` gives it
    """What both checkers say that a document proves; None: nothing.

    Raises:
        DisagreementError: They differ, or one of them fails in another way than by refusing.
    """
    ours = _said(lambda: check_proof(text, PUBLIC), ReceiptError)
    theirs = _said(lambda: standalone.check(text, _text(PUBLIC)), ValueError)
    if ours != theirs:
        raise DisagreementError(f"the ledger says {ours!r} and the script {theirs!r} of {text[:5_000]!r}")
    return ours


def _said(check: Callable[[], str], refusal: type[Exception]) -> str | None:
    try:
        return check()
    except refusal:
        return None
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no refusal
        return f"crash: {error!r}"


def compare(inputs: int, seed: int) -> Counter[str]:
    """Give both checkers so many inputs; how many were proofs, and how many were refused.

    Raises:
        DisagreementError: They differ.
    """
    counts: Counter[str] = Counter()
    standalone = script()
    for start in range(0, inputs, INPUTS_PER_SEED):
        mutator = Mutator(seed * 1_000_003 + start)
        for _ in range(min(INPUTS_PER_SEED, inputs - start)):
            said = both_say(altered(mutator), standalone)
            counts["refused" if said is None else "accepted"] += 1
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.receipts", description="Compare the receipt checkers.")
    parser.add_argument("--inputs", type=int, default=INPUTS, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs: the same seed gives the same inputs")
    asked, started = parser.parse_args(), time.monotonic()
    try:
        counts = compare(asked.inputs, asked.seed)
    except DisagreementError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    summary = f"{counts['accepted']} accepted, {counts['refused']} refused, {time.monotonic() - started:.0f} s"
    sys.stdout.write(f"{counts.total()} receipts from seed {asked.seed}, both checkers agree: {summary}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
