"""Batches of codes: the request, its progress, and the codes that it issued.

The ids of a batch's codes are derived from the batch's random id. A runner that continues a batch therefore issues
nothing twice (issuing a known id changes nothing), and no column is needed to find the codes of a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID, uuid5

from domain.events.code_terms import CodeTerms
from projections.database.store_queries import Database, ReadableStore
from projections.read_models.pagination import ListCursor, ListOrder
from projections.sql.repositories import BATCHES, RepositoriesSql
from projections.sql.term_columns import read_terms, term_values
from projections.vault.vault import PrivateText

BatchKind = Literal["issue", "import", "pause", "resume", "revoke", "extend"]
"""The last four change codes that exist."""
ChangeKind = Literal["pause", "resume", "revoke", "extend"]
BatchState = Literal["working", "done", "stopped", "broken"]
REJECTED_LINES_MAX: Final = 10_000
"""Rejected lines of one import that are stored with their numbers; further ones are only counted."""
_NO_NOTE: Final[dict[str, Any]] = {"sealed": None, "key_id": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """A requested batch. `runner` and `lease_until` are set if the requesting process starts on it immediately.

    `approved_by`: the member of staff who approved the request.
    """

    batch_id: UUID
    kind: BatchKind
    staff_id: UUID
    prefix: str
    terms: CodeTerms
    bound: bool
    wanted: int
    note: PrivateText | None = None
    campaign_id: UUID | None = None
    approved_by: UUID | None = None
    runner: UUID | None = None
    lease_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch and its progress.

    `wanted`: codes, or records of the file; `done` of them are processed, `refused` of these were rejected. `text_id`
    names the note in the vault, `campaign_id` the campaign of its codes.
    """

    batch_id: UUID
    kind: BatchKind
    state: BatchState
    requested_at: datetime
    ended_at: datetime | None
    staff_id: UUID
    text_id: UUID | None
    prefix: str
    terms: CodeTerms
    bound: bool
    wanted: int
    done: int
    refused: int
    campaign_id: UUID | None
    approved_by: UUID | None

    @property
    def is_change(self) -> bool:
        """Whether it changes codes that exist."""
        return self.kind not in {"issue", "import"}

    def derive_code_ids(self, after: int, limit: int) -> list[tuple[int, UUID]]:
        """Return number and id of its codes after a number; numbers start at 1, and rejected lines have no code."""
        last = min(self.done, after + limit)
        return [(nth, derive_code_id(self.batch_id, nth)) for nth in range(after + 1, last + 1)]


def derive_code_id(batch_id: UUID, nth: int) -> UUID:
    """Return the id of a batch's code, which is as random as the batch's id."""
    return uuid5(batch_id, str(nth))


class BatchRepository:
    """Reads and writes the tables `batches`, `batch_codes` and `batch_refusals`."""

    def __init__(self, storage: ReadableStore) -> None:
        self._db = Database(storage)

    def insert(self, batch: NewBatch, now: datetime) -> bool:
        """Insert a batch; return False if it exists already."""
        note = batch.note
        values = {
            **term_values(batch.terms),
            "batch_id": batch.batch_id,
            "kind": batch.kind,
            "state": "working",
            "requested_at": now,
            "ended_at": None,
            "staff_id": batch.staff_id,
            "text_id": note.text_id if note else None,
            "prefix": batch.prefix,
            "bound": batch.bound,
            "wanted": batch.wanted,
            "done": 0,
            "refused": 0,
            "campaign_id": batch.campaign_id,
            "approved_by": batch.approved_by,
            "runner": batch.runner,
            "lease_until": batch.lease_until,
        }
        note_text = {"sealed": note.content.sealed, "key_id": note.content.key_id} if note else _NO_NOTE
        return bool(self._db.fetch_named(RepositoriesSql.insert_batch, **values, **note_text))

    def find(self, batch_id: UUID) -> Batch | None:
        """Return one batch."""
        rows = self._db.fetch_all(RepositoriesSql.batch_of_id, batch_id)
        return _batch(rows[0]) if rows else None

    def insert_codes(self, batch_id: UUID, code_ids: Sequence[UUID]) -> None:
        """Insert the codes that a batch changes, numbered from 1."""
        self._db.execute(RepositoriesSql.insert_batch_codes, (batch_id, list(code_ids)))

    def list_code_ids(self, batch: Batch, after: int, limit: int) -> list[tuple[int, UUID]]:
        """Return number and id of codes of a batch in order, after a number; numbers start at 1.

        Of a batch that issues or imports: those that are done, and a rejected line has no code.
        """
        if batch.is_change:
            return [
                (row[0], row[1])
                for row in self._db.fetch_all(RepositoriesSql.codes_of_batch, batch.batch_id, after, limit)
            ]
        return batch.derive_code_ids(after, limit)

    def list_page(self, place: ListCursor, limit: int, order: ListOrder = "newest") -> list[Batch]:
        """Return batches behind a place, by the time of their request."""
        statements = {"newest": RepositoriesSql.newest_batches, "oldest": RepositoriesSql.oldest_batches}
        return [_batch(row) for row in self._db.fetch_all(statements[order], *place, limit)]

    def claim(self, runner: UUID, now: datetime, lease_until: datetime) -> Batch | None:
        """Lease the oldest batch without a runner; imports whose process has ended are marked as broken first."""
        parameters = {"runner": runner, "now": now, "lease_until": lease_until}
        with self._db.open_cursor() as cursor:
            cursor.execute(RepositoriesSql.break_left_imports, parameters)
            rows = cursor.execute(RepositoriesSql.claim_batch, parameters).fetchall()
        return _batch(rows[0]) if rows else None

    def save_progress(self, batch_id: UUID, runner: UUID, done: int, refused: int, lease_until: datetime) -> bool:
        """Store how far its runner is; return False if another runner has the batch, or it was stopped."""
        return bool(
            self._db.fetch_named(
                RepositoriesSql.note_batch,
                batch_id=batch_id,
                runner=runner,
                done=done,
                refused=refused,
                lease_until=lease_until,
            )
        )

    def finish(self, batch_id: UUID, state: BatchState, now: datetime, runner: UUID | None = None) -> bool:
        """Finish a batch in progress; issued codes stay. With a runner: only if that runner has it."""
        return bool(
            self._db.fetch_named(RepositoriesSql.end_batch, batch_id=batch_id, state=state, now=now, runner=runner)
        )

    def insert_rejected_lines(self, batch_id: UUID, refusals: Sequence[tuple[int, str]]) -> None:
        """Insert rejected lines: number and stable reason."""
        lines, reasons = [line for line, _ in refusals], [reason for _, reason in refusals]
        self._db.execute(RepositoriesSql.insert_batch_refusals, (batch_id, lines, reasons))

    def list_rejected_lines(self, batch_id: UUID, after: int, limit: int) -> list[tuple[int, str]]:
        """Return rejected lines in order, after a line."""
        return [
            (row[0], row[1]) for row in self._db.fetch_all(RepositoriesSql.refusals_of_batch, batch_id, after, limit)
        ]


def _batch(row: tuple[Any, ...]) -> Batch:
    values = dict(zip(BATCHES.columns, row, strict=True))
    return Batch(terms=read_terms(values), **{name: values[name] for name in Batch.__slots__ if name != "terms"})
