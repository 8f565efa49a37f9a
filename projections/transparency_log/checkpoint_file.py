"""Checkpoints in a file outside the database, which show that a database was restored from an older backup.

A backup cannot tell that it is old; only a file that was not restored with it can. A start compares the file's last
line with the database. While they contradict each other nothing is signed, so that it stays the last line.
"""

import base64
import binascii
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import Connection

from domain.values.timestamps import read_timestamp
from projections.database.connection import connect
from projections.database.errors import OlderStateError, StorageUnavailableError, translate_connection_errors
from projections.transparency_log.checkpoints import Checkpoint, read_map_root, sign_head, to_document
from projections.transparency_log.merkle import compute_root
from projections.transparency_log.tile_log import open_subtree_reader, read_tree_size

LINE_BYTES_MAX = 4096
"""Longest line that is read; a checkpoint takes some 350 bytes."""


def sign_and_write(
    conn: Connection[Any], key: Ed25519PrivateKey, now: datetime, file: Path | None
) -> Checkpoint | None:
    """Sign the head of the Merkle log if that is due, and append the checkpoint to the file, if there is one.

    Raises:
        OlderStateError: The database was restored from an older backup. Nothing is signed or written.
        OSError: The file can't be read or written.
    """

    def may_sign(conn: Connection[Any]) -> None:
        if file is not None and (last := read_last_published(file)) is not None:
            _reject_older_database(conn, last, file)

    checkpoint = sign_head(conn, key, now, may_sign)
    if checkpoint is not None and file is not None:
        _append_checkpoint(file, checkpoint)
    return checkpoint


def read_checkpoint_file(file: Path) -> Iterator[tuple[int, Checkpoint | None]]:
    """Yield number and checkpoint of each complete line; None for a line that is not a checkpoint.

    Nothing without a file.

    Raises:
        OSError: The file can't be read.
    """
    if not file.exists():
        return
    with file.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(LINE_BYTES_MAX), b""), start=1):
            yield number, _parse_line(line)


def read_last_published(file: Path) -> Checkpoint | None:
    """Return the newest checkpoint of the file; a line that a crash left unfinished does not count.

    Raises:
        OSError: The file can't be read.
    """
    if not file.exists():
        return None
    with file.open("rb") as lines:
        lines.seek(max(0, lines.seek(0, os.SEEK_END) - 2 * LINE_BYTES_MAX))
        checkpoints = [_parse_line(line) for line in lines.read().splitlines()]
    return next((checkpoint for checkpoint in reversed(checkpoints) if checkpoint is not None), None)


def verify_checkpoint_file(database_url: str, file: Path | None) -> Checkpoint | None:
    """Check that a database holds the last published checkpoint.

    Returns:
        The newest published checkpoint; None if there is none.

    Raises:
        OlderStateError: It does not: it was restored from an older backup, or is another database.
        StorageUnavailableError: The database can't be reached, or the file can't be read.
    """
    if file is None:
        return None
    try:
        checkpoint = read_last_published(file)
    except OSError as error:
        raise StorageUnavailableError(f"LEDGER_CHECKPOINT_FILE cannot be read: {error}") from error
    if checkpoint is not None:
        with translate_connection_errors(database_url), connect(database_url) as conn:
            _reject_older_database(conn, checkpoint, file)
    return checkpoint


def _append_checkpoint(file: Path, checkpoint: Checkpoint) -> None:
    """Append a line, also after one that a crash left unfinished."""
    with file.open("ab+") as lines:
        if lines.tell() and os.pread(lines.fileno(), 1, lines.tell() - 1) != b"\n":
            lines.write(b"\n")
        lines.write((json.dumps(to_document(checkpoint)) + "\n").encode())
        lines.flush()
        os.fsync(lines.fileno())


def _reject_older_database(conn: Connection[Any], checkpoint: Checkpoint, file: Path) -> None:
    """Compare a published checkpoint with the Merkle log."""
    size = read_tree_size(conn).size
    published = f"{file} holds checkpoint {checkpoint.number} over {checkpoint.size} events"
    remedy = (
        "restore a newer backup, or set DATABASE_URL to the right database;"
        f" to accept the loss of later events, move {file} aside and start again"
    )
    if size < checkpoint.size:
        raise OlderStateError(
            f"{published}, but the database has only {size} of them: an older backup was restored; {remedy}"
        )
    try:
        root = compute_root(open_subtree_reader(conn), checkpoint.size)
    except LookupError as error:
        raise OlderStateError(f"{published}, but {error}; {remedy}") from error
    if root != checkpoint.root:
        raise OlderStateError(
            f"{published}, but the events of the database are different: an older backup was restored and then used,"
            f" or it is another ledger; {remedy}"
        )


def _parse_line(line: bytes) -> Checkpoint | None:
    try:
        document = json.loads(line)
        root, key, signature = (
            base64.b64decode(document[name], validate=True) for name in ("root", "public_key", "signature")
        )
        at = read_timestamp(document["at"])
        number, size = int(document["number"]), int(document["size"])
        return Checkpoint(number, size, 0, root, at, key, signature, read_map_root(document))
    except (ValueError, TypeError, KeyError, binascii.Error):
        return None
