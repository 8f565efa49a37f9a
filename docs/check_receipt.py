"""Check a receipt of a Redemption Ledger without any of its code: python check_receipt.py RECEIPT.json PUBLIC_KEY.

PUBLIC_KEY is the ledger's Ed25519 key in base64, learned from a source that you trust. Needs only `cryptography`. Says
whether its events are in the ledger as of a signed checkpoint, and whether they are all events of the reservation; or
whether the events of one checkpoint are the first of another's (RFC 6962, 9162).
"""

import base64
import contextlib
import hashlib
import itertools
import json
import pathlib
import struct
import sys
import uuid

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def refuse(why: str, *, unless: object = False) -> None:
    """End the check, unless a condition holds."""
    if not unless:
        raise ValueError(why)


def parsed(text: str | bytes) -> dict:
    """A JSON object of which each member is named once."""

    def members(pairs: list) -> dict:
        refuse("a member is there twice", unless=len({name for name, _ in pairs}) == len(pairs))
        return dict(pairs)

    document = json.loads(text, object_pairs_hook=members, parse_constant=refuse)
    refuse("it is not an object", unless=type(document) is dict)
    return document


def reservation_of(state: bytes) -> str | None:
    """The reservation of an event: in JSON, or in a MessagePack map, where only names of ids look like that."""
    id_bytes = state.partition(b"\xaereservation_id\xc4\x10")[2][:16]
    return parsed(state).get("reservation_id") if state[:1] == b"{" else str(uuid.UUID(bytes=id_bytes))


def of_members(document: dict, names: str) -> None:
    """Refuse members that are not checked: what a receipt says is proved, or refused."""
    refuse("it has unknown members", unless=type(document) is dict and document.keys() <= set(names.split()))


def integer(value: object) -> int:
    """A whole number of 63 bits, not a boolean."""
    refuse("a number is not a whole one of 63 bits", unless=type(value) is int and 0 <= value < 1 << 63)
    return value


def octets(value: object, count: int | None = None) -> bytes:
    """Bytes from base64 in its one normal form."""
    octets = base64.b64decode(value, validate=True)
    is_normal = base64.b64encode(octets).decode() == value and count in {None, len(octets)}
    refuse("base64 is not in its normal form, or of another length", unless=is_normal)
    return octets


def identity(value: object) -> uuid.UUID:
    """An id in its one normal form."""
    refuse("an id is not in its normal form", unless=type(value) is str and str(uuid.UUID(value)) == value)
    return uuid.UUID(value)


def hashes(path: object) -> list:
    """The hashes of a proof."""
    refuse("a path is not a list", unless=type(path) is list)
    return [octets(step, 32) for step in path]


def climb(number: int, last: int, seconds: list, first: bytes, second: bytes) -> tuple:
    """Roots of the older and the newer tree to which a path leads; None for a path of the wrong length."""
    for step in seconds:
        if last == 0:
            return None, None
        if number & 1 or number == last:
            first, second = (hashlib.sha256(b"\1" + step + right).digest() for right in (first, second))
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            second = hashlib.sha256(b"\1" + second + step).digest()
        number, last = number >> 1, last >> 1
    return (first, second) if last == 0 else (None, None)


def signed_head(head: dict, public_key: str) -> str:
    """The name of a checkpoint with a valid signature; its number is given only where it is signed too."""
    of_members(head, "number size root at public_key signature map_root")
    octets(head["root"], 32)
    refuse("it is signed with another key", unless=type(head["at"]) is str and head["public_key"] == public_key)
    end, number = f"{integer(head['size'])}\n{head['root']}\n{head['at']}\n", head.get("number")
    verify, signature = Ed25519PublicKey.from_public_bytes(octets(public_key, 32)).verify, octets(head["signature"], 64)
    texts = {} if number is None else {f"checkpoint {integer(number)}": f"2\n{number}\n{end}"}
    if "map_root" in head:
        octets(head["map_root"], 32)
        texts = {f"checkpoint {integer(number)}": f"3\n{number}\n{head['map_root']}\n{end}"}
    else:
        texts[f"the checkpoint of {head['at']} over {head['size']} events"] = f"1\n{end}"
    for name, text in texts.items():
        with contextlib.suppress(InvalidSignature):
            verify(signature, f"redemption-ledger checkpoint {text}".encode())
            return name
    raise InvalidSignature


