"""What the commands of a batch name, resolved to streams before these are locked; mostly from caches.

An alias never changes, but for a code that joins a campaign: `PostgresUnitOfWork` checks that under the lock.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from psycopg import Cursor

from domain.asks import Names
from domain.ports import PipelineSteps
from projections.database.binary_arrays import UUIDS
from projections.database.pipeline import fetch_pipelined
from projections.event_store.caches import LRUCache, StoreCaches
from projections.sql.event_store import EventStoreSql

V = TypeVar("V")


class Located(NamedTuple):
    """The streams that a batch is about.

    Attributes:
        codes: Codes that exist, and are locked.
        codes_of_reservations: The code of each named reservation that exists.
        campaigns: Campaigns of these codes, and those that codes join.
    """

    codes: set[UUID]
    codes_of_reservations: dict[UUID, UUID]
    campaigns: set[UUID]


class AliasResolver:
    """Resolves aliases for one transaction.

    Args:
        send: Sends a statement in pipeline mode.
        caches: Of the process.
        code_ids: Ids of codes by digests of their texts; filled.
    """

    def __init__(self, send: Callable[..., Cursor[Any]], caches: StoreCaches, code_ids: dict[bytes, UUID]) -> None:
        self._send = send
        self._caches = caches
        self._code_ids = code_ids

    def locate(self, names: Names) -> PipelineSteps[Located]:
        """Return the streams of what is named, with a round trip for what no cache has, and one for campaigns."""
        codes_of_reservations, unknown_reservations = _look_up(
            self._caches.codes_of_reservations, dict.fromkeys(names.reservations)
        )
        unknown_texts = [digest for text in names.texts | names.compared_texts for digest in self._find_unknown(text)]
        of_reservations = of_texts = None
        if unknown_reservations:
            of_reservations = self._send(
                EventStoreSql.codes_of_reservations, UUIDS.encode(sorted(unknown_reservations))
            )
        if unknown_texts:
            of_texts = self._send(EventStoreSql.codes_of_digests, sorted({*unknown_texts}))
        if of_reservations is not None:
            for reservation_id, code_id, campaign_id in (yield from fetch_pipelined(of_reservations)):
                codes_of_reservations[reservation_id] = code_id
                self._caches.campaigns_of_codes.put(code_id, campaign_id)
                self._caches.codes_of_reservations.put(reservation_id, code_id)
        if of_texts is not None:
            for digest, code_id, campaign_id in (yield from fetch_pipelined(of_texts)):
                self._code_ids[digest] = code_id
                self._caches.campaigns_of_codes.put(code_id, campaign_id)
        codes = {code_id for text in names.texts if (code_id := self._code_of(text)) is not None}
        codes.update(codes_of_reservations.values(), names.codes)
        return Located(codes, codes_of_reservations, (yield from self._find_campaigns(codes, names.joins)))

    def find_cached_code(self, text: Sequence[bytes]) -> UUID | None:
        """Return the code of a text if a cache has it; then its id is resolved."""
        for digest in text:
            with suppress(KeyError):
                self._code_ids[digest] = code_id = self._caches.code_ids.get(digest)
                return code_id
        return None

    def _find_unknown(self, text: Sequence[bytes]) -> Sequence[bytes]:
        """Return the digests to look up: none if one of them is cached."""
        return () if self._code_of(text) or self.find_cached_code(text) else text

    def _code_of(self, text: Sequence[bytes]) -> UUID | None:
        return next((self._code_ids[digest] for digest in text if digest in self._code_ids), None)

    def _find_campaigns(self, codes: Iterable[UUID], joins: Mapping[UUID, set[UUID]]) -> PipelineSteps[set[UUID]]:
        campaigns_of_codes, unknown_codes = _look_up(self._caches.campaigns_of_codes, codes)
        if unknown_codes:
            cursor = self._send(EventStoreSql.campaigns_of_codes, UUIDS.encode(sorted(unknown_codes)))
            for code_id, campaign_id in (yield from fetch_pipelined(cursor)):
                self._caches.campaigns_of_codes.put(code_id, campaign_id)
                campaigns_of_codes[code_id] = campaign_id
        campaigns = {*campaigns_of_codes.values(), *chain.from_iterable(joins.values())}
        return {campaign_id for campaign_id in campaigns if campaign_id is not None}


def _look_up(cache: LRUCache[UUID, V], keys: Iterable[UUID]) -> tuple[dict[UUID, V], list[UUID]]:
    """Return the cached values, and the keys without one."""
    values: dict[UUID, V] = {}
    missing = []
    for key in keys:
        try:
            values[key] = cache.get(key)
        except KeyError:
            missing.append(key)
    return values, missing
