"""Snapshots of codes and campaigns: stored states, so that loading one costs the same however long its history is.

They are a disposable cache: a snapshot that does not fit is ignored and the log is folded from its beginning. `execute`
writes one in the batch that takes a stream past a multiple of `EVENTS_PER_SNAPSHOT`, so the hot path pays for few
rows. A task of the workers writes those that are missing, for example after an upgrade.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, Final, Generic, LiteralString, NamedTuple, TypeVar
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
STREAMS_PER_ROUND = 200
ROUND_S_MAX = 20.0

StreamState = TypeVar("StreamState", RedeemCode, Campaign)

_encoder = msgspec.json.Encoder()


def schema_fingerprint(fold: int, fields: Mapping[str, object]) -> str:
    """Return the fold's number with a checksum of the state's fields and types."""
    fields_text = ",".join(f"{name}:{kind}" for name, kind in fields.items())
    return f"{fold}-{crc32(fields_text.encode()):08x}"


SCHEMA_FINGERPRINT = schema_fingerprint(SNAPSHOT_VERSION, {**RedeemCode.__annotations__, **CodeTerms.__annotations__})

CAMPAIGN_FINGERPRINT = "campaign-" + schema_fingerprint(
    CAMPAIGN_SNAPSHOT_VERSION, {**Campaign.__annotations__, **CampaignTerms.__annotations__}
)
"""Campaigns have snapshots in the same table, under another shape."""


class StreamKind(NamedTuple, Generic[StreamState]):
    """How the streams of one kind of aggregate are folded, and how their states are stored.

    Attributes:
        shape: What its snapshots in the table are known by; it differs for every kind and version of the fold.
        evolve: The fold.
        read_id: Returns the id of the stream.
        decoder: Of snapshots.
        find_stale: Statement that finds streams whose snapshot is missing or far behind.
    """

    shape: str
    evolve: Callable[[StreamState | None, UUID, int, Event], StreamState]
    read_id: Callable[[StreamState], UUID]
    decoder: msgspec.json.Decoder[StreamState]
    find_stale: LiteralString


CODES: Final = StreamKind[RedeemCode](
    shape=SCHEMA_FINGERPRINT,
    evolve=evolve_code,
    read_id=attrgetter("code_id"),
    decoder=msgspec.json.Decoder(RedeemCode),
    find_stale=EventStoreSql.codes_with_stale_snapshot,
)
CAMPAIGNS: Final = StreamKind[Campaign](
    shape=CAMPAIGN_FINGERPRINT,
    evolve=evolve_campaign,
    read_id=attrgetter("campaign_id"),
    decoder=msgspec.json.Decoder(Campaign),
    find_stale=EventStoreSql.campaigns_with_stale_snapshot,
)


def decode_snapshot(kind: StreamKind[StreamState], state: bytes) -> StreamState | None:
    """Return the state of a snapshot; None if it cannot be decoded."""
    try:
        return kind.decoder.decode(state)
    except msgspec.DecodeError:
        return None


def snapshot_due(before: int, after: int) -> bool:
    """Return whether the events between two versions make a new snapshot due."""
    return before // EVENTS_PER_SNAPSHOT != after // EVENTS_PER_SNAPSHOT


def write_snapshots(cursor: Cursor[Any], kind: StreamKind[StreamState], states: Iterable[StreamState]) -> None:
    """Store states, in the transaction that made them or in one that sees their events."""
    rows = [(kind.read_id(state), kind.shape, state.version, _encoder.encode(state)) for state in states]
    if rows:
        cursor.execute(EventStoreSql.upsert_snapshots, encode_rows(SNAPSHOTS, rows))


def write_missing_snapshots(
    conn: Connection[Any], streams_max: int = STREAMS_PER_ROUND, seconds_max: float = ROUND_S_MAX
) -> int:
    """Write snapshots that are missing or far behind, and delete those of former versions of the program.

    Args:
        conn: In autocommit mode.
        streams_max: Codes, and campaigns, of one round.
        seconds_max: Bound of the round; a stream that was begun is finished.

    Returns:
        The number of snapshots written.
    """
    deadline = time.monotonic() + seconds_max
    with conn.cursor(row_factory=tuple_row, binary=True) as cursor:
        cursor.execute(EventStoreSql.delete_outdated_snapshots, ([CODES.shape, CAMPAIGNS.shape],))
        return sum(
            [
                _write_missing_snapshots(CODES, cursor, streams_max, deadline),
                _write_missing_snapshots(CAMPAIGNS, cursor, streams_max, deadline),
            ]
        )


def _write_missing_snapshots(
    kind: StreamKind[StreamState], cursor: Cursor[Any], streams_max: int, deadline: float
) -> int:
    params = {"shape": kind.shape, "behind": 2 * EVENTS_PER_SNAPSHOT, "limit": streams_max}
    written = 0
    for (stream,) in cursor.execute(kind.find_stale, params).fetchall():
        if time.monotonic() > deadline:
            break
        write_snapshots(cursor, kind, [_fold_stream(cursor, kind, stream)])
        written += 1
    return written


def _fold_stream(cursor: Cursor[Any], kind: StreamKind[StreamState], stream: UUID) -> StreamState:
    """Fold one stream from its snapshot, if it has one; memory does not grow with its history."""
    rows = cursor.execute(EventStoreSql.snapshots_of_codes, ([stream], kind.shape)).fetchall()
    return fold_newer_events(cursor, kind, stream, decode_snapshot(kind, rows[0][0]) if rows else None)


def fold_newer_events(
    cursor: Cursor[Any], kind: StreamKind[StreamState], stream: UUID, state: StreamState | None
) -> StreamState:
    """Return a state with all newer events of the log folded in.

    Raises:
        ValueError: The log has no event of the stream.
    """
    while True:
        version = state.version if state else 0
        rows = cursor.execute(EventStoreSql.stream_events, (stream, version, EVENTS_PER_PAGE)).fetchall()
        for _, version, topic, stored in rows:
            state = kind.evolve(state, stream, version, decode(topic, stored))
        if len(rows) < EVENTS_PER_PAGE:
            break
    if state is None:
        raise ValueError(f"no events of {stream}")
    return state


def stable_position(conn: Connection[Any]) -> int:
    """Return the highest position. Positions appear in order, so all events up to it are visible."""
    row = conn.execute(EventStoreSql.stable_position).fetchone()
    return int(row[0]) if row else 0
