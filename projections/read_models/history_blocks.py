"""Long histories by blocks of a thousand events: the state after each, what it holds, and the balance until then.

Blocks follow from the log, so they are a disposable cache like snapshots. They are stored, so that a new process folds
few events of a long code before it shows a page. Readers of histories and a task of the workers write them; no redeem
request does.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Generic, LiteralString, NamedTuple
from uuid import UUID

import msgspec
from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from domain.events.event import Event
from domain.events.registry import EVENT_TYPES
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.values.batched import batched
from projections.event_store import snapshots
from projections.event_store.codec import decode
from projections.event_store.snapshots import StreamKind, StreamState, schema_fingerprint
from projections.read_models.balance_trace import (
    BalanceSample,
    BalanceTrace,
    sample_campaign,
    sample_code,
)
from projections.read_models.stream_entry import Entry
from projections.sql.event_store import EventStoreSql
from projections.sql.read_models import ReadModelsSql

EVENTS_PER_BLOCK: Final = 1_000
EVENTS_PER_PAGE: Final = 5_000
"""Events that are read at once."""
BLOCKS_PER_WRITE: Final = 100
"""Blocks that are folded, some 0.5 s of CPU time, before they are stored: what an interrupted request did is kept."""
BLOCKS_BEHIND: Final = 10
"""Blocks that a code may lack before the workers' task writes them; folding as many takes some 50 ms."""
BLOCK_FORMAT: Final = 1
"""Version of what a block holds. Raise it whenever the same events lead to another block."""

ReadEvents = Callable[[UUID, int, int], Sequence[tuple[Any, ...]]]
"""Reads events of a code after a version, at most so many: position, version, topic and state of each."""


class Landmark(NamedTuple):
    """The events of one type that is a landmark in one block: the first with its time, the last, how many."""

    event_type: type[Event]
    first: int
    last: int
    at: datetime
    number: int


class StoredBlock(msgspec.Struct, Generic[StreamState], frozen=True, array_like=True):
    """What the table holds of one block.

    Attributes:
        state: The code or campaign after the last event.
        counts: How many events of each type the block has.
        landmarks: Type, first and last version, time and number of each.
    """

    state: StreamState
    counts: dict[str, int]
    landmarks: list[tuple[str, int, int, datetime, int]]


_FORMAT: Final = f"/{EVENTS_PER_BLOCK}/" + schema_fingerprint(
    BLOCK_FORMAT, {**BalanceSample.__annotations__, **BalanceTrace.__annotations__, **StoredBlock.__annotations__}
)
_encoder = msgspec.json.Encoder(order="sorted")
_trace_decoder = msgspec.json.Decoder(BalanceTrace)


class HistoryKind(NamedTuple, Generic[StreamState]):
    """How the streams of one kind of aggregate are folded into blocks.

    Attributes:
        stream: The fold of one stream.
        sample: Returns the balance.
        decoder: Of stored blocks.
        find_version: Statement that finds the version of the newest event.
        find_missing: Statement that finds long streams without their last blocks.
    """

    stream: StreamKind[StreamState]
    sample: Callable[[StreamState], BalanceSample]
    decoder: msgspec.json.Decoder[StoredBlock[StreamState]]
    find_version: LiteralString
    find_missing: LiteralString

    @property
    def shape(self) -> str:
        """What the blocks in the table are known by."""
        return f"{self.stream.shape}{_FORMAT}"


CODES: Final = HistoryKind[RedeemCode](
    stream=snapshots.CODES,
    sample=sample_code,
    decoder=msgspec.json.Decoder(StoredBlock[RedeemCode]),
    find_version=ReadModelsSql.version_of_code,
    find_missing=ReadModelsSql.codes_with_missing_blocks,
)
CAMPAIGNS: Final = HistoryKind[Campaign](
    stream=snapshots.CAMPAIGNS,
    sample=sample_campaign,
    decoder=msgspec.json.Decoder(StoredBlock[Campaign]),
    find_version=ReadModelsSql.version_of_campaign,
    find_missing=ReadModelsSql.campaigns_with_missing_blocks,
)


