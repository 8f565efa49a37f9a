"""Searches by a part or with an error: what no digest finds, among bounded numbers of rows.

Nothing is stored for them. Codes and email addresses are decrypted in memory, compared, and dropped.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

from domain.values.identifiers import EmailAddress, MalformedEmailError
from domain.values.similar_texts import has_groups, list_spellings
from projections.database.store_queries import Database, ReadableStore
from projections.sql.event_store import EventStoreSql
from projections.sql.read_models import ReadModelsSql

RECENT_MAX: Final = 5_000
"""Most rows of each kind that one search reads: newest codes, reservations and rejected requests."""
SAME_SUFFIX_MAX: Final = 200
"""Most codes with one suffix among which one search looks for the rest of a part."""
ID_DIGITS: Final = 32


class SimilarRecipient(NamedTuple):
    """A recipient who recently redeemed or was rejected, and when. `address` is in plain text."""

    recipient_id: UUID
    at: datetime
    address: str


class IdWithPart(NamedTuple):
    """An id that holds the typed digits."""

    kind: Literal["reservation", "code"]
    subject_id: UUID


def find_codes_by_texts(storage: ReadableStore, normals: Sequence[str], limit: int) -> list[UUID]:
    """Return codes by their possible texts."""
    vault = storage.vault
    digests = [digest for normal in normals for digest in vault.compute_digests("code", normal)]
    return sorted({row[1] for row in Database(storage).fetch_all(EventStoreSql.code_ids_of_digests, digests)})[:limit]


def find_codes_by_suffixes(storage: ReadableStore, suffixes: Sequence[str], limit: int) -> list[UUID]:
    """Return codes by possible texts of their suffix."""
    return [row[0] for row in Database(storage).fetch_all(ReadModelsSql.code_texts_of_suffixes, list(suffixes), limit)]


def find_codes_by_part(
    storage: ReadableStore, part: str, suffix_length: int, since: datetime, limit: int
) -> list[UUID]:
    """Return codes that hold the whole groups of a part.

    All codes are searched by the end of the part, and the most recent ones by every group.

    Args:
        storage: Where to search.
        part: In normal form.
        suffix_length: Characters of a code's end by which codes are found.
        since: Codes are recent if they were issued last, or were in a request after this time.
        limit: Most codes to give.
    """
    suffixes = list_spellings(part[-suffix_length:])
    database = Database(storage)
    rows = database.fetch_all(ReadModelsSql.code_texts_of_suffixes, suffixes, SAME_SUFFIX_MAX)
    rows += database.fetch_named(ReadModelsSql.recent_code_texts, since=since, limit=RECENT_MAX)
    ids: dict[UUID, None] = {}
    for row in rows:
        text = storage.vault.read_text("code", row)
        if text is not None and has_groups(text, part):
            ids[row[0]] = None
    return list(ids)[:limit]


def list_similar_recipients(
    storage: ReadableStore, is_similar: Callable[[str], bool], since: datetime, limit: int
) -> list[SimilarRecipient]:
    """Return recipients of recent reservations and rejected requests, newest first.

    Args:
        storage: Where to search.
        is_similar: Whether an email address in normal form is one.
        since: The beginning of the time that is searched.
        limit: Most recipients to give.
    """
    similar: list[SimilarRecipient] = []
    for at, *row in Database(storage).fetch_named(ReadModelsSql.recent_recipients, since=since, limit=RECENT_MAX):
        text = storage.vault.read_text("recipient", row)
        if text is not None and is_similar(_normalize(text)):
            similar.append(SimilarRecipient(row[0], at, text))
            if len(similar) == limit:
                break
    return similar


def find_ids_by_part(storage: ReadableStore, digits: str, since: datetime, limit: int) -> list[IdWithPart]:
    """Return reservations and codes whose id begins with these digits, and recent reservations that hold them."""
    rows = Database(storage).fetch_named(
        ReadModelsSql.ids_with_part,
        first=UUID(hex=digits.ljust(ID_DIGITS, "0")),
        last=UUID(hex=digits.ljust(ID_DIGITS, "f")),
        digits=digits,
        since=since,
        recent=RECENT_MAX,
        limit=limit,
    )
    return [IdWithPart(*row) for row in rows]


def _normalize(address: str) -> str:
    try:
        return EmailAddress.parse(address).normal
    except MalformedEmailError:
        return ""
