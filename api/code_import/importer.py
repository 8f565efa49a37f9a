"""The import of codes, for the command line, the API and the admin page.

A code that the ledger already has as its record says is left unchanged, so running an interrupted import again imports
the rest.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final
from uuid import UUID

from api.code_import.faults import InvalidCellError, RejectedRecordError, SkippedRecordError
from api.code_import.file_reader import Record, Records
from api.code_import.import_pipeline import Fault, ImportCounts, ImportKind, ParsedLine
from api.code_import.new_groups import NewGroup, find_new_groups
from api.code_import.row_parser import CodeRow, parse_code, parse_row
from api.use_cases.issue_codes import BATCH, NEW, CodeOrder, CodeTemplate, Usage, issue_with_retries
from domain.commands.context import CommandContext
from domain.events.code import CodeIssued, OpeningBalanceImported
from domain.model.campaign import Campaign
from domain.values.code_strength import classify_code
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.code_list import FoundCode, find_codes
from projections.storage.bootstrap import LedgerStore

GROUPS_MAX: Final = 10_000
"""Different groups of a file that are compared with those of the ledger."""
EXISTS: Final = (
    "the ledger has this code already, with other terms or uses, or outside of the campaign: "
    "remove the line, or use `ledger terms` or `ledger campaign add`"
)


def document_of(counts: ImportCounts) -> dict[str, Any]:
    """Return the counts of a file of codes for JSON."""
    return {
        "applied": counts.is_applied,
        "lines": counts.lines,
        "imported": counts.new if counts.is_applied else 0,
        "already": counts.skipped.total(),
        "rejected": counts.rejected,
        "guessable": counts.guessable,
        "faults": [{"line": fault.line, "column": fault.fault.column, "why": fault.why} for fault in counts.faults],
        "new_groups": [group._asdict() for group in counts.new_groups],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeImport(ImportKind[Record, CodeRow]):
    """Codes of one file.

    Attributes:
        storage: An open ledger.
        records: The file.
        default: What codes have whose record does not say otherwise.
        context: Who imports, at the time of a batch.
        new_id: Random ids.
        code_id: The id of the code of a record's number; a random one by default.
        campaigns: Those that records named so far; None for one that does not exist.
        groups: The groups that records name.
    """

    batch_size: ClassVar = BATCH
    is_concurrent: ClassVar = True

    storage: LedgerStore
    records: Records
    default: CodeTemplate
    context: Callable[[], CommandContext]
    new_id: Callable[[], UUID]
    code_id: Callable[[int], UUID] | None = None
    campaigns: dict[UUID, Campaign | None] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)

    def read(self) -> Records:
        """Return the records of the file."""
        return self.records

    def is_guessable(self, row: CodeRow) -> bool:
        """Return whether a code is short enough to be guessed."""
        return classify_code(row.text) == "short"

    def measure(self, record: Record) -> int:
        """Return the bytes of a record."""
        return len(record.raw)

    def parse(self, number: int, record: Record) -> CodeRow:
        """Read a code with its terms and its history."""
        del number
        if record.error is not None:
            raise record.error
        row = parse_row(record.cells, self.default)
        self._check_campaign(row.template.campaign_id)
        return row

    def find_keys(self, rows: Sequence[CodeRow]) -> Iterator[tuple[str]]:
        """Yield the codes."""
        return ((row.text,) for row in rows)

    def list_keys(self) -> Iterator[str]:
        """Yield all codes, also of lines that have another invalid cell."""
        for record in self.records:
            if len(self.groups) < GROUPS_MAX and (group := record.cells.get("group")):
                self.groups.add(group)
            with suppress(RejectedRecordError):
                yield parse_code(record.cells.get("code", ""))

    def find_new_groups(self) -> list[NewGroup]:
        """Return which groups are new, also of lines that are invalid; that of the campaign of all codes is not."""
        campaign = self._find_campaign(self.default.campaign_id)
        names = self.groups | {self.default.terms.group or ""}
        return find_new_groups(self.storage, names - {"", campaign.terms.group if campaign else ""})

    def judge(self, lines: Sequence[ParsedLine[CodeRow]]) -> list[Fault]:
        """Leave out codes that the ledger has as the file says; reject those that it has otherwise."""
        codes = find_codes(self.storage, [line.row.text for line in lines])
        return [_judge(line, codes.get(line.row.text)) for line in lines]

    def apply(self, lines: Sequence[ParsedLine[CodeRow]]) -> list[Fault]:
        """Issue the codes that the ledger does not have when they are issued."""
        faults = list[Fault]()

        def order_new() -> list[CodeOrder]:
            faults[:] = self.judge(lines)
            return [self._order(line) for line, fault in zip(lines, faults, strict=True) if fault is None]

        issue_with_retries(self.storage, order_new, self.context)
        return faults

    def _check_campaign(self, campaign_id: UUID | None) -> None:
        if campaign_id is None or campaign_id == self.default.campaign_id:
            return
        campaign = self._find_campaign(campaign_id)
        if campaign is None:
            raise InvalidCellError("campaign", f"this ledger has no campaign {campaign_id}: remove the cell")
        if campaign.ended_by is not None:
            raise InvalidCellError("campaign", f"campaign {campaign_id} has ended: remove the cell")

    def _find_campaign(self, campaign_id: UUID | None) -> Campaign | None:
        if campaign_id is None:
            return None
        if campaign_id not in self.campaigns:
            self.campaigns[campaign_id] = CampaignReader(self.storage).find_campaign_state(campaign_id)
        return self.campaigns[campaign_id]

    def _order(self, line: ParsedLine[CodeRow]) -> CodeOrder:
        row, code_id = line.row, self.code_id(line.number) if self.code_id else self.new_id()
        if row.is_new:
            return CodeOrder(code_id, row.text, row.template)
        note = self.storage.vault.seal_text(row.note, self.new_id()) if row.note else None
        usage = Usage(used=row.used, issued_at=row.issued_at, is_paused=row.is_paused, note=note)
        return CodeOrder(code_id, row.text, row.template, NEW if usage == NEW else usage)


def _judge(line: ParsedLine[CodeRow], code: FoundCode | None) -> Fault:
    if (earlier := line.find_earlier()) is not None:
        return RejectedRecordError("repeated", f"code is the same as on line {earlier}", "code")
    if code is None:
        return None
    if _is_same(line.row, code):
        return SkippedRecordError("exists", "the ledger has this code already")
    return RejectedRecordError("exists", EXISTS, "code")


def _is_same(row: CodeRow, code: FoundCode) -> bool:
    """Return whether a code was issued as a record says, and belongs to the campaign that it should belong to."""
    issued, template, events = code.events[0], row.template, code.events
    if not isinstance(issued, CodeIssued) or template.campaign_id not in {None, code.campaign_id}:
        return False
    opening = events[1].uses if len(events) > 1 and isinstance(events[1], OpeningBalanceImported) else 0
    return (issued.terms, issued.bound, opening) == (template.terms, template.bound, row.used)