class FoldedHistory(NamedTuple, Generic[StreamState]):
    """The whole blocks of a code or campaign.

    Attributes:
        states: The code or campaign after each block.
        counts: How many events of each type there are up to the end of each.
        landmarks: Those of all blocks.
        trace: The balance up to the end of the last.
    """

    states: list[StreamState]
    counts: list[Counter[type[Event]]]
    landmarks: list[Landmark]
    trace: BalanceTrace

    @classmethod
    def create_empty(cls) -> "FoldedHistory[StreamState]":
        """Return the history before its first block."""
        return cls([], [], [], BalanceTrace())

    @property
    def version(self) -> int:
        """The version of the last event of the last block; 0 without any."""
        return self.states[-1].version if self.states else 0

    def find_state_before(self, version: int) -> StreamState | None:
        """Return the state at the end of the last block before a version; None in the first block."""
        block = min((version - 1) // EVENTS_PER_BLOCK, len(self.states))
        return self.states[block - 1] if block else None

    def find_state_at(self, timestamp: datetime) -> StreamState | None:
        """Return the state at the end of the last block that ended until a time; None before."""
        block = bisect_right(self.states, timestamp, key=lambda state: state.last_at)
        return self.states[block - 1] if block else None

    def summarize_until(self, version: int) -> tuple[StreamState | None, Counter[type[Event]], list[Landmark]]:
        """Return state, counts and landmarks of the whole blocks up to a version."""
        whole = min(version // EVENTS_PER_BLOCK, len(self.states))
        if not whole:
            return None, Counter(), []
        last = whole * EVENTS_PER_BLOCK
        return self.states[whole - 1], self.counts[whole - 1], [mark for mark in self.landmarks if mark.last <= last]


def count_missing_blocks(history: FoldedHistory[StreamState], version: int) -> int:
    """Return how many whole blocks up to a version a history lacks."""
    return max(version // EVENTS_PER_BLOCK - len(history.states), 0)


def extend_history(
    kind: HistoryKind[StreamState],
    history: FoldedHistory[StreamState],
    stream_id: UUID,
    read: ReadEvents,
    blocks: int,
) -> FoldedHistory[StreamState]:
    """Return a history with so many further blocks, or as many as the log has."""
    states, counts, landmarks = list(history.states), list(history.counts), list(history.landmarks)
    trace, until = history.trace.copy(), (len(states) + blocks) * EVENTS_PER_BLOCK
    entries = fold_entries(kind, read, stream_id, states[-1] if states else None, until)
    for block in batched(entries, EVENTS_PER_BLOCK):
        if len(block) < EVENTS_PER_BLOCK:
            break
        states.append(block[-1].state)
        counts.append((counts[-1] if counts else Counter()) + Counter(type(entry.event) for entry in block))
        landmarks += collect_landmarks(block)
        for entry in block:
            trace.add(kind.sample(entry.state))
    return FoldedHistory(states, counts, landmarks, trace)


def fold_entries(
    kind: HistoryKind[StreamState],
    read: ReadEvents,
    stream_id: UUID,
    state: StreamState | None,
    until: int | None = None,
) -> Iterator[Entry[StreamState]]:
    """Yield the events after a state (or all of them), each with the state after it."""
    version, evolve = state.version if state else 0, kind.stream.evolve
    while until is None or version < until:
        limit = EVENTS_PER_BLOCK if until is None else min(EVENTS_PER_PAGE, until - version)
        rows = read(stream_id, version, limit)
        for position, version, topic, stored in rows:
            event, before = decode(topic, bytes(stored)), state
            state = evolve(state, stream_id, version, event)
            yield Entry(stream_id, version, position, event, before, state)
        if len(rows) < limit:
            return


def collect_landmarks(entries: Iterable[Entry[StreamState]]) -> list[Landmark]:
    """Return the landmarks among some entries, one per type, by their first version."""
    marks: dict[type[Event], Landmark] = {}
    for entry in entries:
        kind = type(entry.event)
        if kind.LANDMARK:
            mark = marks.get(kind)
            marks[kind] = (
                Landmark(kind, entry.version, entry.version, entry.event.at, 1)
                if mark is None
                else mark._replace(last=entry.version, number=mark.number + 1)
            )
    return list(marks.values())


def load_blocks(
    kind: HistoryKind[StreamState], cursor: Cursor[Any], stream_id: UUID, history: FoldedHistory[StreamState]
) -> FoldedHistory[StreamState]:
    """Return a history with the stored blocks that follow it; the same history if they do not fit it."""
    rows = cursor.execute(ReadModelsSql.history_blocks, (stream_id, kind.shape, history.version)).fetchall()
    first = history.version + EVENTS_PER_BLOCK
    versions = [row[0] for row in rows]
    if not rows or rows[-1][2] is None or versions != list(range(first, versions[-1] + 1, EVENTS_PER_BLOCK)):
        return history
    try:
        blocks = [kind.decoder.decode(row[1]) for row in rows]
        trace = _trace_decoder.decode(rows[-1][2])
        places = [(kind.stream.read_id(block.state), block.state.version) for block in blocks]
        is_fitting = places == [(stream_id, version) for version in versions]
        return _append_blocks(history, blocks, trace) if is_fitting else history
    except (msgspec.DecodeError, KeyError):
        return history


def _append_blocks(
    history: FoldedHistory[StreamState], blocks: Sequence[StoredBlock[StreamState]], trace: BalanceTrace
) -> FoldedHistory[StreamState]:
    counts, landmarks = list(history.counts), list(history.landmarks)
    for block in blocks:
        number = {EVENT_TYPES[name]: count for name, count in block.counts.items()}
        counts.append((counts[-1] if counts else Counter()) + Counter(number))
        landmarks += [Landmark(EVENT_TYPES[mark[0]], *mark[1:]) for mark in block.landmarks]
    states = history.states + [block.state for block in blocks]
    return FoldedHistory(states, counts, landmarks, trace)


def encode_blocks(history: FoldedHistory[StreamState], after: int) -> list[tuple[int, bytes]]:
    """Return version and stored form of the blocks after a version."""
    encoded, landmarks = [], iter([mark for mark in history.landmarks if mark.first > after])
    mark: Landmark | None = next(landmarks, None)
    for index in range(after // EVENTS_PER_BLOCK, len(history.states)):
        state, marks = history.states[index], list[tuple[str, int, int, datetime, int]]()
        while mark is not None and mark.first <= state.version:
            marks.append((mark.event_type.__name__, mark.first, mark.last, mark.at, mark.number))
            mark = next(landmarks, None)
        counts = history.counts[index] - (history.counts[index - 1] if index else Counter())
        block = StoredBlock(state, {kind.__name__: number for kind, number in counts.items()}, marks)
        encoded.append((state.version, _encoder.encode(block)))
    return encoded


def encode_trace(history: FoldedHistory[StreamState]) -> bytes:
    """Return the stored form of the balance up to the last block."""
    return _encoder.encode(history.trace)


def store_blocks(
    kind: HistoryKind[StreamState],
    cursor: Cursor[Any],
    stream_id: UUID,
    history: FoldedHistory[StreamState],
    after: int,
) -> None:
    """Store the blocks of a history after a version; only the last block keeps the balance over time."""
    if rows := encode_blocks(history, after):
        parameters = {
            "code_id": stream_id,
            "shape": kind.shape,
            "versions": [version for version, _ in rows],
            "blocks": [block for _, block in rows],
            "last": history.version,
            "trace": encode_trace(history),
        }
        cursor.execute(ReadModelsSql.upsert_history_blocks, parameters)
        cursor.execute(ReadModelsSql.clear_former_traces, parameters)


def write_missing_blocks(conn: Connection[Any], blocks_max: int = BLOCKS_PER_WRITE) -> int:
    """Write blocks that are missing, and delete those of former versions of the program.

    Args:
        conn: In autocommit mode.
        blocks_max: Most blocks of one round.

    Returns:
        The number of blocks written.
    """
    with conn.cursor(row_factory=tuple_row, binary=True) as cursor:
        cursor.execute(ReadModelsSql.delete_outdated_blocks, ([CODES.shape, CAMPAIGNS.shape],))
        written = _write_missing_blocks(CODES, cursor, blocks_max)
        return written + _write_missing_blocks(CAMPAIGNS, cursor, blocks_max - written)


def _write_missing_blocks(kind: HistoryKind[StreamState], cursor: Cursor[Any], blocks_max: int) -> int:
    """Write at most so many missing blocks of the streams of one kind; return how many."""
    written = 0
    behind = BLOCKS_BEHIND * EVENTS_PER_BLOCK
    parameters = {"shape": kind.shape, "behind": behind, "limit": blocks_max}
    for stream_id, version in cursor.execute(kind.find_missing, parameters).fetchall():
        stored = load_blocks(kind, cursor, stream_id, FoldedHistory[StreamState].create_empty())
        missing = min(count_missing_blocks(stored, version), blocks_max - written)
        history = extend_history(kind, stored, stream_id, read_events_with(cursor), missing)
        with cursor.connection.transaction():
            store_blocks(kind, cursor, stream_id, history, stored.version)
        written += len(history.states) - len(stored.states)
        if written >= blocks_max:
            break
    return written


def read_events_with(cursor: Cursor[Any]) -> ReadEvents:
    """Return a reader of events by a cursor."""
    return lambda *place: cursor.execute(EventStoreSql.stream_events, place).fetchall()
