"""Load the streams of a batch: a cached state or a snapshot, and then the newer events in bounded pages."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import Any, Generic
from uuid import UUID

from psycopg import Cursor

from domain.ports import PipelineSteps
from projections.database.binary_arrays import BIGS, UUIDS
from projections.database.pipeline import fetch_pipelined
from projections.event_store.caches import LRUCache
from projections.event_store.codec import decode
from projections.event_store.snapshots import EVENTS_PER_PAGE, StreamKind, StreamState, decode_snapshot
from projections.sql.event_store import EventStoreSql

_NTH = itemgetter(0)
"""Which of the requested streams an event is of, from 1: cheaper to read and to look up than an id for each event."""


class StreamLoader(Generic[StreamState]):
    """Loads streams of one kind in steps, so that the caller can send other statements between them.

    Args:
        send: Sends a named statement with its parameters in pipeline mode.
        kind: Of the streams.
        cache: States that this process has seen; any may be old.
    """

    def __init__(
        self, send: Callable[..., Cursor[Any]], kind: StreamKind[StreamState], cache: LRUCache[UUID, StreamState]
    ) -> None:
        self._send = send
        self._kind: StreamKind[StreamState] = kind
        self._cache: LRUCache[UUID, StreamState] = cache
        self._states: dict[UUID, StreamState | None] = {}
        self._pending_snapshots: Cursor[Any] | None = None
        self._pending_events: Cursor[Any] | None = None

    def request(self, streams: Iterable[UUID], new_streams: Iterable[UUID] = ()) -> None:
        """Read cached states, and request snapshots of the others, or else the newer events.

        Args:
            streams: Those that exist. The caller holds the locks of those that it changes.
            new_streams: Those without a snapshot. They exist if an earlier answer was lost.
        """
        uncached = []
        for stream in streams:
            self._states[stream] = None
            try:
                self._states[stream] = self._cache.get(stream)
            except KeyError:
                uncached.append(stream)
        for stream in new_streams:
            self._states[stream] = None
            with suppress(KeyError):
                self._states[stream] = self._cache.get(stream)
        if uncached:
            self._pending_snapshots = self._request_snapshots(uncached)
        elif self._states:
            self._pending_events = self._request_newer_events(self._states)

    def request_events(self) -> PipelineSteps[None]:
        """Read the requested snapshots, if any, and request the newer events."""
        requested, self._pending_snapshots = self._pending_snapshots, None
        if requested is not None:
            self._states |= yield from self._read_snapshots(requested)
            self._pending_events = self._request_newer_events(self._states)

    def load(self) -> PipelineSteps[Mapping[UUID, StreamState]]:
        """Return the current states. Folds page by page, so that memory does not grow with a stream's history."""
        states, events, evolve = self._states, self._pending_events, self._kind.evolve
        is_first = True
        streams = list(states)
        while events is not None:
            unread: dict[UUID, StreamState | None] = {}
            for nth, rows in groupby((yield from fetch_pipelined(events)), _NTH):
                stream, page = streams[nth - 1], list(rows)
                state = states[stream]
                for _, version, topic, stored in page:
                    state = evolve(state, stream, version, decode(topic, stored))
                states[stream] = state
                if len(page) == EVENTS_PER_PAGE:
                    unread[stream] = state
            # A cached state is very old if other processes had all the traffic of its stream. So after a full first
            # page its snapshot is read, which is never far behind the newest event.
            if unread and is_first:
                snapshots = yield from self._read_snapshots(self._request_snapshots(unread))
                for stream, snapshot in snapshots.items():
                    if (state := unread[stream]) is None or snapshot.version > state.version:
                        states[stream] = unread[stream] = snapshot
            is_first = False
            streams = list(unread)
            events = self._request_newer_events(unread) if unread else None
        return {stream: state for stream, state in states.items() if state is not None}

    def _request_snapshots(self, streams: Iterable[UUID]) -> Cursor[Any]:
        return self._send(EventStoreSql.snapshots_of_codes, UUIDS.encode(list(streams)), self._kind.shape)

    def _read_snapshots(self, requested: Cursor[Any]) -> PipelineSteps[dict[UUID, StreamState]]:
        rows = yield from fetch_pipelined(requested)
        states = [decode_snapshot(self._kind, stored) for (stored,) in rows]
        return {self._kind.read_id(state): state for state in states if state is not None}

    def _request_newer_events(self, states: Mapping[UUID, StreamState | None]) -> Cursor[Any]:
        versions = [state.version if state else 0 for state in states.values()]
        return self._send(
            EventStoreSql.newer_events, UUIDS.encode(list(states)), BIGS.encode(versions), EVENTS_PER_PAGE
        )
