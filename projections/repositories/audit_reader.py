"""Reads the audit log, from either end, by who acted, what was done, about what and when."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple, get_args
from uuid import UUID

from domain.values.number_bounds import POSITIONS
from projections.database.store_queries import Database, ReadableStore
from projections.read_models.pagination import ListOrder
from projections.repositories.api_keys import ApiKeyRepository
from projections.repositories.audit_log import AuditAction
from projections.repositories.staff_sessions import ProofKind, StaffSessionRepository
from projections.sql.repositories import RepositoriesSql

SubjectKind = Literal[
    "staff", "key", "reservation", "code", "person", "batch", "campaign", "hand_out", "webhook", "group"
]
SUBJECT_KINDS: Final[tuple[SubjectKind, ...]] = get_args(SubjectKind)
SLICE: Final = 500
"""Entries that an export reads at once."""


class AuditRow(NamedTuple):
    """One entry. Neither `staff_id` nor `key_id`: an operator, a sign-in that failed, or a proposal that expired.

    Attributes:
        proof: How a member of staff had proved shortly before who they are; None where no proof is needed.
        approved_by: The second person.
    """

    audit_id: int
    at: datetime
    action: AuditAction
    staff_id: UUID | None
    subject_id: UUID | None
    key_id: UUID | None
    proof: ProofKind | None
    approved_by: UUID | None
    reason: str | None


class AuditSubject(NamedTuple):
    """What an entry is about, as far as it exists.

    Attributes:
        kind: What it is.
        name: Email address of a member of staff, name of a key, group or campaign, URL of an endpoint; None otherwise.
    """

    kind: SubjectKind
    name: str | None


class AuditFilter(NamedTuple):
    """Which entries are read; all without any.

    Attributes:
        staff_id: Only what this member of staff did.
        key_id: Only what was done with this API key.
        by_operator: Only what operators did on the command line.
        action: Only this action.
        subject_id: Only what is about this.
        since: From this time on.
        until: Before this time.
    """

    staff_id: UUID | None = None
    key_id: UUID | None = None
    by_operator: bool = False
    action: AuditAction | None = None
    subject_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


EVERYTHING: Final = AuditFilter()


class AuditReader:
    """Reads entries, and the names of their actors and subjects.

    Raises (all methods):
        StorageUnavailableError: The database is unavailable.
    """

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def list_page(
        self,
        limit: int,
        place: int = POSITIONS.most,
        chosen: AuditFilter = EVERYTHING,
        order: ListOrder = "newest",
    ) -> list[AuditRow]:
        """Return entries behind the one with the number `place`."""
        parameters = {**chosen._asdict(), "place": place, "limit": limit}
        statements = {"newest": RepositoriesSql.newest_audit_entries, "oldest": RepositoriesSql.oldest_audit_entries}
        with self._db.open_transaction() as cursor:
            cursor.execute(RepositoriesSql.plan_audit_filters)
            rows = cursor.execute(statements[order], parameters).fetchall()
        return [AuditRow._make((*fields, self._open(text_id, sealed, key))) for *fields, text_id, sealed, key in rows]

    def iter_rows(self, chosen: AuditFilter) -> Iterator[list[AuditRow]]:
        """Yield all chosen entries, newest first, in slices; without those that are written while it reads."""
        before = POSITIONS.most
        while rows := self.list_page(SLICE, before, chosen):
            yield rows
            before = rows[-1].audit_id

    def find_subjects(self, ids: Sequence[UUID]) -> dict[UUID, AuditSubject]:
        """Return what these ids are of; ids of what no longer exists are missing."""
        rows = self._db.fetch_named(RepositoriesSql.kinds_of_subjects, ids=list(ids)) if ids else []
        kinds: dict[UUID, tuple[SubjectKind, str | None]] = {key: (kind, name) for key, kind, name in rows}
        of_kind = {kind: [key for key, (each, _) in kinds.items() if each == kind] for kind in SUBJECT_KINDS}
        names = {
            **StaffSessionRepository(self._storage).find_email_addresses(of_kind["staff"]),
            **ApiKeyRepository(self._storage).find_names(of_kind["key"]),
        }
        return {key: AuditSubject(kind, names.get(key, name)) for key, (kind, name) in kinds.items()}

    def _open(self, text_id: UUID, sealed: bytes | None, key_id: int) -> str | None:
        return None if sealed is None else self._storage.vault.open_text(text_id, bytes(sealed), key_id)
