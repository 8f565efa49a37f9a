"""Looking up the codes of a batch: what is cached or kept as a snapshot, and the events since, in bounded pages."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from eventsourcing.application import LRUCache
from psycopg import Cursor

from domain.application import PipelineSteps
from domain.model.redeem_code import RedeemCode, evolve_code
from projections.database.binary_arrays import BIGS, UUIDS
from projections.database.connection import rows_of
from projections.event_store.codec import decode
from projections.event_store.snapshots import EVENTS_PER_PAGE, SCHEMA_FINGERPRINT, read_state
from projections.sql.event_store import EventStoreSql


class CodeLook:
    """One look-up, in two parts: others may ask their own questions between them.

    Args:
        ask: Sends a named statement with its parameters in pipeline mode.
        cache: States that this process has seen; any may be old.
    """

    def __init__(self, ask: Callable[..., Cursor[Any]], cache: LRUCache[UUID, RedeemCode]) -> None:
        self._ask = ask
        self._cache = cache
        self._known: dict[UUID, RedeemCode | None] = {}
        self._newer: Cursor[Any] | None = None

    def ask(self, streams: Iterable[UUID], issued: Iterable[UUID]) -> PipelineSteps[None]:
        """Find what is known, and ask for what was appended since; the caller holds the locks of the streams.

        Args:
            streams: Codes that exist.
            issued: Codes that are to be issued: they have no snapshot.
        """
        cold = []
        for code_id in streams:
            self._known[code_id] = None
            try:
                self._known[code_id] = self._cache.get(code_id)
            except KeyError:
                cold.append(code_id)
        for code_id in issued:
            self._known[code_id] = None
            with suppress(KeyError):
                self._known[code_id] = self._cache.get(code_id)
        if cold:
            self._known |= yield from self._snapshots(cold)
        self._newer = self._ask_newer(self._known)

    def take(self) -> PipelineSteps[Mapping[UUID, RedeemCode]]:
        """The codes as they are now. Folded page by page, so that memory does not grow with a code's history.

        What is cached may be very old, where other processes had all the traffic of a code. So behind the first page
        its snapshot is looked at, which is never far from the newest event.
        """
        known, newer = self._known, self._newer
        is_first = True
        while newer is not None:
            read: Counter[UUID] = Counter()
            for code_id, version, topic, state in (yield from rows_of(newer)):
                event = decode(topic, state)
                known[code_id] = evolve_code(known[code_id], code_id, version, event)
                read[code_id] += 1
            unread = {code_id: known[code_id] for code_id, count in read.items() if count == EVENTS_PER_PAGE}
            if unread and is_first:
                for code_id, kept in (yield from self._snapshots(unread)).items():
                    if (code := unread[code_id]) is None or kept.version > code.version:
                        known[code_id] = unread[code_id] = kept
            is_first = False
            newer = self._ask_newer(unread) if unread else None
        return {code_id: code for code_id, code in known.items() if code is not None}

    def _snapshots(self, code_ids: Iterable[UUID]) -> PipelineSteps[dict[UUID, RedeemCode]]:
        asked = self._ask(EventStoreSql.snapshots_of_codes, UUIDS.array(list(code_ids)), SCHEMA_FINGERPRINT)
        found = [read_state(state) for (state,) in (yield from rows_of(asked))]
        return {code.code_id: code for code in found if code is not None}

    def _ask_newer(self, known: Mapping[UUID, RedeemCode | None]) -> Cursor[Any]:
        versions = [code.version if code else 0 for code in known.values()]
        return self._ask(EventStoreSql.newer_events, UUIDS.array(list(known)), BIGS.array(versions), EVENTS_PER_PAGE)
