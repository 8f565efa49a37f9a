"""Which codes a change of many codes is about: those of a list or a batch at one time, with their states."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from typing import Any, Final, NamedTuple
from uuid import UUID

from api.use_cases.approvals.requests import CodeConditions, RevokeCodes, RevokeLine
from api.use_cases.services import LedgerServices
from domain.model.redeem_code import CodeState, RedeemCode
from domain.values.identifiers import EmailAddress
from domain.values.persons.mailboxes import mask_email
from projections.database.store_queries import ReadableStore
from projections.definitions.tables.code_balances import code_from_named_row
from projections.hand_outs.hand_out_reader import HandOutReader
from projections.read_models.code_list import SCAN_LIMIT, CodeListReader
from projections.read_models.pagination import BEGINNINGS, ListCursor, ListOrder
from projections.repositories.issue_batches import Batch, BatchRepository

CODES_MAX: Final = 100_000
"""Most codes of one change. Their ids are stored with the request, in one transaction of about a second."""


SHOWN_MAX: Final = 10
"""Most codes that a question about many of them names."""


class NamedCode(NamedTuple):
    """A code that staff recognize before they change it.

    Attributes:
        suffix: Its last characters; empty if its text was erased.
        recipient_id: Who has it: the only recipient who may redeem it, the one who has, or the one whom it was handed
            out to; None if there is none.
        email: Their masked email address; None if they were erased.
    """

    code_id: UUID
    suffix: str
    recipient_id: UUID | None
    email: str | None


@dataclass
class ChosenCodes:
    """The codes of a list or a batch, as of one time.

    Attributes:
        ids: At most `CODES_MAX` and one.
        states: How many have which state.
        reserved: How many of their uses are reserved.
    """

    ids: list[UUID] = field(default_factory=list)
    states: Counter[CodeState] = field(default_factory=Counter)
    reserved: int = 0

    @property
    def are_too_many(self) -> bool:
        """Whether one change cannot hold them."""
        return len(self.ids) > CODES_MAX


def choose_codes(pages: Iterable[Sequence[Mapping[str, Any]]], as_of: datetime, now: datetime) -> ChosenCodes:
    """Choose the codes of some pages of balances; not those that were issued after `as_of`."""
    chosen = ChosenCodes()
    for rows in pages:
        for row in rows:
            if row["issued_at"] <= as_of:
                code = code_from_named_row(row)
                chosen.ids.append(code.code_id)
                chosen.states[code.state(now)] += 1
                chosen.reserved += code.reserved
        if chosen.are_too_many:
            break
    del chosen.ids[CODES_MAX + 1 :]
    return chosen


def iter_rows_of_batch(batches: BatchRepository, codes: CodeListReader, batch: Batch) -> Iterator[list[dict[str, Any]]]:
    """Iterate over the balances of the codes of a batch, page by page."""
    after = 0
    while ids := batches.list_code_ids(batch, after, SCAN_LIMIT):
        yield list(codes.find_balances([code_id for _, code_id in ids]).values())
        after = ids[-1][0]


def iter_rows_of_list(
    codes: CodeListReader, conditions: CodeConditions, now: Callable[[], datetime]
) -> Iterator[list[dict[str, Any]]]:
    """Iterate over the balances of the codes that meet some conditions, newest first, in chunks."""
    before = find_start(conditions, "newest")
    while rows := list_rows(codes, conditions, before, SCAN_LIMIT, "newest"):
        at = now()
        in_range = takewhile(lambda row: not is_past_range(conditions, row["issued_at"], "newest"), rows)
        yield [row for row in in_range if matches(conditions, code_from_named_row(row), at)]
        if len(rows) < SCAN_LIMIT or is_past_range(conditions, rows[-1]["issued_at"], "newest"):
            return
        before = (rows[-1]["issued_at"], rows[-1]["code_id"])


def list_rows(
    codes: CodeListReader, conditions: CodeConditions, place: ListCursor, limit: int, order: ListOrder
) -> list[dict[str, Any]]:
    """Return the balances behind a place of a list, of its campaign or group; `matches` tells which are meant."""
    if conditions.campaign is not None:
        return codes.list_of_campaign(conditions.campaign, place, limit, order)
    return codes.list_in_order(place, conditions.group or None, limit, order)


def matches(conditions: CodeConditions, code: RedeemCode, now: datetime) -> bool:
    """Return whether a code meets the conditions.

    Those of the query itself are its range of times, the campaign, and the group if no campaign is named.
    """
    if conditions.campaign and conditions.group and code.terms.group != conditions.group:
        return False
    if conditions.kind and code.bound != (conditions.kind == "bound"):
        return False
    return not conditions.state or code.state(now) == conditions.state


def find_start(conditions: CodeConditions, order: ListOrder) -> ListCursor:
    """Return the place before the first code that may match, in an order."""
    bound = conditions.until if order == "newest" else conditions.since
    return BEGINNINGS[order] if bound is None else (bound, UUID(int=0))


def is_past_range(conditions: CodeConditions, issued_at: datetime, order: ListOrder) -> bool:
    """Return whether no later code of a list in this order can match."""
    if order == "newest":
        return conditions.since is not None and issued_at < conditions.since
    return conditions.until is not None and issued_at >= conditions.until


def collect_codes(
    storage: ReadableStore, request: RevokeCodes | RevokeLine, as_of: datetime, now: datetime
) -> ChosenCodes | None:
    """Find the codes that a request means now; not those that were issued after `as_of`.

    None without its batch or line.
    """
    codes, batches = CodeListReader(storage), BatchRepository(storage)
    if isinstance(request, RevokeLine):
        ids = HandOutReader(storage).list_codes_of_line(request.line_id)
        return choose_codes([[*codes.find_balances(ids).values()]], as_of, now) if ids else None
    if request.batch_id is None:
        return choose_codes(iter_rows_of_list(codes, request.conditions, lambda: now), as_of, now)
    batch = batches.find(request.batch_id)
    return None if batch is None else choose_codes(iter_rows_of_batch(batches, codes, batch), as_of, now)


def name_first_codes(services: LedgerServices, chosen: ChosenCodes) -> list[NamedCode]:
    """Name the first of some codes, at most `SHOWN_MAX`, and who has them."""
    reader, ids = CodeListReader(services.storage), chosen.ids[:SHOWN_MAX]
    rows, texts = reader.find_balances(ids), reader.find_texts(ids, clear=False)
    codes = [code_from_named_row(rows[code_id]) for code_id in ids]
    owners = {code.code_id: code.bound_to or code.owner_id for code in codes}
    hand_outs = HandOutReader(services.storage)
    for code_id in [code_id for code_id, owner in owners.items() if owner is None]:
        if place := hand_outs.find_place_of_code(code_id):
            owners[code_id] = place[1]
    addresses = services.reader.find_recipients([owner for owner in owners.values() if owner is not None])
    return [
        NamedCode(
            code_id,
            texts[code_id].suffix if code_id in texts else "",
            owner,
            mask_email(address.normal) if isinstance(address, EmailAddress) else None,
        )
        for code_id, owner in owners.items()
        for address in [None if owner is None else addresses.get(owner)]
    ]
