"""Search for what a customer says: a few results, each with a page."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal
from urllib.parse import urlencode
from uuid import UUID

from api.schemas.parsing import find_pasted_email, parse_id
from api.web.masking import mask_if_known
from api.web.staff_auth.context import SupportContext
from api.web.support.charts import BalanceBar, draw_balance_bar
from api.web.support.view_models import ReservationCard, build_card, name_code_state
from domain.model.redeem_code import RedeemCode
from domain.ports import Language
from domain.values.identifiers import TYPED_LENGTH_MAX, MalformedCodeError, normalize_code
from domain.values.link_token import read_token
from domain.values.pasted_codes import list_pasted_codes
from domain.values.trace_ids import is_trace_id
from projections.definitions.tables.code_balances import code_from_named_row
from projections.hand_outs.hand_out_reader import HandOutReader
from projections.read_models.support_queries import COUNTED_MAX, RejectionPlace
from projections.vault.vault import SUFFIX_LENGTH

SHOWN_MAX: Final = 6
ATTEMPTS_SHOWN: Final = 20

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)
_LINK: Final = re.compile(r"/a/([0-9A-Za-z_-]+)")
"""The link in an email."""
_IN_MESSAGE_ID: Final = re.compile(r"\.\d+@")
"""What follows the reservation in a Message-ID: the number of the delivery, and the host."""
_RESERVATION_FIELD: Final = re.compile(rf'"reservation_id"\s*:\s*"({_UUID.pattern})"', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """One result; the last one is of kind `cut` if there are more. `handed_out`: codes of hand-outs of a recipient.

    `count` is how many reservations a recipient has, or how many requests were rejected; `20+` says that no more were
    counted.

    `reason` is why it was found, as a key's end. `at` is when a similar recipient was last in a request. `is_certain`
    says whether exactly what was typed was found.
    """

    kind: Literal["code", "person", "tries", "reservation", "event", "more", "cut"]
    path: str = ""
    suffix: str = ""
    address: str | None = None
    card: ReservationCard | None = None
    balance_bar: BalanceBar | None = None
    state: str = ""
    count: str = ""
    handed_out: int = 0
    reason: str = ""
    at: datetime | None = None
    is_certain: bool = True


def search(support: SupportContext, typed: str, language: Language) -> list[SearchResult]:
    """Return the possible meanings of a text. Every query is fast, so this may run while the user types."""
    if (receipt := find_receipt_id(typed)) is not None:
        return [replace(result, reason="receipt") for result in _search_id(support, receipt, language)]
    if len(typed) > TYPED_LENGTH_MAX or not typed.isprintable():
        return []
    if (link := _LINK.search(typed)) is not None:
        return [replace(result, reason="link") for result in _search_link(support, link[1], language)]
    if (number := _UUID.search(typed)) is not None:  # alone, in a link, or as the beginning of a Message-ID
        reason = "message" if _IN_MESSAGE_ID.match(typed, number.end()) else "id"
        return [replace(result, reason=reason) for result in _search_id(support, parse_id("q", number[0]), language)]
    if "@" in typed or "\uff20" in typed:
        results = _search_address(support, typed)
        # The key that leads to the search may be typed into its field before the script swallows it.
        return results if results or not typed.startswith("/") else _search_address(support, typed[1:])
    for code_id in filter(None, support.reader.find_possible_codes(list_pasted_codes(typed))):
        if (row := support.reader.find_balance(code_id)) is not None:
            code, suffix = code_from_named_row(row), support.reader.find_suffix(code_id)
            return [code_result(support, code, suffix, language, "code")]
    return _search_suffix(support, typed, language)


def find_receipt_id(typed: str) -> UUID | None:
    """Return the reservation that a pasted receipt, or other JSON of the ledger, is about, even if it was cut."""
    if not typed.startswith("{"):
        return None
    number = _RESERVATION_FIELD.search(typed)
    return None if number is None else parse_id("q", number[1])


def search_request_id(support: SupportContext, typed: str, before: int) -> list[SearchResult]:
    """Return the newest event of each code in the request with this id, among the newest events of the log."""
    if not is_trace_id(typed):
        return []
    events = support.reader.list_events_of_request(typed, before, SHOWN_MAX + 1)
    return cut(
        [
            SearchResult(
                kind="event",
                path=f"/support/codes/{code_id}/events/{version}",
                suffix=support.reader.find_suffix(code_id),
                reason="request",
            )
            for code_id, version in events
        ]
    )


def cut(results: list[SearchResult]) -> list[SearchResult]:
    """Return the results that are listed, with a last one that says so if there are more."""
    if len(results) <= SHOWN_MAX:
        return results
    return [*results[:SHOWN_MAX], SearchResult(kind="cut", count=str(SHOWN_MAX), is_certain=results[0].is_certain)]


def _search_id(support: SupportContext, subject_id: UUID, language: Language) -> list[SearchResult]:
    cards = support.reader.list_summaries([subject_id])
    if cards:
        card = build_card(cards[0], support.services.now())
        return [
            SearchResult(
                kind="reservation", path=f"/support/reservations/{subject_id}", card=card, suffix=card.suffix or ""
            )
        ]
    row = support.reader.find_balance(subject_id)
    return (
        []
        if row is None
        else [code_result(support, code_from_named_row(row), support.reader.find_suffix(subject_id), language)]
    )


def _search_link(support: SupportContext, token: str, language: Language) -> list[SearchResult]:
    delivery = read_token(support.services.settings.secret_key.get_secret_value().encode(), token)
    return [] if delivery is None else _search_id(support, delivery.reservation_id, language)


def _search_address(support: SupportContext, typed: str) -> list[SearchResult]:
    if (address := find_pasted_email(typed)) is None:
        return []
    recipient_id = support.reader.find_recipient(address)
    if recipient_id is not None:
        return [replace(person_result(support, recipient_id, address.typed), reason="address")]
    digests = support.services.storage.vault.compute_digests("recipient", address.normal)
    requests = support.reader.list_rejected_requests_of_recipient(
        digests, RejectionPlace(support.services.now()), ATTEMPTS_SHOWN
    )
    if not requests:
        return []
    return [
        SearchResult(
            kind="tries",
            path=f"/support/tries/{digests[0].hex()}",
            address=mask_if_known(address.typed),
            count=_count_up_to(ATTEMPTS_SHOWN, len(requests)),
            reason="address",
        )
    ]


def person_result(support: SupportContext, recipient_id: UUID, address: str) -> SearchResult:
    """Return a recipient as a result. `address` is in plain text; it is masked here."""
    return SearchResult(
        kind="person",
        path=f"/support/people/{recipient_id}",
        address=mask_if_known(address),
        count=_count_up_to(COUNTED_MAX, support.reader.count_reservations_of_recipient(recipient_id)),
        handed_out=HandOutReader(support.services.storage).count_places(recipient_id),
    )


def _count_up_to(most: int, counted: int) -> str:
    return str(counted) if counted < most else f"{most}+"


def _search_suffix(support: SupportContext, typed: str, language: Language) -> list[SearchResult]:
    """Return codes with this suffix: the first ones, and a page with all if there are more."""
    try:
        suffix = normalize_code(typed.lstrip("…./"))
    except MalformedCodeError:
        return []
    if len(suffix) > SUFFIX_LENGTH:
        return []
    ids = support.reader.find_codes_by_suffix(suffix, UUID(int=0), SHOWN_MAX + 1)
    rows = [row for code_id in ids[:SHOWN_MAX] if (row := support.reader.find_balance(code_id)) is not None]
    results = [code_result(support, code_from_named_row(row), suffix, language, "suffix") for row in rows]
    if len(ids) > SHOWN_MAX:
        results.append(SearchResult(kind="more", path=f"/support/codes?{urlencode({'ends': suffix})}", suffix=suffix))
    return results


def code_result(
    support: SupportContext, code: RedeemCode, suffix: str, language: Language, reason: str = "id"
) -> SearchResult:
    """Return a code as a result."""
    return SearchResult(
        reason=reason,
        kind="code",
        path=f"/support/codes/{code.code_id}",
        suffix=suffix,
        balance_bar=draw_balance_bar(code),
        state=name_code_state(code, support.services.now(), language),
    )
