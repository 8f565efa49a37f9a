"""Snapshots of codes: stored states, so that loading a code costs the same however long its history is.

They are a disposable cache: a snapshot that does not fit is ignored and the log is folded from its beginning. `execute`
writes one in the batch that takes a code past a multiple of `EVENTS_PER_SNAPSHOT`, so the hot path pays for few rows. A
task of the workers writes those that are missing, for example after an upgrade.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from uuid import UUID
from zlib import crc32

import msgspec
from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from domain.events.campaign import CampaignTerms
from domain.events.code_terms import CodeTerms
from domain.events.event import Event
from domain.model.campaign import CAMPAIGN_SNAPSHOT_VERSION, Campaign, evolve_campaign
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

StreamState = TypeVar("StreamState", RedeemCode, Campaign)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(RedeemCode)
_campaign_decoder = msgspec.json.Decoder(Campaign)


def schema_fingerprint(fold: int, fields: Mapping[str, object]) -> str:
    """Return the fold's number with a checksum of the state's fields and types."""
    fields_text = ",".join(f"{name}:{kind}" for name, kind in fields.items())
    return f"{fold}-{crc32(fields_text.encode()):08x}"


SCHEMA_FINGERPRINT = schema_fingerprint(SNAPSHOT_VERSION, {**RedeemCode.__annotations__, **CodeTerms.__annotations__})

CAMPAIGN_FINGERPRINT = "campaign-" + schema_fingerprint(
    CAMPAIGN_SNAPSHOT_VERSION, {**Campaign.__annotations__, **CampaignTerms.__annotations__}
)
"""Campaigns have snapshots in the same table, under another shape."""


def decode_campaign_snapshot(state: bytes) -> Campaign | None:
    """Return the campaign of a snapshot; None if it cannot be decoded."""
    try:
        return _campaign_decoder.decode(state)
    except msgspec.DecodeError:
        return None


def decode_snapshot(state: bytes) -> RedeemCode | None:
    """Return the code of a snapshot; None if it cannot be decoded."""
    try:
        return _decoder.decode(state)
    except msgspec.DecodeError:
        return None


def snapshot_due(before: int, after: int) -> bool:
    """Return whether the events between two versions make a new snapshot due."""
    return before // EVENTS_PER_SNAPSHOT != after // EVENTS_PER_SNAPSHOT


def write_snapshots(cursor: Cursor[Any], codes: Iterable[RedeemCode]) -> None:
    """Store states, in the transaction that made them or in one that sees their events."""
    rows = [(code.code_id, SCHEMA_FINGERPRINT, code.version, _encoder.encode(code)) for code in codes]
    if rows:
        cursor.execute(EventStoreSql.upsert_snapshots, encode_rows(SNAPSHOTS, rows))


def write_campaign_snapshots(cursor: Cursor[Any], campaigns: Iterable[Campaign]) -> None:
    """Store states of campaigns, in the transaction that made them."""
    rows = [(each.campaign_id, CAMPAIGN_FINGERPRINT, each.version, _encoder.encode(each)) for each in campaigns]
    if rows:
        cursor.execute(EventStoreSql.upsert_snapshots, encode_rows(SNAPSHOTS, rows))


def write_missing_snapshots(
    conn: Connection[Any], codes_max: int = CODES_PER_ROUND, seconds_max: float = ROUND_S_MAX
) -> int:
    """Write snapshots that are missing or far behind, and delete those of former versions of the program.

    Args:
        conn: In autocommit mode.
        codes_max: Codes of one round.
        seconds_max: Bound of the round; a code that was begun is finished.

    Returns:
        The number of snapshots written.
    """
    deadline, written = time.monotonic() + seconds_max, 0
    with conn.cursor(row_factory=tuple_row, binary=True) as cursor:
        cursor.execute(EventStoreSql.delete_outdated_snapshots, ([SCHEMA_FINGERPRINT, CAMPAIGN_FINGERPRINT],))
        params = {"shape": SCHEMA_FINGERPRINT, "behind": 2 * EVENTS_PER_SNAPSHOT, "limit": codes_max}
        for (code_id,) in cursor.execute(EventStoreSql.codes_with_stale_snapshot, params).fetchall():
            if time.monotonic() > deadline:
                break
            write_snapshots(cursor, [fold_code(cursor, code_id)])
            written += 1
    return written


def fold_code(cursor: Cursor[Any], code_id: UUID) -> RedeemCode:
    """Fold one code from its snapshot, if it has one; memory does not grow with its history."""
    rows = cursor.execute(EventStoreSql.snapshots_of_codes, ([code_id], SCHEMA_FINGERPRINT)).fetchall()
    code = decode_snapshot(rows[0][0]) if rows else None
    return fold_newer_events(cursor, code_id, code)


def fold_newer_events(cursor: Cursor[Any], code_id: UUID, code: RedeemCode | None) -> RedeemCode:
    """Return a code with all newer events of the log folded in.

    Raises:
        ValueError: The log has no event of the code.
    """
    return _fold_newer_events(cursor, code_id, code, evolve_code)


def fold_newer_campaign_events(cursor: Cursor[Any], campaign_id: UUID, campaign: Campaign | None) -> Campaign:
    """Return a campaign with all newer events of the log folded in.

    Raises:
        ValueError: The log has no event of the campaign.
    """
    return _fold_newer_events(cursor, campaign_id, campaign, evolve_campaign)


def _fold_newer_events(
    cursor: Cursor[Any],
    stream: UUID,
    state: StreamState | None,
    evolve: Callable[[StreamState | None, UUID, int, Event], StreamState],
) -> StreamState:
    while True:
        version = state.version if state else 0
        rows = cursor.execute(EventStoreSql.stream_events, (stream, version, EVENTS_PER_PAGE)).fetchall()
        for _, version, topic, stored in rows:
            state = evolve(state, stream, version, decode(topic, stored))
        if len(rows) < EVENTS_PER_PAGE:
            break
    if state is None:
        raise ValueError(f"no events of {stream}")
    return state


def stable_position(conn: Connection[Any]) -> int:
    """Return the highest position. Positions appear in order, so all events up to it are visible."""
    row = conn.execute(EventStoreSql.stable_position).fetchone()
    return int(row[0]) if row else 0
