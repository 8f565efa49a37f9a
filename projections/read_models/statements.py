"""A code's history as a statement: any range of it, with the balance after each event.

Balances are folded forward from checkpoints, which are cached every thousand events together with the few events that
changed the code itself or opened a case. The log never changes, so a checkpoint stays right, and after the first read a
page costs the same however long the history is.
"""

import threading
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from domain.events import (
    CaseOpened,
    CodeIssued,
    CodePaused,
    CodeResumed,
    CodeRevoked,
    CodeTermsChanged,
    Event,
    OpeningBalanceImported,
)
from domain.model.redeem_code import RedeemCode, evolve_code
from domain.values.batched import batched
from projections.event_store.codec import decode
from projections.read_models.balance_trace import BalanceTrace
from projections.read_models.reader import HISTORY_PAGE, ReadableStore, Reader
from projections.sql.event_store import EventStoreSql
from projections.sql.read_models import ReadModelsSql

CHECKPOINT_EVERY: Final = 1_000
CODES_WITH_CHECKPOINTS_MAX: Final = 512
"""Most codes whose checkpoints are cached: those that were read last."""


LANDMARKS: Final[frozenset[type[Event]]] = frozenset(
    {CodeIssued, OpeningBalanceImported, CodeTermsChanged, CodePaused, CodeResumed, CodeRevoked, CaseOpened}
)
"""Types of the events that a reader of a long history looks for: about the code itself, and opened cases."""


class Landmark(NamedTuple):
    """The events of one type of `LANDMARKS` between two checkpoints: the first with its time, the last, how many."""

    event_type: type[Event]
    first: int
    last: int
    at: datetime
    number: int


class CachedHistory(NamedTuple):
    """What is cached of a code.

    Attributes:
        checkpoints: Its state at every thousandth version.
        counts: How many events of each type there are up to each of them.
        landmarks: Up to the last of them.
        trace: Up to the last of them.
    """

    checkpoints: list[RedeemCode]
    counts: list[Counter[type[Event]]]
    landmarks: list[Landmark]
    trace: BalanceTrace


class StatementEntry(NamedTuple):
    """One event of a code, and the code before it (None before the first one) and after it."""

    position: int
    version: int
    event: Event
    before: RedeemCode | None
    code: RedeemCode


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


