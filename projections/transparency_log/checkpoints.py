"""Signed heads of the Merkle log. A stored checkpoint later proves that no event up to it was altered.

The signing key is derived from a master key, so there is no further secret to store. A new master key gives a new
signing key, and each checkpoint names the public key that it was signed with.
"""

import base64
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, LiteralString, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psycopg import Connection
from psycopg.rows import tuple_row

from projections.sql.transfer import TransferSql
from projections.sql.transparency_log import TransparencyLogSql
from projections.transparency_log.merkle import compute_root
from projections.transparency_log.reservation_map import compute_map_root
from projections.transparency_log.tile_log import open_subtree_reader, read_tree_size
from projections.vault.key_ring import KeyRing

SIGNED_AS = "redemption-ledger checkpoint 3"
SIGNED_WITHOUT_MAP_AS = "redemption-ledger checkpoint 2"
"""First line of the text of a checkpoint without the root of the reservation map: of an earlier version, or while the
map catches up."""
FORMERLY_SIGNED_AS = "redemption-ledger checkpoint 1"
"""First line of the text that earlier versions signed.

It lacked the number, so the number of such a checkpoint is unproven.
"""
SIGN_INTERVAL = timedelta(minutes=1)
_INFO = b"redemption-ledger checkpoint key 1"


class Checkpoint(NamedTuple):
    """A signed tree head.

    Attributes:
        number: Counted from 1.
        size: Events that the tree held.
        position: Of the last of them.
        root: RFC 6962 root over them.
        at: When it was signed.
        public_key: Raw Ed25519 key of 32 bytes.
        signature: Over `format_signed_text`, or over `format_former_text` of a checkpoint of an earlier version.
        map_root: Root of the reservation map over the same events; None if it was not signed.
    """

    number: int
    size: int
    position: int
    root: bytes
    at: datetime
    public_key: bytes
    signature: bytes
    map_root: bytes | None = None

    @property
    def is_signed(self) -> bool:
        """Whether its signature was made with its own public key."""
        text = format_former_text(self.size, self.root, self.at.isoformat())
        return self.is_number_signed or (self.map_root is None and verifies(self.public_key, self.signature, text))

    @property
    def is_number_signed(self) -> bool:
        """Whether its signature is valid and covers the number."""
        text = format_signed_text(self.number, self.size, self.root, self.at.isoformat(), self.map_root)
        return verifies(self.public_key, self.signature, text)


def derive_signing_key(ring: KeyRing, key_id: int | None = None) -> Ed25519PrivateKey:
    """Return the signing key that belongs to a master key; to the current one if none is named."""
    master = ring.keys[ring.current if key_id is None else key_id]
    return Ed25519PrivateKey.from_private_bytes(HKDF(SHA256(), 32, salt=None, info=_INFO).derive(master))


def derive_public_keys(ring: KeyRing) -> list[bytes]:
    """Return the raw public keys of all master keys of the ring, that of the current one first."""
    ids = [ring.current, *(key_id for key_id in ring.keys if key_id != ring.current)]
    return [derive_signing_key(ring, key_id).public_key().public_bytes_raw() for key_id in ids]


def format_signed_text(number: int, size: int, root: bytes, at: str, map_root: bytes | None = None) -> bytes:
    """Return the signed text: a line each for format, number, map root (if any), size, root, and time as written."""
    if map_root is None:
        return f"{SIGNED_WITHOUT_MAP_AS}\n{number}\n{_format_head(size, root, at)}".encode()
    return f"{SIGNED_AS}\n{number}\n{base64.b64encode(map_root).decode()}\n{_format_head(size, root, at)}".encode()


def format_former_text(size: int, root: bytes, at: str) -> bytes:
    """Return the text that earlier versions signed: the same without the number."""
    return f"{FORMERLY_SIGNED_AS}\n{_format_head(size, root, at)}".encode()


