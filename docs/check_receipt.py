"""Check a receipt of a Redemption Ledger without any of its code: python check_receipt.py RECEIPT.json PUBLIC_KEY.

PUBLIC_KEY is the ledger's Ed25519 key in base64, learned from somebody you trust. Needs only `cryptography`. It says
whether the events in the receipt are in the ledger as of the checkpoint that the ledger has signed (RFC 6962, 9162).
"""

import base64
import hashlib
import json
import pathlib
import struct
import sys
import uuid

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def node(left: bytes, right: bytes) -> bytes:
    """Hash of two neighbours."""
    return hashlib.sha256(b"\1" + left + right).digest()


def leaf(event: dict) -> bytes:
    """Hash of one event: its stream, version, topic and state."""
    topic = event["topic"].encode()
    head = uuid.UUID(event["stream"]).bytes + struct.pack(">qH", event["version"], len(topic))
    return hashlib.sha256(b"\0" + head + topic + base64.b64decode(event["state"])).digest()


def root(event: dict, size: int) -> bytes | None:
    """The root to which the event's path leads (RFC 9162, section 2.1.3.2)."""
    number, last, found = event["leaf_index"], size - 1, leaf(event)
    if not 0 <= number <= last:
        return None
    for step in map(base64.b64decode, event["path"]):
        if last == 0:
            return None
        if number & 1 or number == last:
            found = node(step, found)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            found = node(found, step)
        number, last = number >> 1, last >> 1
    return found if last == 0 else None


def trouble(receipt: dict, public_key: str) -> str | None:
    """What is wrong with a receipt; None if it proves what it says."""
    head = receipt["checkpoint"]
    text = f"redemption-ledger checkpoint 1\n{head['size']}\n{head['root']}\n{head['at']}\n"
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))
        key.verify(base64.b64decode(head["signature"]), text.encode())
    except InvalidSignature:
        return "the checkpoint is not signed with this key"
    for event in receipt["events"]:
        if root(event, head["size"]) != base64.b64decode(head["root"]):
            return f"version {event['version']} of {event['stream']} is not in the ledger as of this checkpoint"
        if json.loads(base64.b64decode(event["state"]))["reservation_id"] != receipt["reservation_id"]:
            return f"version {event['version']} of {event['stream']} is about another reservation"
    return None if receipt["events"] else "it holds no events"


if __name__ == "__main__":
    given = json.loads(pathlib.Path(sys.argv[1]).read_text("utf-8"))
    if wrong := trouble(given, sys.argv[2]):
        sys.exit(wrong)
    count, number = len(given["events"]), given["checkpoint"]["number"]
    about = f"{count} events of reservation {given['reservation_id']}"
    sys.stdout.write(f"{about} are in the ledger as of checkpoint {number}\n")
