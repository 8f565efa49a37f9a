"""Imports the codes of a file, for the command line, the API and the admin page: all, or all but the invalid records.

A code that the ledger already has as its record says is left unchanged, so running an interrupted import again imports
the rest. Memory does not grow with the file, except for eight bytes per line.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from api.code_import.duplicates import short_hash
from api.code_import.file_reader import Record, Records
from api.code_import.row_parser import CodeRow, InvalidCellError, RejectedRecordError, parse_row
from api.use_cases.issue_codes import (
    BATCH,
    NEW,
    CodeOrder,
    CodeTemplate,
    Usage,
    issue_with_retries,
    map_in_order,
)
from domain.commands.context import CommandContext
from domain.events.code import CodeIssued, OpeningBalanceImported
from domain.model.campaign import Campaign
from domain.values.batched import batched
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.code_list import FoundCode, find_codes
from projections.storage.bootstrap import LedgerStore

REPORTED_LINES_MAX: Final = 100
"""Rejected lines that a report names; the rejects file has all."""
EXISTS: Final = (
    "the ledger has this code already, with other terms or uses, or outside of the campaign: "
    "remove the line, or use `ledger terms` or `ledger campaign add`"
)


class RejectedRow(NamedTuple):
    """The line of a rejected record, and the sentence that says why."""

    line: int
    why: str


@dataclass(slots=True)
class CodeImportCounts:
    """How many records there were, by outcome. `already`: codes that the ledger has as the file says."""

    lines: int = 0
    imported: int = 0
    already: int = 0
    rejected: int = 0
    faults: list[RejectedRow] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return the counts for JSON."""
        return {**asdict(self), "faults": [fault._asdict() for fault in self.faults]}


class Rejects(Protocol):
    """Stores rejected records."""

    def __call__(self, record: Record, why: str) -> None:
        """Store one record."""


def discard_rejects(record: Record, why: str) -> None:
    """Store nothing."""


class NumberedRow(NamedTuple):
    """A record that can be imported, and its number in the file, from 1."""

    number: int
    record: Record
    row: CodeRow


