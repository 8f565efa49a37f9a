"""The whole log as JSON Lines: events as they are stored, byte for byte, and the signed checkpoints between them.

It holds no personal data: email addresses and codes are in the vault, which is exported to a separate file.
"""

import base64
from collections.abc import Iterator
from contextlib import closing
from typing import Any, BinaryIO, NamedTuple
from uuid import UUID

import msgspec
from psycopg import Connection

from projections.database.connection import open_maintenance_connection
from projections.database.copy_reader import StoredRow, read_copied_events
from projections.database.errors import translate_outage
from projections.event_store.snapshots import stable_position
from projections.event_store.stored_state import JSON_BEGINS, read_fields
from projections.replay.observer import Progress
from projections.sql.transfer import TransferSql
from projections.transfer.checksummed_lines import LineWriter
from projections.transparency_log.checkpoints import Checkpoint, list_checkpoints, to_document
from projections.transparency_log.merkle import IncrementalRoot
from projections.transparency_log.tile_log import hash_stored_event

FORMAT = "redemption-ledger events 1"
PAGE_EVENTS = 100_000
PAGE_CHECKPOINTS = 1_000
PROGRESS_EVERY = 10_000


class LogSummary(NamedTuple):
    """What a file of the log holds.

    Attributes:
        position: Of the last event.
        root: RFC 6962 root over all events.
    """

    events: int
    position: int
    checkpoints: int
    root: bytes


def export_log(database_url: str, out: BinaryIO, progress: Progress) -> LogSummary:
    """Write the log up to its present end, while redeems continue.

    Raises:
        StorageUnavailableError: The database is or became unavailable.
        OSError: The file can't be written.
    """
    with translate_outage("export"), open_maintenance_connection(database_url, "export") as conn:
        return _export(conn, LineWriter(out), progress)


def _export(conn: Connection[Any], lines: LineWriter, progress: Progress) -> LogSummary:
    until = stable_position(conn)
    row = conn.execute(TransferSql.count_events_until, (until,)).fetchone()
    total = int(row[0]) if row else 0
    # Read after the position: what was signed by then and reaches no further is inside.
    checkpoints = [checkpoint for checkpoint in _checkpoints(conn) if checkpoint.position <= until]
    progress.step("export", total)
    lines.write({"format": FORMAT, "events": total, "position": until})
    tree, written = IncrementalRoot(), 0
    for stored in _read_log(conn, until):
        lines.write(_event_document(stored))
        stream, version, position, topic, state = stored
        tree.add(hash_stored_event(stream, version, topic, state))
        while written < len(checkpoints) and checkpoints[written].position <= position:
            lines.write(_checkpoint_line(checkpoints[written]))
            written += 1
        if tree.size % PROGRESS_EVERY == 0:
            progress.at(tree.size, position)
    progress.at(tree.size, until)
    summary = LogSummary(tree.size, until, written, tree.root())
    lines.write({"end": {**summary._asdict(), "root": base64.b64encode(summary.root).decode()}})
    return summary


def _event_document(stored: StoredRow) -> dict[str, Any]:
    """Return an event as a line: its state is the stored JSON itself, or base64 with the fields for readers."""
    stream, version, position, topic, state = stored
    place = {"position": position, "stream": str(UUID(bytes=stream)), "version": version, "topic": topic}
    if state[:1] == JSON_BEGINS:
        try:
            return {**place, "state": state.decode()}
        except UnicodeDecodeError:
            return {**place, "state_base64": base64.b64encode(state).decode()}
    return {**place, "state_base64": base64.b64encode(state).decode(), **_fields_for_readers(state)}


def _fields_for_readers(state: bytes) -> dict[str, Any]:
    """Return the fields of a state; an import reads only its bytes, so a state that has none is exported too."""
    try:
        return {"fields": read_fields(state)}
    except (msgspec.DecodeError, ValueError):
        return {}


def _checkpoints(conn: Connection[Any]) -> Iterator[Checkpoint]:
    number = 0
    while page := list_checkpoints(conn, number, PAGE_CHECKPOINTS):
        yield from page
        number = page[-1].number


def _checkpoint_line(checkpoint: Checkpoint) -> dict[str, Any]:
    return {"checkpoint": to_document(checkpoint)}


def _read_log(conn: Connection[Any], until: int) -> Iterator[StoredRow]:
    """Yield events in order of position; each page is a short statement, so that no old snapshot is held for long."""
    after, read = 0, PAGE_EVENTS
    while read == PAGE_EVENTS:
        read = 0
        with closing(read_copied_events(conn, TransferSql.copy_log_by_position, (after, until, PAGE_EVENTS))) as page:
            for stored in page:
                read, after = read + 1, stored[2]
                yield stored
