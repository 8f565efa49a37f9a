"""Assess every code of the legacy system and, on request, import it, batch by batch."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import ClassVar, NamedTuple, cast
from uuid import UUID

from msgspec.structs import replace

from api.code_import.faults import RejectedRecordError, SkippedRecordError
from api.code_import.import_pipeline import Fault, ImportKind, ParsedLine, Pipeline, RecordBatch
from api.legacy_import.findings import (
    FindingKind,
    ImportFinding,
    ImportSummary,
    Outlook,
    of_code,
    of_queued,
    of_rows,
    of_unreadable_row,
    out_of_range_in_words,
)
from domain.commands.code.import_code import ImportCode, ImportedUse, find_access_end
from domain.commands.context import CommandContext
from domain.errors import Refusal
from domain.events.code_terms import SINGLE_USE
from domain.legacy.evidence import Assessment, EvidencedUse, assess
from domain.legacy.records import LegacyCode
from domain.model.access import Access
from domain.ports import Language
from domain.values.code_strength import classify_code
from domain.values.group_name import group_name_error
from domain.values.identifiers import MalformedCodeError, normalize_code
from projections.legacy.source import LegacyCodeRecords, LegacySystem, UnreadableRow
from projections.read_models.reader import Reader
from projections.storage.bootstrap import LedgerStore

BATCH = 200
"""Codes per transaction. An interrupted run has imported whole batches, and the next run finds the rest."""
DEFAULT_SOURCE = "invitehub"
"""Name of the system whose tables the import reads, in events and notes."""
SOURCE = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
"""Names of a legacy system: they are stored in events, so they can hold no person's data and no markup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyImportOptions:
    """Options of a legacy import.

    Attributes:
        source: Name of the legacy system, for events and notes.
        apply: Whether to import; otherwise codes are only assessed.
        keep_unproven: As `domain.legacy.evidence.assess`.
        rebinds_as_recorded: As `domain.legacy.evidence.assess`.
        keep_binding: Bind a code to the recipient whom the legacy system names although nothing counts as sent.
        notify_ended: Notify recipients whose access ended before the import.
        language: Language of later emails about a code.
        now: The context of a batch: who imports, at database time, under the run's correlation id.
        new_id: Random ids.
    """

    source: str
    apply: bool
    keep_unproven: bool
    rebinds_as_recorded: bool
    keep_binding: bool
    notify_ended: bool
    language: Language
    now: Callable[[], CommandContext]
    new_id: Callable[[], UUID]


class AssessedCode(NamedTuple):
    """A code that can be imported, with its normal form and its assessment."""

    normal: str
    code: LegacyCode
    assessment: Assessment


class LegacyRecord(NamedTuple):
    """The records of one code, and the place of the code in the order in which they are read."""

    line: int
    entry: LegacyCodeRecords