def _format_head(size: int, root: bytes, at: str) -> str:
    return f"{size}\n{base64.b64encode(root).decode()}\n{at}\n"


def verifies(public_key: bytes, signature: bytes, text: bytes) -> bool:
    """Return whether this is the key's Ed25519 signature of the text."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def sign_head(
    conn: Connection[Any],
    key: Ed25519PrivateKey,
    now: datetime,
    may_sign: Callable[[Connection[Any]], None] = lambda _conn: None,
) -> Checkpoint | None:
    """Sign the head of the Merkle log, if it has grown and the last checkpoint is a minute old.

    A last checkpoint in the future was signed before the clock went back, and delays nothing.

    Args:
        conn: In autocommit mode.
        key: The signing key.
        now: Database time.
        may_sign: Called before anything is signed; raises if it must not be.
    """
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        if not cursor.execute(TransparencyLogSql.lock_merkle).fetchall()[0][0]:
            return None
        size, position = read_tree_size(conn)
        last = find_last_checkpoint(conn)
        if size == (last.size if last else 0) or (last and abs(now - last.at) < SIGN_INTERVAL):
            return None
        may_sign(conn)
        root, public = compute_root(open_subtree_reader(conn), size), key.public_key().public_bytes_raw()
        number = cursor.execute(TransparencyLogSql.next_checkpoint_number).fetchall()[0][0]
        map_root = compute_map_root(conn, size)
        signature = key.sign(format_signed_text(number, size, root, now.isoformat(), map_root))
        checkpoint = Checkpoint(number, size, position, root, now, public, signature, map_root)
        cursor.execute(TransferSql.insert_numbered_checkpoint, checkpoint)
        if map_root is not None:
            cursor.execute(TransparencyLogSql.set_map_checkpoint, (number,))
    return checkpoint


def find_last_checkpoint(conn: Connection[Any]) -> Checkpoint | None:
    """Return the newest checkpoint."""
    return next(iter(_fetch_checkpoints(conn, TransparencyLogSql.last_checkpoint)), None)


def find_checkpoint_covering(conn: Connection[Any], position: int) -> Checkpoint | None:
    """Return the first checkpoint that covers a position."""
    return next(iter(_fetch_checkpoints(conn, TransparencyLogSql.first_checkpoint_from, position)), None)


def find_checkpoint(conn: Connection[Any], number: int) -> Checkpoint | None:
    """Return one checkpoint by its number."""
    return next(iter(_fetch_checkpoints(conn, TransparencyLogSql.checkpoint_of_number, number)), None)


def list_checkpoints(conn: Connection[Any], number: int, limit: int) -> list[Checkpoint]:
    """Return one page of checkpoints, oldest first, after a number (0: from the first one)."""
    return _fetch_checkpoints(conn, TransparencyLogSql.checkpoints_after, number, limit)


def _fetch_checkpoints(conn: Connection[Any], query: LiteralString, *params: object) -> list[Checkpoint]:
    with conn.cursor(row_factory=tuple_row) as cursor:
        rows: Sequence[Sequence[Any]] = cursor.execute(query, params).fetchall()
    return [Checkpoint(*row) for row in rows]


def to_document(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return a checkpoint as JSON; bytes in base64."""
    return {
        "number": checkpoint.number,
        "size": checkpoint.size,
        "root": base64.b64encode(checkpoint.root).decode(),
        "at": checkpoint.at.isoformat(),
        "public_key": base64.b64encode(checkpoint.public_key).decode(),
        "signature": base64.b64encode(checkpoint.signature).decode(),
        **({"map_root": base64.b64encode(checkpoint.map_root).decode()} if checkpoint.map_root else {}),
    }


def read_map_root(document: dict[str, Any]) -> bytes | None:
    """Return the root of the reservation map in a checkpoint's document; None if it has none.

    Raises:
        binascii.Error: It is not base64.
    """
    return base64.b64decode(document["map_root"], validate=True) if "map_root" in document else None
