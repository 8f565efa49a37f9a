"""Check a receipt of a Redemption Ledger without any of its code: python check_receipt.py RECEIPT.json PUBLIC_KEY.

PUBLIC_KEY is the ledger's Ed25519 key in base64, learned from a source that you trust. Needs only `cryptography`. Says
whether the events in the receipt are in the ledger as of the checkpoint that the ledger has signed, or whether the
events of one checkpoint are the first of another's (RFC 6962, 9162). Events that a receipt leaves out do not show.
"""

import base64
import hashlib
import json
import pathlib
import struct
import sys
import uuid
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def refuse(why: str) -> NoReturn:
    """End the check."""
    raise ValueError(why)


def members(pairs: list) -> dict:
    """An object of which each member is named once."""
    return dict(pairs) if len({name for name, _ in pairs}) == len(pairs) else refuse("a member is there twice")


def parsed(text: str | bytes) -> dict:
    """A JSON object."""
    document = json.loads(text, object_pairs_hook=members, parse_constant=refuse)
    return document if type(document) is dict else refuse("it is not an object")


def reservation_of(state: bytes) -> str | None:
    """The reservation of an event: in JSON, or in a MessagePack map, where only names of ids look like that."""
    id_bytes = state.partition(b"\xaereservation_id\xc4\x10")[2][:16]
    return parsed(state).get("reservation_id") if state[:1] == b"{" else str(uuid.UUID(bytes=id_bytes))


def of_members(document: dict, names: str) -> dict:
    """An object without members that are not checked: what a receipt says is proved, or refused."""
    if type(document) is not dict or not document.keys() <= set(names.split()):
        refuse("it has members that prove nothing")
    return document


def integer(value: object) -> int:
    """A whole number of 63 bits, not a boolean."""
    return value if type(value) is int and 0 <= value < 1 << 63 else refuse("a number is not a whole one of 63 bits")


def octets(value: object, count: int | None = None) -> bytes:
    """Bytes from base64 in its one normal form."""
    octets = base64.b64decode(value, validate=True) if type(value) is str else refuse("base64 is not a text")
    is_normal = base64.b64encode(octets).decode() == value and count in {None, len(octets)}
    return octets if is_normal else refuse("base64 is not in its normal form, or of another length")


def identity(value: object) -> uuid.UUID:
    """An id in its one normal form."""
    identifier = uuid.UUID(value) if type(value) is str else refuse("an id is not a text")
    return identifier if str(identifier) == value else refuse("an id is not in its normal form")


def path_of(document: dict) -> list:
    """The hashes of a proof."""
    return [octets(step, 32) for step in document["path"]] if type(document["path"]) is list else refuse("no path")


def node(left: bytes, right: bytes) -> bytes:
    """Hash of two neighbors."""
    return hashlib.sha256(b"\1" + left + right).digest()


def climb(number: int, last: int, seconds: list, first: bytes, second: bytes) -> tuple:
    """Roots of the older and the newer tree to which a path leads; None for a path of the wrong length."""
    for step in seconds:
        if last == 0:
            return None, None
        if number & 1 or number == last:
            first, second = node(step, first), node(step, second)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            second = node(second, step)
        number, last = number >> 1, last >> 1
    return (first, second) if last == 0 else (None, None)


def signed_head(head: dict, public_key: str) -> str:
    """The name of a checkpoint with a valid signature; its number is given only where it is signed too."""
    octets(of_members(head, "number size root at public_key signature")["root"], 32)
    if type(head["at"]) is not str or head["public_key"] != public_key:
        refuse("the checkpoint is not signed with this key")
    end = f"{integer(head['size'])}\n{head['root']}\n{head['at']}\n"
    number, key = head.get("number"), Ed25519PublicKey.from_public_bytes(octets(public_key, 32))
    if number is not None:
        try:
            numbered = f"redemption-ledger checkpoint 2\n{integer(number)}\n{end}"
            key.verify(octets(head["signature"], 64), numbered.encode())
        except InvalidSignature:
            pass
        else:
            return f"checkpoint {number}"
    key.verify(octets(head["signature"], 64), f"redemption-ledger checkpoint 1\n{end}".encode())
    return f"the checkpoint of {head['at']} over {head['size']} events"


def check_event(event: dict, head: dict, name: str) -> tuple:
    """Stream, version and leaf of an event whose path leads to the checkpoint's root."""
    of_members(event, "stream version topic state leaf_index path")
    stream, version, number = identity(event["stream"]), integer(event["version"]), integer(event["leaf_index"])
    topic, state = event["topic"].encode(), octets(event["state"])
    digest = hashlib.sha256(b"\0" + stream.bytes + struct.pack(">qH", version, len(topic)) + topic + state).digest()
    reached = climb(number, head["size"] - 1, path_of(event), b"", digest)[1] if number < head["size"] else None
    if reached != octets(head["root"]):
        refuse(f"version {version} of {stream} is not in the ledger as of {name}")
    return stream, version, number, reservation_of(state)


def check_events(receipt: dict, public_key: str) -> str:
    """What a receipt proves."""
    of_members(receipt, "format reservation_id events checkpoint")
    head, about, events = receipt["checkpoint"], str(identity(receipt["reservation_id"])), receipt["events"]
    name, before = signed_head(head, public_key), None
    if type(events) is not list or not events:
        refuse("it holds no events")
    for event in events:
        stream, version, number, reservation = check_event(event, head, name)
        if reservation != about:
            refuse(f"version {version} of {stream} is about another reservation")
        if before and (stream != before[0] or version <= before[1] or number <= before[2]):
            refuse("its events are repeated, out of order, or of several streams")
        before = (stream, version, number)
    return f"at least these {len(events)} events of reservation {about} are in the ledger as of {name}"


def check_consistency(proof: dict, public_key: str) -> str:
    """What a proof of consistency proves."""
    of_members(proof, "format old new path")
    old, new, path = proof["old"], proof["new"], path_of(proof)
    names = [signed_head(head, public_key) for head in (old, new)]
    count, older, newer = old["size"], octets(old["root"]), octets(new["root"])
    if not 0 < count <= new["size"] or (count == new["size"] and (path or older != newer)):
        refuse(f"{names[1]} does not hold what {names[0]} held")
    if count < new["size"]:
        steps = path if count & (count - 1) else [older, *path]
        shift = (count ^ (count - 1)).bit_length() - 1
        ends = [count - 1 >> shift, new["size"] - 1 >> shift]
        if not path or climb(*ends, steps[1:], steps[0], steps[0]) != (older, newer):
            refuse(f"{names[1]} does not hold what {names[0]} held")
    return f"the {count} events of {names[0]} are the first of the {new['size']} of {names[1]}"


def check(text: str, public_key: str) -> str:
    """What a document proves.

    Raises:
        ValueError: It proves nothing; the message says why.
    """
    try:
        document = parsed(text)
        if document["format"] == "redemption-ledger consistency 1":
            return check_consistency(document, public_key)
        return check_events(document, public_key) if document["format"] == FORMAT else refuse("it is not a receipt")
    except InvalidSignature:
        refuse("the checkpoint is not signed with this key")
    except (LookupError, TypeError, AttributeError, struct.error, RecursionError) as error:
        raise ValueError(f"it can't be read: {error!r}") from error


FORMAT = "redemption-ledger receipt 1"
if __name__ == "__main__":
    try:
        sys.stdout.write(check(pathlib.Path(sys.argv[1]).read_text("utf-8"), sys.argv[2]) + "\n")
    except ValueError as error:
        sys.exit(f"it proves nothing: {error}")
