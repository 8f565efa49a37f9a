"""The search that forgives: what a text may mean if it is only a part, or has an error.

It runs when the exact search found nothing and the form is sent, not while the user types. It shows masked email
addresses and the ends of codes. Its answers depend on nothing of an email address that the mask hides, and on codes
only by whole groups of four, of which each member of staff may try a limited number.
"""

import math
import re
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Final
from uuid import UUID

from api.schemas.parsing import find_email
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.staff import Staff
from api.web.support.search import SHOWN_MAX, SearchResult, code_result, cut, person_result
from api.web.support.view_models import build_card
from domain.ports import Language
from domain.values.identifiers import MalformedCodeError, normalize_code
from domain.values.pasted_codes import list_pasted_codes
from domain.values.similar_texts import is_similar_domain, list_corrected_codes, list_spellings
from projections.definitions.tables.code_balances import code_from_named_row
from projections.read_models.forgiving_search import (
    find_codes_by_part,
    find_codes_by_suffixes,
    find_codes_by_texts,
    find_ids_by_part,
    list_similar_recipients,
)
from projections.vault.vault import SUFFIX_LENGTH

RECENT: Final = timedelta(days=1)
PART_LENGTH_MIN: Final = SUFFIX_LENGTH
_ID_PART: Final = re.compile(r"[0-9a-f]{6,31}", re.IGNORECASE)
"""Part of an id. Six digits or more, because shorter ones fit many."""


def search_widely(support: SupportContext, staff: Staff, typed: str, language: Language) -> list[SearchResult]:
    """Return what a text may mean that the exact search did not find, the most probable first."""
    if not typed.isprintable():
        return []
    if "@" in (address := typed.replace("\uff20", "@")):
        return cut(_search_similar_addresses(support, address))
    try:
        text = normalize_code(list_pasted_codes(typed)[-1])
    except MalformedCodeError:
        return []
    return cut(
        _search_spellings(support, text, language)
        or _search_ids(support, typed, language)
        or _search_part(support, staff, text, language)
    )


def wait_for_part_searches_s(support: SupportContext, staff: Staff) -> int:
    """Return the seconds until a member of staff may search for a part of a code; 0 if now."""
    if not support.is_throttled:
        return 0
    return math.ceil(support.part_searches.wait_s(staff.staff_id.bytes, time.monotonic()))


def _search_similar_addresses(support: SupportContext, typed: str) -> list[SearchResult]:
    """Return recent recipients whose masked address looks like that of the typed one."""
    address = find_email(typed)
    local, _, domain = (address.normal if address else typed.strip().lower()).rpartition("@")
    if not local or not domain:
        return []
    is_similar_domain_cached = cache(lambda other: is_similar_domain(domain, other))

    def is_similar(other: str) -> bool:
        return other[:1] == local[0] and is_similar_domain_cached(other.rpartition("@")[2])

    storage, now = support.services.storage, support.services.now()
    return [
        replace(
            person_result(support, recipient.recipient_id, recipient.address),
            reason="similar_address",
            at=recipient.at,
            is_certain=False,
        )
        for recipient in list_similar_recipients(storage, is_similar, now - RECENT, SHOWN_MAX + 1)
    ]


def _search_spellings(support: SupportContext, text: str, language: Language) -> list[SearchResult]:
    storage, spellings = support.services.storage, list_spellings(text)
    if len(text) <= SUFFIX_LENGTH:
        return _code_results(support, find_codes_by_suffixes(storage, spellings, SHOWN_MAX + 1), language, "look_alike")
    if ids := find_codes_by_texts(storage, spellings, SHOWN_MAX + 1):
        return _code_results(support, ids, language, "look_alike")
    corrected = list_corrected_codes(text)
    ids = find_codes_by_texts(storage, corrected, SHOWN_MAX + 1) if corrected else []
    return _code_results(support, ids, language, "one_error")


def _search_ids(support: SupportContext, typed: str, language: Language) -> list[SearchResult]:
    digits = typed.replace("-", "").lower()
    if not _ID_PART.fullmatch(digits):
        return []
    storage, since = support.services.storage, support.services.now() - RECENT
    ids = find_ids_by_part(storage, digits, since, SHOWN_MAX + 1)
    summaries = support.reader.list_summaries([each.subject_id for each in ids if each.kind == "reservation"])
    cards = [build_card(summary, support.services.now()) for summary in summaries]
    results = [
        SearchResult(
            kind="reservation",
            path=f"/support/reservations/{card.reservation_id}",
            card=card,
            suffix=card.suffix or "",
            reason="id_part",
            is_certain=False,
        )
        for card in cards
    ]
    code_ids = [each.subject_id for each in ids if each.kind == "code"]
    return results + _code_results(support, code_ids, language, "id_part")


def _search_part(support: SupportContext, staff: Staff, text: str, language: Language) -> list[SearchResult]:
    if len(text) < PART_LENGTH_MIN or wait_for_part_searches_s(support, staff):
        return []
    support.part_searches.acquire(staff.staff_id.bytes, time.monotonic())
    storage, since = support.services.storage, support.services.now() - RECENT
    ids = find_codes_by_part(storage, text, SUFFIX_LENGTH, since, SHOWN_MAX + 1)
    return _code_results(support, ids, language, "part")


def _code_results(
    support: SupportContext, code_ids: Iterable[UUID], language: Language, reason: str
) -> list[SearchResult]:
    rows = [(code_id, row) for code_id in code_ids if (row := support.reader.find_balance(code_id)) is not None]
    return [
        replace(
            code_result(support, code_from_named_row(row), support.reader.find_suffix(code_id), language, reason),
            is_certain=False,
        )
        for code_id, row in rows
    ]
