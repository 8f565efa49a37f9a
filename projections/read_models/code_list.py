"""Lists of codes for admins, from either end and filtered; one page reads a bounded number of codes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from domain.events.event import Event
from projections.database.store_queries import Database, ReadableStore
from projections.event_store.codec import decode
from projections.read_models.pagination import ListCursor, ListOrder
from projections.sql.read_models import ReadModelsSql


class FoundCode(NamedTuple):
    """A code that a text was found to belong to: its first two events, and its campaign now."""

    campaign_id: UUID | None
    events: list[Event]


def find_codes(storage: ReadableStore, texts: Sequence[str]) -> dict[str, FoundCode]:
    """Return codes by their texts in normal form; unknown texts are missing."""
    vault, database = storage.vault, Database(storage)
    by_digest = {digest: text for text in texts for digest in vault.compute_digests("code", text)}
    codes: dict[str, FoundCode] = {}
    rows = database.fetch_all(ReadModelsSql.first_events_of_texts, list(by_digest)) if by_digest else []
    for digest, campaign_id, topic, state in rows:
        code = codes.setdefault(by_digest[bytes(digest)], FoundCode(campaign_id, []))
        code.events.append(decode(topic, bytes(state)))
    return codes


SCAN_LIMIT: Final = 2_000
"""Most codes that one page of a filtered list reads."""


class CodeText(NamedTuple):
    """A code's text in normal form, and what may be shown of it; the text is None if it may not be shown."""

    text: str | None
    suffix: str


class CodeListReader:
    """Reads pages of codes."""

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def list_balances(
        self,
        after: tuple[datetime, UUID],
        limit: int,
        *,
        group: str | None = None,
        campaign_id: UUID | None = None,
    ) -> list[dict[str, Any]]:
        """Return one page of balances in order of issue; of one campaign, or else of one group, if one is named."""
        if campaign_id is not None:
            return self._db.fetch_dicts(ReadModelsSql.codes_of_campaign_from, (campaign_id, *after, limit))
        if group is not None:
            return self._db.fetch_dicts(ReadModelsSql.codes_of_group_from, (group, *after, limit))
        return self._db.fetch_dicts(ReadModelsSql.list_codes, (*after, limit))

    def list_in_order(
        self, place: ListCursor, group: str | None, limit: int, order: ListOrder = "newest"
    ) -> list[dict[str, Any]]:
        """Return balances with `hint` behind a place; of one group, if one is named.

        Args:
            place: Time and id of the last row of the page before.
            group: The group's name; None for all codes.
            limit: How many at most.
            order: Which code comes first.
        """
        parameters = {"at": place[0], "id": place[1], "group": group, "limit": limit}
        of_all = {"newest": ReadModelsSql.newest_codes, "oldest": ReadModelsSql.oldest_codes}
        of_group = {"newest": ReadModelsSql.newest_codes_of_group, "oldest": ReadModelsSql.oldest_codes_of_group}
        return self._db.fetch_dicts((of_all if group is None else of_group)[order], parameters)

    def list_of_campaign(
        self, campaign_id: UUID, place: ListCursor, limit: int, order: ListOrder = "newest"
    ) -> list[dict[str, Any]]:
        """Return balances of the codes of a campaign with `hint`, behind a place."""
        parameters = {"campaign_id": campaign_id, "at": place[0], "id": place[1], "limit": limit}
        statements = {
            "newest": ReadModelsSql.newest_codes_of_campaign,
            "oldest": ReadModelsSql.oldest_codes_of_campaign,
        }
        return self._db.fetch_dicts(statements[order], parameters)

    def find_balances(self, code_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
        """Return balances by id; unknown codes are missing."""
        return {row["code_id"]: row for row in self._db.fetch_dicts(ReadModelsSql.balances_of_codes, (list(code_ids),))}

    def find_texts(self, code_ids: Sequence[UUID], *, clear: bool) -> dict[UUID, CodeText]:
        """Return texts by id: in plain text, or only what may be shown of them."""
        vault = self._storage.vault
        return {
            row[0]: CodeText(vault.read_text("code", row) if clear else None, suffix)
            for suffix, *row in self._db.fetch_all(ReadModelsSql.texts_of_codes, list(code_ids))
        }