class StatementReader(Reader):
    """Reads histories by range of versions, from several threads concurrently."""

    def __init__(self, storage: ReadableStore) -> None:
        super().__init__(storage)
        self._cached: OrderedDict[UUID, CachedHistory] = OrderedDict()
        self._lock = threading.Lock()

    def find_newest_version(self, code_id: UUID) -> int:
        """Return the version of a code's newest event; 0 if there is no such code."""
        rows = self._fetch_all(ReadModelsSql.version_of_code, code_id)
        return int(rows[0][0]) if rows else 0

    def find_version_at(self, code_id: UUID, timestamp: datetime) -> int:
        """Return the version of a code at a time; 0 before it was issued. `at` never decreases along a stream."""
        checkpoints = self._balance_checkpoints(code_id, self.find_newest_version(code_id))
        before = bisect_right(checkpoints, timestamp, key=lambda mark: mark.last_at)
        version = checkpoints[before - 1].version if before else 0
        for line in self._fold(code_id, checkpoints[before - 1] if before else None):
            if line.event.at > timestamp:
                break
            version = line.version
        return version

    def find_code_at(self, code_id: UUID, version: int) -> RedeemCode | None:
        """Return a code as it was after one of its events; None if it has no such event."""
        lines = self.read_entries(code_id, [version])
        return lines[0].code if lines else None

    def read_entries(self, code_id: UUID, versions: Sequence[int]) -> list[StatementEntry]:
        """Return the events of these versions, in the given order, each with the balance after it."""
        ordered = sorted({version for version in versions if version > 0})
        if not ordered:
            return []
        checkpoints = self._balance_checkpoints(code_id, ordered[-1])
        entries: dict[int, StatementEntry] = {}
        for block, group in groupby(ordered, key=lambda version: (version - 1) // CHECKPOINT_EVERY):
            block_versions = set(group)
            for line in self._fold(code_id, checkpoints[block - 1] if block else None, max(block_versions)):
                if line.version in block_versions:
                    entries[line.version] = line
        return [entries[version] for version in versions if version in entries]

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
        rows = self._fetch_named(
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
        rows = self._fetch_all(ReadModelsSql.versions_of_reservation, reservation_id)
        return (rows[0][0], list(rows[0][1])) if rows else None

    def list_landmarks(self, code_id: UUID, until: int) -> list[Landmark]:
        """Return the landmarks of a code up to a version, oldest first; those of a thousand events as one per type."""
        cached = self._extend_cache(code_id, until)
        whole = until // CHECKPOINT_EVERY
        code = cached.checkpoints[whole - 1] if whole else None
        tail = self._fold(code_id, code, until) if until > whole * CHECKPOINT_EVERY else ()
        return [
            *(mark for mark in cached.landmarks if mark.last <= whole * CHECKPOINT_EVERY),
            *_collect_landmarks(tail),
        ]

    def count_types(self, code_id: UUID, after: int, until: int) -> Counter[type[Event]]:
        """Count the events of each type after one version up to another."""
        return self._count_types_until(code_id, until) - self._count_types_until(code_id, min(after, until))

    def _count_types_until(self, code_id: UUID, until: int) -> Counter[type[Event]]:
        cached, whole = self._extend_cache(code_id, until), until // CHECKPOINT_EVERY
        code, counts = (cached.checkpoints[whole - 1], cached.counts[whole - 1]) if whole else (None, Counter())
        tail = self._fold(code_id, code, until) if until > whole * CHECKPOINT_EVERY else ()
        return counts + Counter(type(entry.event) for entry in tail)

    def trace_balance(self, code_id: UUID) -> BalanceTrace:
        """Return the balance of a code over its whole history."""
        cached = self._extend_cache(code_id, self.find_newest_version(code_id))
        trace = cached.trace.copy()
        for entry in self._fold(code_id, cached.checkpoints[-1] if cached.checkpoints else None):
            trace.add(entry.code)
        return trace

    def _balance_checkpoints(self, code_id: UUID, version: int) -> list[RedeemCode]:
        """Return checkpoints at every thousandth version up to this one, and perhaps later ones."""
        return self._extend_cache(code_id, version).checkpoints

    def _extend_cache(self, code_id: UUID, version: int) -> CachedHistory:
        """Return what is cached of a code after reading on to this version, if that completes a thousand events."""
        cached = self._cached.get(code_id, CachedHistory([], [], [], BalanceTrace()))
        last = cached.checkpoints[-1] if cached.checkpoints else None
        missing = version // CHECKPOINT_EVERY - len(cached.checkpoints)
        if missing > 0:
            new, counts, landmarks, trace = [], list(cached.counts), [], cached.trace.copy()
            entries = self._fold(code_id, last, (len(cached.checkpoints) + missing) * CHECKPOINT_EVERY)
            for block in batched(entries, CHECKPOINT_EVERY):
                new.append(block[-1].code)
                counts.append((counts[-1] if counts else Counter()) + Counter(type(entry.event) for entry in block))
                landmarks += _collect_landmarks(block)
                for entry in block:
                    trace.add(entry.code)
            cached = CachedHistory([*cached.checkpoints, *new], counts, [*cached.landmarks, *landmarks], trace)
        if cached.checkpoints:
            with self._lock:
                self._cached[code_id] = cached
                self._cached.move_to_end(code_id)
                if len(self._cached) > CODES_WITH_CHECKPOINTS_MAX:
                    self._cached.popitem(last=False)
        return cached

    def _fold(self, code_id: UUID, code: RedeemCode | None, until: int | None = None) -> Iterator[StatementEntry]:
        """Yield the events after a state (or all of them), each with the state after it."""
        version = code.version if code else 0
        while until is None or version < until:
            limit = CHECKPOINT_EVERY if until is None else min(HISTORY_PAGE, until - version)
            rows = self._fetch_all(EventStoreSql.stream_events, code_id, version, limit)
            for position, version, topic, state in rows:
                event, before = decode(topic, bytes(state)), code
                code = evolve_code(code, code_id, version, event)
                yield StatementEntry(position, version, event, before, code)
            if not rows:
                return


def _encode_field(name: str, word: str | None) -> bytes | None:
    """Return how a field of an event with this word is stored; None without a word."""
    return None if word is None else b'"%s":%s' % (name.encode(), msgspec.json.encode(word))


def _collect_landmarks(entries: Iterable[StatementEntry]) -> list[Landmark]:
    """Return the landmarks among some entries, one per type, by their first version."""
    marks: dict[type[Event], Landmark] = {}
    for entry in entries:
        kind = type(entry.event)
        if kind in LANDMARKS:
            mark = marks.get(kind)
            marks[kind] = (
                Landmark(kind, entry.version, entry.version, entry.event.at, 1)
                if mark is None
                else mark._replace(last=entry.version, number=mark.number + 1)
            )
    return list(marks.values())
