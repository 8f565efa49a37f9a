"""Load the codes of a batch: a cached state or a snapshot, and then the newer events in bounded pages."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from psycopg import Cursor

from domain.model.redeem_code import RedeemCode, evolve_code
from domain.ports import PipelineSteps
from projections.database.binary_arrays import BIGS, UUIDS
from projections.database.pipeline import fetch_pipelined
from projections.event_store.caches import LRUCache
from projections.event_store.codec import decode
from projections.event_store.snapshots import EVENTS_PER_PAGE, SCHEMA_FINGERPRINT, decode_snapshot
from projections.sql.event_store import EventStoreSql

_NTH = itemgetter(0)
"""Which of the requested codes an event is of, from 1: cheaper to read and to look up than an id for each event."""


class CodeLoader:
    """Loads codes in two steps, so that the caller can send other queries between them.

    Args:
        send: Sends a named statement with its parameters in pipeline mode.
        cache: States that this process has seen; any may be old.
    """

    def __init__(self, send: Callable[..., Cursor[Any]], cache: LRUCache[UUID, RedeemCode]) -> None:
        self._send = send
        self._cache = cache
        self._states: dict[UUID, RedeemCode | None] = {}
        self._pending_events: Cursor[Any] | None = None

    def request(self, streams: Iterable[UUID], issued: Iterable[UUID]) -> PipelineSteps[None]:
        """Read cached states and snapshots, and request the newer events. The caller holds the locks of the streams.

        Args:
            streams: Codes that exist.
            issued: New codes, which have no snapshot.
        """
        uncached_ids = []
        for code_id in streams:
            self._states[code_id] = None
            try:
                self._states[code_id] = self._cache.get(code_id)
            except KeyError:
                uncached_ids.append(code_id)
        for code_id in issued:
            self._states[code_id] = None
            with suppress(KeyError):
                self._states[code_id] = self._cache.get(code_id)
        if uncached_ids:
            self._states |= yield from self._snapshots(uncached_ids)
        self._pending_events = self._request_newer_events(self._states)

    def load(self) -> PipelineSteps[Mapping[UUID, RedeemCode]]:
        """Return the current states. Folds page by page, so that memory does not grow with a code's history."""
        states, events = self._states, self._pending_events
        is_first = True
        code_ids = list(states)
        while events is not None:
            unread_states: dict[UUID, RedeemCode | None] = {}
            for nth, rows in groupby((yield from fetch_pipelined(events)), _NTH):
                code_id, page = code_ids[nth - 1], list(rows)
                code = states[code_id]
                for _, version, topic, state in page:
                    code = evolve_code(code, code_id, version, decode(topic, state))
                states[code_id] = code
                if len(page) == EVENTS_PER_PAGE:
                    unread_states[code_id] = code
            # A cached state is very old if other processes had all the traffic of its code. So after a full first page
            # its snapshot is read, which is never far behind the newest event.
            if unread_states and is_first:
                for code_id, snapshot in (yield from self._snapshots(unread_states)).items():
                    if (code := unread_states[code_id]) is None or snapshot.version > code.version:
                        states[code_id] = unread_states[code_id] = snapshot
            is_first = False
            code_ids = list(unread_states)
            events = self._request_newer_events(unread_states) if unread_states else None
        return {code_id: code for code_id, code in states.items() if code is not None}

    def _snapshots(self, code_ids: Iterable[UUID]) -> PipelineSteps[dict[UUID, RedeemCode]]:
        cursor = self._send(EventStoreSql.snapshots_of_codes, UUIDS.encode(list(code_ids)), SCHEMA_FINGERPRINT)
        snapshots = [decode_snapshot(state) for (state,) in (yield from fetch_pipelined(cursor))]
        return {code.code_id: code for code in snapshots if code is not None}

    def _request_newer_events(self, states: Mapping[UUID, RedeemCode | None]) -> Cursor[Any]:
        versions = [code.version if code else 0 for code in states.values()]
        return self._send(
            EventStoreSql.newer_events, UUIDS.encode(list(states)), BIGS.encode(versions), EVENTS_PER_PAGE
        )
