"""Which codes a change of many codes is about: those of a list or a batch at one time, with their states."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from domain.model.redeem_code import CodeState
from projections.definitions.tables.code_balances import code_from_named_row
from projections.read_models.code_list import SCAN_LIMIT, CodeListReader
from projections.read_models.pagination import OLDEST
from projections.repositories.issue_batches import Batch, BatchRepository

CODES_MAX: Final = 100_000
"""Most codes of one change. Their ids are stored with the request, in one transaction of about a second."""


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
    codes: CodeListReader, group: str | None, campaign_id: UUID | None
) -> Iterator[list[dict[str, Any]]]:
    """Iterate over the balances of the codes of a campaign, or else of a group, or else of all, page by page."""
    after = OLDEST
    while rows := codes.list_balances(after, SCAN_LIMIT, group=group, campaign_id=campaign_id):
        yield rows
        after = (rows[-1]["issued_at"], rows[-1]["code_id"])