def check_event(event: dict, head: dict, about: str) -> tuple:
    """Stream, version, leaf and its hash of an event whose path leads to the checkpoint's root."""
    of_members(event, "stream version topic state leaf_index path")
    stream, version, number = identity(event["stream"]), integer(event["version"]), integer(event["leaf_index"])
    topic, state = event["topic"].encode(), octets(event["state"])
    leaf = hashlib.sha256(b"\0" + stream.bytes + struct.pack(">qH", version, len(topic)) + topic + state).digest()
    root = climb(number, head["size"] - 1, hashes(event["path"]), b"", leaf)[1]
    refuse("an event is not in the ledger", unless=number < head["size"] and root == octets(head["root"]))
    refuse("an event is about another reservation", unless=reservation_of(state) == about)
    return stream, version, number, leaf


def check_events(receipt: dict, public_key: str) -> str:
    """What a receipt proves."""
    is_complete = receipt["format"] == "redemption-ledger receipt 2"
    of_members(receipt, "format reservation_id events checkpoint" + " map_path" * is_complete)
    head, about, events = receipt["checkpoint"], str(identity(receipt["reservation_id"])), receipt["events"]
    name = signed_head(head, public_key)
    refuse("it holds no events", unless=type(events) is list and events)
    places = [check_event(event, head, about) for event in events]
    is_ordered = all(a[0] == b[0] and a[1] < b[1] and a[2] < b[2] for a, b in itertools.pairwise(places))
    refuse("its events are repeated, out of order, or of several streams", unless=is_ordered)
    if not is_complete:
        return f"at least these {len(events)} events of reservation {about} are in the ledger as of {name}"
    chained = bytes(32)
    for *_, leaf in places:
        chained = hashlib.sha256(b"\2" + chained + leaf).digest()
    root = climb(places[0][2], head["size"] - 1, hashes(receipt["map_path"]), b"", chained)[1]
    refuse("these are not all events of its reservation", unless=root == octets(head["map_root"], 32))
    return f"these {len(events)} events are all events of reservation {about} in the ledger as of {name}"


def check_consistency(proof: dict, public_key: str) -> str:
    """What a proof of consistency proves."""
    of_members(proof, "format old new path")
    (old, new), path = (proof["old"], proof["new"]), hashes(proof["path"])
    names = [signed_head(head, public_key) for head in (old, new)]
    count, roots = old["size"], (octets(old["root"]), octets(new["root"]))
    if 0 < count < new["size"]:
        steps = path if count & (count - 1) else [roots[0], *path]
        shift = (count ^ (count - 1)).bit_length() - 1
        ends = [count - 1 >> shift, new["size"] - 1 >> shift]
        is_first = path and climb(*ends, steps[1:], steps[0], steps[0]) == roots
    else:
        is_first = 0 < count == new["size"] and not path and roots[0] == roots[1]
    refuse(f"{names[1]} does not hold what {names[0]} held", unless=is_first)
    return f"the {count} events of {names[0]} are the first of the {new['size']} of {names[1]}"


def check(text: str, public_key: str) -> str:
    """What a document proves; a ValueError says why it proves nothing."""
    try:
        return KINDS[(document := parsed(text))["format"]](document, public_key)
    except (LookupError, TypeError, AttributeError, struct.error, RecursionError, InvalidSignature) as error:
        raise ValueError(f"it can't be read, or is not signed with this key: {error!r}") from error


KINDS = {f"redemption-ledger receipt {version}": check_events for version in (1, 2)}
KINDS["redemption-ledger consistency 1"] = check_consistency
if __name__ == "__main__":
    try:
        sys.stdout.write(check(pathlib.Path(sys.argv[1]).read_text("utf-8"), sys.argv[2]) + "\n")
    except ValueError as error:
        sys.exit(f"it proves nothing: {error}")