class LegacyImporter(ImportKind[LegacyRecord, AssessedCode]):
    """One run of the import. `summary` holds its counts so far."""

    batch_size: ClassVar = BATCH

    def __init__(self, storage: LedgerStore, reader: Reader, old: LegacySystem, plan: LegacyImportOptions) -> None:
        self._storage = storage
        self._reader = reader
        self._old = old
        self._plan = plan
        self._context = plan.now()
        names = {key: name.strip() for key, name in old.read_group_names().items()}
        self._groups = {key: name for key, name in names.items() if group_name_error(name) is None}
        self.summary = ImportSummary()

    def run(self, progress: Callable[[int], None]) -> Iterator[ImportFinding]:
        """Assess all codes, and import them if the options say so.

        Args:
            progress: Receives the number of codes read so far.

        Yields:
            Findings, in the order in which they come up.

        Raises:
            LegacySourceError: The legacy database stops answering.
            StorageUnavailableError: Our database does. Earlier batches stay imported, and another run continues.
        """
        for finding in chain(self._of_codes(progress), self._of_queue()):
            self.summary.findings += 1
            self.summary.kinds[finding.kind] += finding.number
            yield finding

    def read(self) -> Iterator[LegacyRecord]:
        """Yield the records of every code."""
        return (LegacyRecord(number, entry) for number, entry in enumerate(self._old.read_codes(), start=1))

    def parse(self, number: int, record: LegacyRecord) -> AssessedCode:
        """Assess a code."""
        del number
        code, plan = record.entry.code, self._plan
        if code is None:
            raise RejectedRecordError("no_code", "there are only records of it")
        try:
            normal = normalize_code(code.text)
        except MalformedCodeError as error:
            raise RejectedRecordError("bad_code", "not a valid code; left out") from error
        assessment = assess(
            code, record.entry.records, keep_unproven=plan.keep_unproven, rebinds_as_recorded=plan.rebinds_as_recorded
        )
        return AssessedCode(normal, code, assessment)

    def find_keys(self, rows: Sequence[AssessedCode]) -> Iterator[tuple[str]]:
        """Yield the normal forms."""
        return ((row.normal,) for row in rows)

    def list_keys(self) -> Iterator[str]:
        """Yield the normal forms of all codes, without their records."""
        for _, text in self._old.read_texts():
            with suppress(MalformedCodeError):
                yield normalize_code(text)

    def judge(self, lines: Sequence[ParsedLine[AssessedCode]]) -> list[Fault]:
        """Leave existing codes unchanged, and leave out those that more than one code is equal to."""
        existing_codes, self._context = (
            self._reader.find_existing_codes([line.row.normal for line in lines]),
            self._plan.now(),
        )
        return [_judge(line, existing_codes) for line in lines]

    def apply(self, lines: Sequence[ParsedLine[AssessedCode]]) -> list[Fault]:
        """Import the codes that the ledger does not have."""
        faults = self.judge(lines)
        new_codes = [line.row for line, fault in zip(lines, faults, strict=True) if fault is None]
        for result in self._storage.ledger.execute(list(map(self._command, new_codes))) if new_codes else []:
            if isinstance(result, Refusal):
                raise result
        self.summary.imported += len(new_codes)
        return faults

    def _of_codes(self, progress: Callable[[int], None]) -> Iterator[ImportFinding]:
        for batch in Pipeline(self).iterate(is_applied=self._plan.apply, size=BATCH):
            yield from self._of_batch(batch)
            progress(self.summary.read)

    def _of_batch(self, batch: RecordBatch[LegacyRecord, AssessedCode]) -> Iterator[ImportFinding]:
        rows = {line.line: line.row for line in batch.lines}
        for line, entry in batch.records:
            yield from of_rows(entry)
            code, fault = entry.code, batch.faults.get(line)
            if code is None:
                self.summary.read += any(row.table == "redeem_codes" for row in entry.unreadable_rows)
                continue
            self.summary.read += 1
            if fault is None:
                yield from self._of_new(rows[line])
            else:
                yield ImportFinding(cast("FindingKind", fault.reason), code.text, code.old_id, str(fault))

    def _of_queue(self) -> Iterator[ImportFinding]:
        """Yield findings about recipients who still wait in the legacy queue. The import sends them nothing."""
        for row in self._old.read_queue():
            if isinstance(row, UnreadableRow):
                yield of_unreadable_row(row)
            elif (finding := of_queued(row)) is not None:
                if finding.kind == "unknown_status":
                    self.summary.note_statuses(Counter({("invite_queue", row.status): 1}))
                yield finding

    def _of_new(self, assessed: AssessedCode) -> Iterator[ImportFinding]:
        """Count and yield the findings about a code that the ledger did not have yet."""
        (_, code, assessment), now = assessed, self._context.now
        ended = [at for use in assessment.uses if (at := _ended_at(use, assessed, now)) is not None]
        self.summary.agreeing += assessment.judgment == "agrees"
        self.summary.rebinds += assessment.rebinds
        self.summary.guessable += classify_code(assessed.normal) == "short"
        self.summary.emails += len(ended) if self._plan.notify_ended else 0
        self.summary.note_statuses(assessment.unknown)
        outlook = Outlook(
            ended=ended,
            notify_ended=self._plan.notify_ended,
            keep_binding=self._plan.keep_binding,
            has_group=code.group_id is None or code.group_id in self._groups,
        )
        yield from of_code(code, assessment, outlook)

    def _command(self, assessed: AssessedCode) -> ImportCode:
        (normal, code, assessment), context = assessed, self._context
        new_id, vault = self._plan.new_id, self._storage.vault
        code_id = new_id()
        note = _note(code, assessment, self._plan.source)
        is_bound = self._plan.keep_binding and assessment.binding is not None
        return ImportCode(
            context=context,
            code_id=code_id,
            text=vault.draft_code(normal, code_id),
            source=self._plan.source,
            # The legacy system has no other terms.
            terms=replace(
                SINGLE_USE,
                max_uses=assessment.max_uses,
                expires_at=code.expires_at,
                validity_days=assessment.validity_days,
                group=self._groups.get(code.group_id) if code.group_id is not None else None,
                rebinds_max=assessment.rebinds_max,
            ),
            bound=assessment.bound,
            issued_at=code.created_at,
            language=self._plan.language,
            uses=[self._use(use, code, context.now) for use in assessment.uses],
            openings=assessment.openings,
            is_paused=not code.is_active,
            note=vault.seal_text(note, new_id()) if note else None,
            bound_to=vault.draft_recipient(assessment.binding, new_id()) if is_bound and assessment.binding else None,
            notify_ended=self._plan.notify_ended,
        )

    def _use(self, use: EvidencedUse, code: LegacyCode, now: datetime) -> ImportedUse:
        return ImportedUse(
            reservation_id=self._plan.new_id(),
            recipient=self._storage.vault.draft_recipient(use.email, self._plan.new_id()),
            sent_at=_sent_at(use, code, now),
            accepted_at=use.accepted_at,
            removed_at=(use.removed_at or _sent_at(use, code, now)) if use.is_removed else None,
            activated_at=use.activated_at,
            moves=use.moves,
            is_refunded=use.is_refunded,
        )


def _judge(line: ParsedLine[AssessedCode], existing_codes: set[str]) -> Fault:
    if line.firsts[0] is not None:
        words = "another code is spelled almost the same, so they cannot be distinguished; left out"
        return RejectedRecordError("duplicate", words)
    if line.row.normal in existing_codes:
        return SkippedRecordError("already", "the ledger has this code already; not changed")
    return None


def _sent_at(use: EvidencedUse, code: LegacyCode, now: datetime) -> datetime:
    return use.sent_at or code.created_at or now


def _ended_at(use: EvidencedUse, assessed: AssessedCode, now: datetime) -> datetime | None:
    """Return when its access expired; None if it has not, or if the legacy system removed it."""
    if use.is_removed:
        return None
    access = Access(validity_days=assessed.assessment.validity_days, activated_at=use.activated_at)
    return find_access_end(access, _sent_at(use, assessed.code, now), now)


def _note(code: LegacyCode, assessment: Assessment, source: str) -> str:
    """Return the note of the legacy system, with what the import changed."""
    parts = [code.note] if code.note else []
    if assessment.max_uses != code.max_uses:
        parts.append(f"[{source}] limit {code.max_uses} -> {assessment.max_uses}: {assessment.becomes} uses are proven")
    if assessment.judgment != "agrees":
        parts.append(f"[{source}] counter {assessment.counted} -> {assessment.becomes}")
    parts += [f"[{source}] {out_of_range_in_words(number)}" for number in assessment.out_of_range]
    return "\n".join(parts)
