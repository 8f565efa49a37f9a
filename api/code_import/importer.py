"""Taking codes of a file over: all of them or none, or all but the bad ones. To go on after it died, run it again.

A code that the ledger has already, as its record says, is left as it is: so a second run takes what the first did not
come to, and a third one nothing. Memory does not grow with the file, but for eight bytes per line.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from api.code_import.duplicates import short_hash
from api.code_import.file_reader import Record, Records
from api.code_import.row_parser import CellFaultError, CodeRow, row_of
from api.use_cases.issue_codes import BATCH, NEW, CodeOrder, CodeTemplate, Usage, issue_batch, map_in_order
from domain.commands.context import CommandContext
from domain.events import CodeIssued, Event, OpeningBalanceImported
from domain.values.batches import batched
from projections.read_models.code_list import CodeTextLookup
from projections.storage.bootstrap import LedgerStore

FAULTS_KEPT_MAX: Final = 100
"""Bad lines that a report names; the rejects file has all."""
EXISTS: Final = "the ledger has this code already, with other terms or uses: leave it out, or change it there"


class RejectedRow(NamedTuple):
    """A line that is bad, and the sentence that says why."""

    line: int
    why: str


@dataclass(slots=True)
class CodeImportCounts:
    """What became of the records. `already`: codes that the ledger has as the file says."""

    lines: int = 0
    imported: int = 0
    already: int = 0
    rejected: int = 0
    faults: list[RejectedRow] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "faults": [fault._asdict() for fault in self.faults]}


class Rejects(Protocol):
    """Keeps the lines that are not taken."""

    def __call__(self, record: Record, why: str) -> None:
        """One more."""


def discard_rejects(record: Record, why: str) -> None:
    """Rejects that nobody asked for."""


@dataclass(frozen=True, slots=True)
class CheckedBatch:
    """A batch of records, looked at: codes to issue, how many are there already, bad ones, and bytes read."""

    rows: list[CodeRow]
    already: int
    bad: list[tuple[Record, str]]
    lines: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeImporter:
    """One file on its way in.

    Attributes:
        storage: An open ledger.
        records: The file.
        usual: CodeTemplate of codes whose record names none.
        context: Of a batch: who imports, at database time.
        new_id: Random ids.
        progress: Told how many bytes of the file are done with.
    """

    storage: LedgerStore
    records: Records
    usual: CodeTemplate
    context: Callable[[], CommandContext]
    new_id: Callable[[], UUID]
    progress: Callable[[int], None] = lambda _: None

    def check(self, rejects: Rejects = discard_rejects) -> CodeImportCounts:
        """Look at every record and change nothing.

        Raises:
            StorageUnavailableError: The database is away.
        """
        tally = CodeImportCounts()
        for weighed in self._weighed():
            self._count(tally, weighed, rejects)
        return tally

    def take(self, rejects: Rejects = discard_rejects) -> CodeImportCounts:
        """Take over every record that is not bad.

        Raises:
            StorageUnavailableError: The database is away; what is done stays, and another run goes on.
        """
        tally = CodeImportCounts()
        for weighed in map_in_order(self._weighed(), self._issue):
            self._count(tally, weighed, rejects)
            tally.imported += len(weighed.rows)
        return tally

    def _count(self, tally: CodeImportCounts, weighed: CheckedBatch, rejects: Rejects) -> None:
        tally.lines += weighed.lines
        tally.already += weighed.already
        tally.rejected += len(weighed.bad)
        for record, why in weighed.bad:
            rejects(record, why)
            if len(tally.faults) < FAULTS_KEPT_MAX:
                tally.faults.append(RejectedRow(record.line, why))
        self.progress(weighed.size)

    def _weighed(self) -> Iterator[CheckedBatch]:
        twice = self.records.twice
        known, seen, size = CodeTextLookup(self.storage), dict[str, int](), 0
        for batch in batched(self.records, BATCH):
            bad: list[tuple[Record, str]] = []
            rows: dict[str, tuple[Record, CodeRow]] = {}
            for record in batch:
                size += len(record.raw)
                try:
                    row = self._read(record, twice, seen)
                except CellFaultError as error:
                    bad.append((record, str(error)))
                else:
                    rows[row.text] = record, row
            there = known.find_first_events(list(rows))
            fresh = [row for text, (_, row) in rows.items() if text not in there]
            others = [rows[text][0] for text, events in there.items() if not _is_same(rows[text][1], events)]
            bad += [(record, EXISTS) for record in others]
            bad.sort(key=lambda pair: pair[0].line)
            yield CheckedBatch(fresh, len(there) - len(others), bad, len(batch), size)

    def _read(self, record: Record, twice: set[int], seen: dict[str, int]) -> CodeRow:
        """One record.

        Raises:
            CellFaultError: It is bad, or its code stands further up.
        """
        if record.fault is not None:
            raise CellFaultError("", record.fault)
        row = row_of(record.cells, self.usual)
        if twice and short_hash(row.text) in twice:
            first = seen.setdefault(row.text, record.line)
            if first != record.line:
                raise CellFaultError("code", f"code is the same as on line {first}")
        return row

    def _issue(self, weighed: CheckedBatch) -> None:
        issue_batch(self.storage, [self._order(row) for row in weighed.rows], self.context())

    def _order(self, row: CodeRow) -> CodeOrder:
        code_id = self.new_id()
        if row.is_new:
            return CodeOrder(code_id, row.text, row.template)
        note = self.storage.vault.seal_text(row.note, self.new_id()) if row.note else None
        usage = Usage(used=row.used, issued_at=row.issued_at, is_paused=row.is_paused, note=note)
        return CodeOrder(code_id, row.text, row.template, NEW if usage == NEW else usage)


def _is_same(row: CodeRow, events: list[Event]) -> bool:
    """Whether a code came into being as a record says."""
    issued, template = events[0], row.template
    if not isinstance(issued, CodeIssued):
        return False
    opening = events[1].uses if len(events) > 1 and isinstance(events[1], OpeningBalanceImported) else 0
    return (issued.terms, issued.bound, opening) == (template.terms, template.bound, row.used)
