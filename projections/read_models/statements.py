"""A code's history as a statement: any range of it, with the balance after each event.

Balances are folded forward from blocks of a thousand events, which this process and the database keep together with
the few events that changed the code itself or opened a case. The log of one server never changes, so a block stays
right, and a page costs the same however long the history is.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Final, Generic, NamedTuple
from uuid import UUID

from domain.events.event import Event
from domain.model.redeem_code import RedeemCode
from projections.database.errors import StorageUnavailableError
from projections.database.servers.per_server import PerServer
from projections.database.store_queries import Database, ReadableStore
from projections.event_store.caches import LRUCache
from projections.event_store.snapshots import StreamState
from projections.event_store.stored_state import search_field
from projections.read_models import history_blocks
from projections.read_models.balance_trace import BalanceTrace
from projections.read_models.history_blocks import (
    BLOCKS_PER_WRITE,
    CODES,
    FoldedHistory,
    HistoryKind,
    Landmark,
    ReadEvents,
    collect_landmarks,
    count_missing_blocks,
    extend_history,
    fold_entries,
    load_blocks,
    store_blocks,
)
from projections.read_models.stream_entry import Entry
from projections.sql.event_store import EventStoreSql
from projections.sql.read_models import ReadModelsSql

CODES_WITH_BLOCKS_MAX: Final = 512
"""Most codes whose blocks this process keeps: those that were read last."""

log = logging.getLogger(__name__)


class HistoryQuery(NamedTuple):
    """A part of a code's history: after one version up to another, of these topics, of this recipient.

    Attributes:
        actor: Kind of the actor.
        channel: Name of the channel that the events are about.
    """

    code_id: UUID
    after: int
    until: int
    topics: Sequence[str] | None = None
    recipient_id: UUID | None = None
    actor: str | None = None
    channel: str | None = None


class HistoryReader(Generic[StreamState]):
    """Reads the balances and landmarks of histories of one kind, from several threads concurrently."""

    def __init__(self, storage: ReadableStore, kind: HistoryKind[StreamState]) -> None:
        self._storage: ReadableStore = storage
        self._kind: HistoryKind[StreamState] = kind
        self._cached: PerServer[LRUCache[UUID, FoldedHistory[StreamState]]] = PerServer(
            partial(LRUCache, CODES_WITH_BLOCKS_MAX)
        )
        # If another server answers, what was cached of the former one is forgotten.
        self._db = Database(storage, self._cached.of)
        self._read_events: ReadEvents = partial(self._db.fetch_all, EventStoreSql.stream_events)

    def find_newest_version(self, stream_id: UUID) -> int:
        """Return the version of the newest event; 0 if there is no such code or campaign."""
        rows = self._db.fetch_all(self._kind.find_version, stream_id)
        return int(rows[0][0]) if rows else 0

    def list_landmarks(self, stream_id: UUID, until: int) -> list[Landmark]:
        """Return the landmarks up to a version, oldest first; those of a thousand events as one per type."""
        state: StreamState | None
        landmarks: list[Landmark]
        state, _, landmarks = self._extend_cache(stream_id, until).summarize_until(until)
        return [*landmarks, *collect_landmarks(self._fold_stream(stream_id, state, until))]

    def fold_until(self, stream_id: UUID, timestamp: datetime) -> StreamState | None:
        """Return a code or campaign as it was at a time; None before its first event. `at` never decreases."""
        state = self._extend_cache(stream_id, self.find_newest_version(stream_id)).find_state_at(timestamp)
        for entry in self._fold_stream(stream_id, state):
            if entry.event.at > timestamp:
                break
            state = entry.state
        return state

    def read_page(self, stream_id: UUID, after: int, limit: int | None = None) -> Iterator[Entry[StreamState]]:
        """Yield at most so many events after a version (or all of them), each with the state after it.

        Of the events before, it reads at most a block, once the blocks are stored.
        """
        newest = self.find_newest_version(stream_id)
        if after >= newest:
            return
        state = self._extend_cache(stream_id, after).find_state_before(after + 1)
        for entry in self._fold_stream(stream_id, state, newest if limit is None else min(newest, after + limit)):
            if entry.version > after:
                yield entry

    def read_entries(self, stream_id: UUID, versions: Sequence[int]) -> list[Entry[StreamState]]:
        """Return the events of these versions, in the given order, each with the balance after it."""
        ordered = sorted({version for version in versions if version > 0})
        if not ordered:
            return []
        history = self._extend_cache(stream_id, ordered[-1])
        entries: dict[int, Entry[StreamState]] = {}
        for _, group in groupby(ordered, key=lambda version: (version - 1) // history_blocks.EVENTS_PER_BLOCK):
            block_versions = set(group)
            state = history.find_state_before(min(block_versions))
            for entry in self._fold_stream(stream_id, state, max(block_versions)):
                if entry.version in block_versions:
                    entries[entry.version] = entry
        return [entries[version] for version in versions if version in entries]

    def trace_balance(self, stream_id: UUID) -> BalanceTrace:
        """Return the balance over the whole history."""
        history = self._extend_cache(stream_id, self.find_newest_version(stream_id))
        trace = history.trace.copy()
        for entry in self._fold_stream(stream_id, history.states[-1] if history.states else None):
            trace.add(self._kind.sample(entry.state))
        return trace

    def _extend_cache(self, stream_id: UUID, version: int) -> FoldedHistory[StreamState]:
        """Return the blocks up to this version, and perhaps later ones; folded blocks are stored."""
        cached = self._cached.newest
        history = FoldedHistory[StreamState].create_empty()
        with suppress(KeyError):
            history = cached.get(stream_id)
        if count_missing_blocks(history, version):
            with self._db.open_cursor() as cursor:
                history = load_blocks(self._kind, cursor, stream_id, history)
            while missing := count_missing_blocks(history, version):
                longer = extend_history(
                    self._kind, history, stream_id, self._read_events, min(missing, BLOCKS_PER_WRITE)
                )
                if longer.version == history.version:
                    break
                self._store_blocks(stream_id, longer, history.version)
                history = longer
        if history.states:
            cached.put(stream_id, history)
        return history

    def _store_blocks(self, stream_id: UUID, history: FoldedHistory[StreamState], after: int) -> None:
        """Store blocks for other processes; a database that takes no writes only costs them the time to fold again."""
        try:
            with self._db.open_transaction() as cursor:
                if cursor.connection.read_only:
                    return
                store_blocks(self._kind, cursor, stream_id, history, after)
        except StorageUnavailableError as error:
            log.warning("storing blocks of a history failed", extra={"why": str(error)})

    def _fold_stream(
        self, stream_id: UUID, state: StreamState | None, until: int | None = None
    ) -> Iterator[Entry[StreamState]]:
        """Yield the events after a state (or all of them), each with the state after it."""
        return fold_entries(self._kind, self._read_events, stream_id, state, until)


class StatementReader(HistoryReader[RedeemCode]):
    """Reads histories of codes by range of versions."""

    def __init__(self, storage: ReadableStore) -> None:
        super().__init__(storage, CODES)

    def find_newest_versions(self, code_ids: Collection[UUID]) -> dict[UUID, int]:
        """Return the versions of the newest events of these codes, as far as they exist."""
        return dict(self._db.fetch_all(ReadModelsSql.versions_of_codes, list(code_ids)))

    def find_version_at(self, code_id: UUID, timestamp: datetime) -> int:
        """Return the version of a code at a time; 0 before it was issued."""
        code = self.fold_until(code_id, timestamp)
        return code.version if code else 0

    def find_code_at(self, code_id: UUID, version: int) -> RedeemCode | None:
        """Return a code as it was after one of its events; None if it has no such event."""
        lines = self.read_entries(code_id, [version])
        return lines[0].state if lines else None

    def list_versions(self, query: HistoryQuery, *, after: int | None, newest_first: bool, limit: int) -> list[int]:
        """Return the versions of one page, in its order.

        Args:
            query: The part of the history.
            after: Last version of the page before; None on the first page.
            newest_first: The order.
            limit: Most versions to give.
        """
        lower, upper = query.after, query.until
        if after is not None:
            lower, upper = (lower, min(upper, after - 1)) if newest_first else (max(lower, after), upper)
        if query.recipient_id is None:
            statement = ReadModelsSql.versions_newest_first if newest_first else ReadModelsSql.versions_oldest_first
        else:
            statement = (
                ReadModelsSql.versions_of_person_newest_first
                if newest_first
                else ReadModelsSql.versions_of_person_oldest_first
            )
        rows = self._db.fetch_named(
            statement,
            code_id=query.code_id,
            recipient_id=query.recipient_id,
            after=lower,
            until=upper,
            topics=None if query.topics is None else list(query.topics),
            actor=_encode_field("actor", query.actor),
            channel=_encode_field("channel", query.channel),
            limit=limit,
        )
        return [row[0] for row in rows]

    def find_versions_of_reservation(self, reservation_id: UUID) -> tuple[UUID, list[int]] | None:
        """Return the code of a reservation and the versions of its events; None if there is no such reservation."""
        rows = self._db.fetch_all(ReadModelsSql.versions_of_reservation, reservation_id)
        return (rows[0][0], list(rows[0][1])) if rows else None

    def count_types(self, code_id: UUID, after: int, until: int) -> Counter[type[Event]]:
        """Count the events of each type after one version up to another."""
        return self._count_types_until(code_id, until) - self._count_types_until(code_id, min(after, until))

    def _count_types_until(self, code_id: UUID, until: int) -> Counter[type[Event]]:
        state, counts, _ = self._extend_cache(code_id, until).summarize_until(until)
        return counts + Counter(type(entry.event) for entry in self._fold_stream(code_id, state, until))


def _encode_field(name: str, word: str | None) -> list[bytes] | None:
    """Return how a field of an event with this word is stored, in each form; None without a word."""
    return None if word is None else list(search_field(name, word))
