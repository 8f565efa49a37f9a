"""The pipeline of every import: reads records in batches, judges or applies each batch, counts and reports outcomes.

A kind of import is a declaration to it (`ImportKind`): where records come from, how one is parsed, what may occur only
once, what exists already, and what applies a batch. Memory does not grow with the file, except for eight bytes per key.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import ClassVar, Final, Generic, Literal, NamedTuple, Protocol, TypeVar
from uuid import UUID

from api.code_import.duplicates import FirstLines
from api.code_import.faults import FaultyLine, RejectedRecordError, SkippedRecordError
from api.code_import.new_groups import NewGroup
from api.use_cases.issue_codes import map_in_order
from domain.values.batched import batched

REPORTED_LINES_MAX: Final = 100
"""Lines that a report names, of those that are rejected and of those that are left out; the rejects file has all."""


class _HasLine(Protocol):
    @property
    def line(self) -> int:
        """The line of the record in its file, from 1."""


RecordT = TypeVar("RecordT", bound=_HasLine)
Row = TypeVar("Row")
Key = str | UUID
Pass = Literal["checking", "importing"]


@dataclass(frozen=True, slots=True)
class ParsedLine(Generic[Row]):
    """A record that could be parsed.

    Attributes:
        number: Its number, from 1; empty lines have none.
        line: Its line in the file.
        row: What it says.
        keys: What only one line may have.
        firsts: For each of its keys the first line that has it; None if no other line has it.
    """

    number: int
    line: int
    row: Row
    keys: Sequence[Key | None]
    firsts: Sequence[int | None]

    def find_earlier(self, key: int = 0) -> int | None:
        """Return the earlier line with the same key; None if there is none."""
        return None if self.firsts[key] == self.line else self.firsts[key]


Fault = RejectedRecordError | None
"""Why a line is rejected or left out; None if it is imported."""


class ImportKind(ABC, Generic[RecordT, Row]):
    """What one kind of import declares.

    Attributes:
        batch_size: Records of one batch, which is one commit.
        is_concurrent: Whether batches are applied at the same time.
    """

    batch_size: ClassVar[int]
    is_concurrent: ClassVar[bool] = False

    @abstractmethod
    def read(self) -> Iterable[RecordT]:
        """Yield every record; may be called several times."""

    @abstractmethod
    def parse(self, number: int, record: RecordT) -> Row:
        """Read a record.

        Raises:
            RejectedRecordError: It is invalid.
        """

    @abstractmethod
    def find_keys(self, rows: Sequence[Row]) -> Iterable[Sequence[Key | None]]:
        """Return for each row what only one row of the file may have; rows are valid ones, in their order."""

    def list_keys(self) -> Iterator[Key | None] | None:
        """Yield the keys of the whole file, if there is a quicker way than to parse it."""
        return None

    @abstractmethod
    def judge(self, lines: Sequence[ParsedLine[Row]]) -> Sequence[Fault]:
        """Return for each line of a batch what an import would do with it."""

    @abstractmethod
    def apply(self, lines: Sequence[ParsedLine[Row]]) -> Sequence[Fault]:
        """Import a batch in one commit, and return what became of each line."""

    def find_new_groups(self) -> Sequence[NewGroup]:
        """Return the groups that the import would be the first to name; keys have been listed before."""
        return ()

    def is_guessable(self, row: Row) -> bool:
        """Return whether a row brings a code that is short enough to be guessed."""
        del row
        return False

    def measure(self, record: RecordT) -> int:
        """Return how much progress a record is."""
        del record
        return 1

    def open_target(self, checked: "ImportCounts | None") -> AbstractContextManager[None]:
        """Enclose all batches that are applied; `checked` has the counts of the check before, if there was one."""
        del checked
        return nullcontext()


class RecordBatch(NamedTuple, Generic[RecordT, Row]):
    """Some records in the order of the file: those that could be parsed, and the faults of others and of these."""

    records: Sequence[RecordT]
    lines: Sequence[ParsedLine[Row]]
    faults: dict[int, RejectedRecordError]

    @property
    def faulty(self) -> Iterator[tuple[RecordT, RejectedRecordError]]:
        """Yield the records that are rejected or left out."""
        return ((record, self.faults[record.line]) for record in self.records if record.line in self.faults)


@dataclass(slots=True)
class ImportCounts:
    """How many records there were, by outcome.

    Attributes:
        is_applied: Whether the file was imported; otherwise it was checked.
        lines: All records.
        new: Records that were imported, or would be.
        skipped: Records that were left out, by reason.
        rejected: Invalid ones.
        faults: The first invalid ones.
        left_out: The first that were left out.
        guessable: How many of the new ones are codes short enough to be guessed.
        new_groups: Groups that the ledger did not have when the file was checked.
    """

    is_applied: bool = False
    lines: int = 0
    new: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    guessable: int = 0
    faults: list[FaultyLine] = field(default_factory=list)
    left_out: list[FaultyLine] = field(default_factory=list)
    new_groups: Sequence[NewGroup] = ()

    def add(self, record: _HasLine, fault: RejectedRecordError) -> None:
        """Count a record that is rejected or left out."""
        if isinstance(fault, SkippedRecordError):
            self.skipped[fault.reason] += 1
            reported = self.left_out
        else:
            self.rejected += 1
            reported = self.faults
        if len(reported) < REPORTED_LINES_MAX:
            reported.append(FaultyLine(record.line, fault))


def _show_nothing(done: int) -> None:
    del done


@dataclass
class Pipeline(Generic[RecordT, Row]):
    """Imports one file, or checks it.

    Attributes:
        kind: What is imported.
        reject: Stores invalid records.
        progress: Opens the progress bar of a pass; what it opens is called with how much is done.
    """

    kind: ImportKind[RecordT, Row]
    reject: Callable[[RecordT, RejectedRecordError], None] = lambda _record, _fault: None
    progress: Callable[[Pass], AbstractContextManager[Callable[[int], object]]] = lambda _: nullcontext(_show_nothing)

    def run(self, *, dry_run: bool, skip_bad: bool = False, may_create_groups: bool = False) -> ImportCounts:
        """Import the file, unless it has an invalid record or names a new group.

        Args:
            dry_run: Only check the file.
            skip_bad: Import the valid records of a file that has invalid ones.
            may_create_groups: Import a file that names new groups.

        Raises:
            StorageUnavailableError: The database is unavailable. What was imported stays, and another run continues.
        """
        new_groups, checked = self.find_new_groups(), None
        is_check = dry_run or bool(new_groups and not may_create_groups)
        if is_check or not skip_bad:
            checked = self._pass("checking", None)
            checked.new_groups, checked.is_applied = new_groups, not (is_check or checked.rejected or checked.new)
            if is_check or checked.rejected or not checked.new:
                return checked
        counts = self._pass("importing", checked)
        counts.new_groups = new_groups
        return counts

    def find_new_groups(self) -> Sequence[NewGroup]:
        """Return the groups that the import would be the first to name."""
        _ = self._first_lines
        return self.kind.find_new_groups()

    def iterate(self, *, is_applied: bool, size: int | None = None) -> Iterator[RecordBatch[RecordT, Row]]:
        """Judge or apply batches in their order, each when it is asked for.

        Args:
            is_applied: Whether to import them.
            size: Records of a batch; by default as the kind says.
        """
        batches = self._parse_batches(size or self.kind.batch_size, self._first_lines)
        return map(partial(self._decide, self.kind.apply if is_applied else self.kind.judge), batches)

    def _pass(self, name: Pass, checked: ImportCounts | None) -> ImportCounts:
        is_applied = name == "importing"
        counts, done = ImportCounts(is_applied=is_applied), 0
        target = self.kind.open_target(checked) if is_applied else nullcontext()
        batches = self._parse_batches(self.kind.batch_size, self._first_lines)
        decide = partial(self._decide, self.kind.apply if is_applied else self.kind.judge)
        with self.progress(name) as show, target:
            for batch in map_in_order(batches, decide) if self.kind.is_concurrent else map(decide, batches):
                counts.lines += len(batch.records)
                new = [line.row for line in batch.lines if line.line not in batch.faults]
                counts.new += len(new)
                counts.guessable += sum(map(self.kind.is_guessable, new))
                for record, fault in batch.faulty:
                    counts.add(record, fault)
                    if not isinstance(fault, SkippedRecordError):
                        self.reject(record, fault)
                done += sum(map(self.kind.measure, batch.records))
                show(done)
                del batch, new  # or two batches would be in memory
        return counts

    def _decide(
        self, decide: Callable[[Sequence[ParsedLine[Row]]], Sequence[Fault]], batch: RecordBatch[RecordT, Row]
    ) -> RecordBatch[RecordT, Row]:
        for line, fault in zip(batch.lines, decide(batch.lines), strict=True):
            if fault is not None:
                batch.faults[line.line] = fault
        return batch

    def _parse_batches(self, size: int, first_lines: FirstLines) -> Iterator[RecordBatch[RecordT, Row]]:
        return map(partial(self._parse, first_lines), batched(enumerate(self.kind.read(), start=1), size))

    def _parse(self, first_lines: FirstLines, numbered: Sequence[tuple[int, RecordT]]) -> RecordBatch[RecordT, Row]:
        parsed, faults = list[tuple[int, int, Row]](), dict[int, RejectedRecordError]()
        for number, record in numbered:
            try:
                parsed.append((number, record.line, self.kind.parse(number, record)))
            except RejectedRecordError as error:
                faults[record.line] = error
        keys_by_row = self.kind.find_keys([row for _, _, row in parsed])
        lines = [
            ParsedLine(*each, keys, [None if key is None else first_lines.find(str(key), each[1]) for key in keys])
            for each, keys in zip(parsed, keys_by_row, strict=True)
        ]
        return RecordBatch([record for _, record in numbered], lines, faults)

    @cached_property
    def _first_lines(self) -> FirstLines:
        """The keys that the file has more than once, by a pass over it, which ends before another one begins."""
        keys = self.kind.list_keys()
        return FirstLines(str(key) for key in (self._parse_keys() if keys is None else keys) if key is not None)

    def _parse_keys(self) -> Iterator[Key | None]:
        for batch in self._parse_batches(self.kind.batch_size, FirstLines(())):
            for line in batch.lines:
                yield from line.keys
