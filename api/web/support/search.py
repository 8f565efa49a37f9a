"""From what a customer says to what it may be about: a few hits, each with a page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import urlencode
from uuid import UUID

from api.i18n.messages import refusal_title
from api.web.staff_auth.context import Desk
from api.web.support.balance_bar import Picture, picture_of
from api.web.support.view_models import CardView, card_view, masked, state_name
from domain.model.redeem_code import RedeemCode
from domain.ports import Language
from domain.values.identifiers import EmailAddress, MalformedCodeError, MalformedEmailError, normalize_code
from domain.values.link_token import read_token
from domain.values.trace_ids import is_trace_id
from projections.event_store.row_mapping import code_from_named_row
from projections.vault.vault import SUFFIX_LENGTH

SHOWN_MAX: Final = 6
TRIES_SHOWN: Final = 20

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)
_LINK: Final = re.compile(r"/a/([0-9A-Za-z_-]+)")
"""The link in a letter."""
_IN_BRACKETS: Final = re.compile(r"<([^<>]+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """Something that may be meant. `count`: reservations of a person, or refused tries."""

    kind: Literal["code", "person", "tries", "reservation", "event", "more"]
    path: str
    hint: str = ""
    address: str | None = None
    card: CardView | None = None
    picture: Picture | None = None
    state: str = ""
    count: int = 0


def find(desk: Desk, typed: str, language: Language) -> list[SearchResult]:
    """What these letters may mean; nothing is looked for that takes long, so this may be asked as one types."""
    if not typed or not typed.isprintable():
        return []
    if (link := _LINK.search(typed)) is not None:
        return _of_link(desk, link[1], language)
    if (number := _UUID.search(typed)) is not None:  # alone, in a link, or as the beginning of a Message-ID
        return _of_id(desk, UUID(number[0]), language)
    if "@" in (address := typed.replace("\uff20", "@")):  # the sign as Chinese keyboards write it
        return _of_address(desk, _strip_display_name(address))
    code_id = desk.find.find_code(typed)
    if code_id is not None and (row := desk.find.find_balance(code_id)) is not None:
        return [_code(desk, code_from_named_row(row), desk.find.find_suffix(code_id), language)]
    return _of_ending(desk, typed, language)


def find_request(desk: Desk, typed: str, before: int) -> list[SearchResult]:
    """Events of the request with this id, in the newest stretch of the log; each code once."""
    if not is_trace_id(typed):
        return []
    hits: dict[UUID, SearchResult] = {}
    for code_id, version in desk.find.list_events_of_request(typed, before, SHOWN_MAX):
        hint = desk.find.find_suffix(code_id)
        hits.setdefault(
            code_id, SearchResult(kind="event", path=f"/support/codes/{code_id}/events/{version}", hint=hint)
        )
    return list(hits.values())


def tries_of(desk: Desk, digests: Sequence[bytes], now: datetime, language: Language) -> list[dict[str, Any]]:
    """Refused tries of a person: the answer to "why did my code not work?"."""
    return [
        {"at": row.at, "reason": refusal_title(row.reason, language), "code_id": row.code_id, "hint": row.hint}
        for row in desk.find.list_rejected_requests_of_recipient(digests, now, TRIES_SHOWN)
    ]


def _of_id(desk: Desk, found: UUID, language: Language) -> list[SearchResult]:
    cards = desk.find.list_summaries([found])
    if cards:
        card = card_view(cards[0], desk.services.now())
        return [
            SearchResult(kind="reservation", path=f"/support/reservations/{found}", card=card, hint=card.hint or "")
        ]
    row = desk.find.find_balance(found)
    return [] if row is None else [_code(desk, code_from_named_row(row), desk.find.find_suffix(found), language)]


def _of_link(desk: Desk, token: str, language: Language) -> list[SearchResult]:
    delivery = read_token(desk.services.settings.secret_key.get_secret_value().encode(), token)
    return [] if delivery is None else _of_id(desk, delivery.reservation_id, language)


def _strip_display_name(typed: str) -> str:
    """An address as mail programs copy it, without the name before it."""
    inner = _IN_BRACKETS.search(typed)
    return (inner[1] if inner else typed).removeprefix("mailto:")


def _of_address(desk: Desk, typed: str) -> list[SearchResult]:
    try:
        address = EmailAddress.parse(typed)
    except MalformedEmailError:
        return []
    recipient_id = desk.find.find_recipient(address)
    if recipient_id is not None:
        count = desk.find.count_reservations_of_recipient(recipient_id)
        return [
            SearchResult(
                kind="person", path=f"/support/people/{recipient_id}", address=masked(address.typed), count=count
            )
        ]
    digests = desk.services.storage.vault.compute_digests("recipient", address.normal)
    tries = desk.find.list_rejected_requests_of_recipient(digests, desk.services.now(), TRIES_SHOWN)
    if not tries:
        return []
    return [
        SearchResult(
            kind="tries", path=f"/support/tries/{digests[0].hex()}", address=masked(address.typed), count=len(tries)
        )
    ]


def _of_ending(desk: Desk, typed: str, language: Language) -> list[SearchResult]:
    """Codes with this ending: the first ones, and a page with all of them if there are more."""
    try:
        ending = normalize_code(typed.lstrip("…."))
    except MalformedCodeError:
        return []
    if len(ending) > SUFFIX_LENGTH:
        return []
    ids = desk.find.find_codes_by_suffix(ending, UUID(int=0), SHOWN_MAX + 1)
    rows = [row for code_id in ids[:SHOWN_MAX] if (row := desk.find.find_balance(code_id)) is not None]
    hits = [_code(desk, code_from_named_row(row), ending, language) for row in rows]
    if len(ids) > SHOWN_MAX:
        hits.append(SearchResult(kind="more", path=f"/support/codes?{urlencode({'ends': ending})}", hint=ending))
    return hits


def _code(desk: Desk, code: RedeemCode, hint: str, language: Language) -> SearchResult:
    return SearchResult(
        kind="code",
        path=f"/support/codes/{code.code_id}",
        hint=hint,
        picture=picture_of(code),
        state=state_name(code, desk.services.now(), language),
    )