@dataclass(slots=True)
class RecordBatch:
    """Some records of a file by outcome, in the order of the file, and the bytes read up to the last one.

    Attributes:
        read: How many records there are.
        size: Bytes of the file up to the last record.
        new: Codes to issue.
        existing: Records whose codes the ledger has as the file says.
        rejected: Records that are invalid.
    """

    read: int
    size: int
    new: list[NumberedRow]
    existing: list[Record] = field(default_factory=list)
    rejected: list[tuple[Record, RejectedRecordError]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeImporter:
    """Imports one file.

    Attributes:
        storage: An open ledger.
        records: The file.
        default: What codes have whose record does not say otherwise.
        context: Who imports, at the time of a batch.
        new_id: Random ids.
        code_id: The id of the code of a record's number; a random one by default.
        progress: Gets the number of bytes that are done.
        campaigns: Those that records named so far; None for one that does not exist.
    """

    storage: LedgerStore
    records: Records
    default: CodeTemplate
    context: Callable[[], CommandContext]
    new_id: Callable[[], UUID]
    code_id: Callable[[int], UUID] | None = None
    progress: Callable[[int], None] = lambda _: None
    campaigns: dict[UUID, Campaign | None] = field(default_factory=dict)

    def check(self, rejects: Rejects = discard_rejects) -> CodeImportCounts:
        """Check every record and change nothing.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        counts = CodeImportCounts()
        for batch in self._read_batches(BATCH):
            self._split_existing(batch)
            self._count(counts, batch, rejects)
        return counts

    def import_all(self, rejects: Rejects = discard_rejects) -> CodeImportCounts:
        """Import every valid record, several batches at the same time.

        Raises:
            StorageUnavailableError: The database is unavailable; what was imported stays, and another run continues.
        """
        counts = CodeImportCounts()
        for batch in map_in_order(self._read_batches(BATCH), self._import):
            self._count(counts, batch, rejects)
            counts.imported += len(batch.new)
        return counts

    def import_in_turn(self, size: int) -> Iterator[RecordBatch]:
        """Import every valid record, one batch at a time, each when the next one is asked for.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        for batch in self._read_batches(size):
            self._import(batch)
            yield batch

    def _count(self, counts: CodeImportCounts, batch: RecordBatch, rejects: Rejects) -> None:
        counts.lines += batch.read
        counts.already += len(batch.existing)
        counts.rejected += len(batch.rejected)
        for record, error in batch.rejected:
            rejects(record, str(error))
            if len(counts.faults) < REPORTED_LINES_MAX:
                counts.faults.append(RejectedRow(record.line, str(error)))
        self.progress(batch.size)

    def _read_batches(self, size: int) -> Iterator[RecordBatch]:
        repeated, first_lines, bytes_read = self.records.repeated_hashes, dict[str, int](), 0
        for numbered in batched(enumerate(self.records, start=1), size):
            bytes_read += sum(len(record.raw) for _, record in numbered)
            batch = RecordBatch(len(numbered), bytes_read, [])
            for number, record in numbered:
                try:
                    row = self._parse(record, repeated, first_lines)
                except RejectedRecordError as error:
                    batch.rejected.append((record, error))
                else:
                    batch.new.append(NumberedRow(number, record, row))
            yield batch

    def _parse(self, record: Record, repeated: set[int], first_lines: dict[str, int]) -> CodeRow:
        """Return the code of a record.

        Raises:
            RejectedRecordError: The record is invalid, or an earlier line has its code.
        """
        if record.error is not None:
            raise record.error
        row = parse_row(record.cells, self.default)
        self._check_campaign(row.template.campaign_id)
        if repeated and short_hash(row.text) in repeated:
            first_line = first_lines.setdefault(row.text, record.line)
            if first_line != record.line:
                raise RejectedRecordError("repeated", f"code is the same as on line {first_line}")
        return row

    def _check_campaign(self, campaign_id: UUID | None) -> None:
        if campaign_id is None or campaign_id == self.default.campaign_id:
            return
        if campaign_id not in self.campaigns:
            self.campaigns[campaign_id] = CampaignReader(self.storage).find_campaign_state(campaign_id)
        campaign = self.campaigns[campaign_id]
        if campaign is None:
            raise InvalidCellError("campaign", f"this ledger has no campaign {campaign_id}: remove the cell")
        if campaign.ended_by is not None:
            raise InvalidCellError("campaign", f"campaign {campaign_id} has ended: remove the cell")

    def _split_existing(self, batch: RecordBatch) -> None:
        """Move the codes that the ledger has from the new ones to the existing or the rejected ones."""
        codes = find_codes(self.storage, [new.row.text for new in batch.new])
        if not codes:
            return
        for _, record, row in (new for new in batch.new if new.row.text in codes):
            if _is_same(row, codes[row.text]):
                batch.existing.append(record)
            else:
                batch.rejected.append((record, RejectedRecordError("exists", EXISTS)))
        batch.new = [new for new in batch.new if new.row.text not in codes]
        batch.rejected.sort(key=lambda pair: pair[0].line)

    def _import(self, batch: RecordBatch) -> RecordBatch:
        def order_new() -> Sequence[CodeOrder]:
            self._split_existing(batch)
            return [self._order(new) for new in batch.new]

        issue_with_retries(self.storage, order_new, self.context)
        return batch

    def _order(self, new: NumberedRow) -> CodeOrder:
        row, code_id = new.row, self.code_id(new.number) if self.code_id else self.new_id()
        if row.is_new:
            return CodeOrder(code_id, row.text, row.template)
        note = self.storage.vault.seal_text(row.note, self.new_id()) if row.note else None
        usage = Usage(used=row.used, issued_at=row.issued_at, is_paused=row.is_paused, note=note)
        return CodeOrder(code_id, row.text, row.template, NEW if usage == NEW else usage)


def _is_same(row: CodeRow, code: FoundCode) -> bool:
    """Return whether a code was issued as a record says, and belongs to the campaign that it should belong to."""
    issued, template, events = code.events[0], row.template, code.events
    if not isinstance(issued, CodeIssued) or template.campaign_id not in {None, code.campaign_id}:
        return False
    opening = events[1].uses if len(events) > 1 and isinstance(events[1], OpeningBalanceImported) else 0
    return (issued.terms, issued.bound, opening) == (template.terms, template.bound, row.used)
