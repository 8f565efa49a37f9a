"""Snapshots of codes: folded states beside the log, so that meeting a code costs the same however long its history is.

They are a cache that outlives the process, and disposable: whatever does not fit is passed over and the log is folded
from its beginning. `execute` writes one in the batch that takes a code over a round number of events, so the hot path
pays for one row in some hundred; a task of the workers writes those that are missing (after an upgrade, say).
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID
from zlib import crc32

import msgspec
from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from domain.events.code_terms import CodeTerms
from domain.model.redeem_code import SNAPSHOT_VERSION, RedeemCode, evolve_code
from projections.database.table_arrays import encode_rows
from projections.event_store.codec import decode
from projections.sql.event_store import SNAPSHOTS, EventStoreSql

EVENTS_PER_SNAPSHOT = 500
"""Events from one snapshot to the next; folding as many takes some 5 ms."""
EVENTS_PER_PAGE = 5_000
"""Events of one stream that are held at once."""
CODES_PER_ROUND = 200
ROUND_S_MAX = 20.0

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(RedeemCode)


def schema_fingerprint(fold: int, fields: Mapping[str, object]) -> str:
    """A name for how events become a state: the fold's number, and a checksum of the state's fields and types."""
    fields_text = ",".join(f"{name}:{kind}" for name, kind in fields.items())
    return f"{fold}-{crc32(fields_text.encode()):08x}"


SCHEMA_FINGERPRINT = schema_fingerprint(SNAPSHOT_VERSION, {**RedeemCode.__annotations__, **CodeTerms.__annotations__})


def decode_snapshot(state: bytes) -> RedeemCode | None:
    """The code of a snapshot; None if it is none."""
    try:
        return _decoder.decode(state)
    except msgspec.DecodeError:
        return None


def snapshot_due(before: int, after: int) -> bool:
    """Whether events from one version to another make a new snapshot due."""
    return before // EVENTS_PER_SNAPSHOT != after // EVENTS_PER_SNAPSHOT


def write_snapshots(cursor: Cursor[Any], codes: Iterable[RedeemCode]) -> None:
    """Keep states, in the transaction that made them or under a snapshot of the database that has their events."""
    rows = [(code.code_id, SCHEMA_FINGERPRINT, code.version, _encoder.encode(code)) for code in codes]
    if rows:
        cursor.execute(EventStoreSql.upsert_snapshots, encode_rows(SNAPSHOTS, rows))


def write_missing_snapshots(
    conn: Connection[Any], codes_max: int = CODES_PER_ROUND, seconds_max: float = ROUND_S_MAX
) -> int:
    """Write snapshots where they are missing or far behind, and drop those of former versions of the program.

    Args:
        conn: In autocommit mode.
        codes_max: Codes of one round.
        seconds_max: After so long what is left is the next round's; a code that was begun is finished.

    Returns:
        How many were written.
    """
    deadline, written = time.monotonic() + seconds_max, 0
    with conn.cursor(row_factory=tuple_row, binary=True) as cursor:
        cursor.execute(EventStoreSql.delete_outdated_snapshots, (SCHEMA_FINGERPRINT,))
        params = {"shape": SCHEMA_FINGERPRINT, "behind": 2 * EVENTS_PER_SNAPSHOT, "limit": codes_max}
        for (code_id,) in cursor.execute(EventStoreSql.codes_with_stale_snapshot, params).fetchall():
            if time.monotonic() > deadline:
                break
            write_snapshots(cursor, [fold_code(cursor, code_id)])
            written += 1
    return written


def fold_code(cursor: Cursor[Any], code_id: UUID) -> RedeemCode:
    """One code as its log says now, from its snapshot if it has one; memory does not grow with its history."""
    rows = cursor.execute(EventStoreSql.snapshots_of_codes, ([code_id], SCHEMA_FINGERPRINT)).fetchall()
    code = decode_snapshot(rows[0][0]) if rows else None
    return fold_newer_events(cursor, code_id, code)


def fold_newer_events(cursor: Cursor[Any], code_id: UUID, code: RedeemCode | None) -> RedeemCode:
    """A code some events later: all that the log has by now.

    Raises:
        ValueError: It has none at all.
    """
    while True:
        version = code.version if code else 0
        rows = cursor.execute(EventStoreSql.stream_events, (code_id, version, EVENTS_PER_PAGE)).fetchall()
        for _, version, topic, state in rows:
            event = decode(topic, state)
            code = evolve_code(code, code_id, version, event)
        if len(rows) < EVENTS_PER_PAGE:
            break
    if code is None:
        raise ValueError(f"no events of {code_id}")
    return code


def stable_position(conn: Connection[Any]) -> int:
    """The highest position: positions appear in order, so everything up to it is there."""
    row = conn.execute(EventStoreSql.stable_position).fetchone()
    return int(row[0]) if row else 0
