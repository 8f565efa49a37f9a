"""Proposals that wait for the approval of a second person, and what became of them.

A proposal is open until it is rejected, withdrawn or expired, or until the approved action was performed. Then the
reason and the email address that it named are deleted, and the row stays for the list.
"""

import hashlib
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from projections.config.approvals import ApprovalKind
from projections.database.store_queries import Database, ReadableStore
from projections.read_models.pagination import ListCursor, ListOrder
from projections.repositories.audit_log import OPERATOR, AuditLog, AuditRecorder, describe_reason, describe_values
from projections.sql.repositories import APPROVALS, RepositoriesSql
from projections.storage.bootstrap import LedgerStore

OPEN_MAX: Final = 100
"""Most proposals that are open at the same time: more than people can decide in the days until they expire."""
EXPIRED_PER_RUN: Final = 100
"""Proposals that one run of the retention lets expire: as many as can be open."""
RETENTION: Final = timedelta(days=30)
"""How long a closed proposal is listed. The audit log keeps who decided what, and why."""

ApprovalState = Literal["waiting", "approved", "rejected", "withdrawn", "expired"]
ProposerKind = Literal["staff", "key", "operator"]
DONE: Final = "done"
"""Outcome of an action that was performed; any other outcome is the code of a refusal."""


class PrivatePart(msgspec.Struct, frozen=True):
    """What a proposal stores encrypted: why it was made, and the email address of a person, if it is about one."""

    reason: str
    address: str | None = None


class Proposer(NamedTuple):
    """Who proposed: the kind and id of the actor, and the member of staff whom the proposal counts as one of."""

    actor: ProposerKind
    actor_id: str | None
    staff_id: UUID | None

    @property
    def key_id(self) -> UUID | None:
        """The API key; None if none proposed."""
        return UUID(self.actor_id) if self.actor == "key" and self.actor_id is not None else None


class Proposal(NamedTuple):
    """A proposal. `asked` says what is to be done; `private` is None once the proposal is closed.

    `outcome`: None until an approved action was performed; then `done`, or the code of the refusal.
    """

    approval_id: UUID
    kind: ApprovalKind
    subject_id: UUID | None
    asked: str
    private: PrivatePart | None
    proposer: Proposer
    proposed_at: datetime
    expires_at: datetime
    state: ApprovalState
    decided_by: UUID | None
    decided_at: datetime | None
    outcome: str | None

    @property
    def is_unfinished(self) -> bool:
        """Whether it was approved, and the action was not performed to its end yet."""
        return self.state == "approved" and self.outcome is None

    def state_at(self, now: datetime) -> ApprovalState:
        """Return the state at a time: what was not decided in time has expired, before its row says so."""
        is_open = self.state == "waiting" or (self.is_unfinished and self.kind == "export_person")
        return "expired" if is_open and self.expires_at <= now else self.state


class NewProposal(NamedTuple):
    """A proposal to store. `fingerprint`: the same for the same request."""

    approval_id: UUID
    kind: ApprovalKind
    subject_id: UUID | None
    asked: str
    fingerprint: bytes
    private: PrivatePart
    proposer: Proposer
    expires_at: datetime


class ExpiredProposal(NamedTuple):
    """A proposal that was not decided in time."""

    approval_id: UUID
    kind: ApprovalKind
    subject_id: UUID | None


def compute_fingerprint(asked: str, address_digest: bytes) -> bytes:
    """Return the digest by which the same request is found; that of an address is empty if it names none."""
    return hashlib.sha256(asked.encode() + b"\0" + address_digest).digest()


class ApprovalRepository:
    """Reads and writes the table `approvals`.

    Raises (all methods):
        StorageUnavailableError: The database is unavailable.
    """

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def insert(self, new: NewProposal, now: datetime) -> bool:
        """Insert a proposal; return False if the same one is open, or as many as may be."""
        sealed = self._storage.vault.seal("text", new.approval_id, msgspec.json.encode(new.private).decode())
        values = APPROVALS.row(
            approval_id=new.approval_id,
            kind=new.kind,
            subject_id=new.subject_id,
            asked=new.asked,
            fingerprint=new.fingerprint,
            sealed=sealed.sealed,
            key_id=sealed.key_id,
            actor=new.proposer.actor,
            actor_id=new.proposer.actor_id,
            proposer_id=new.proposer.staff_id,
            proposed_at=now,
            expires_at=new.expires_at,
            state="waiting",
        )
        named = dict(zip(APPROVALS.columns, values, strict=True))
        return bool(self._db.fetch_named(RepositoriesSql.insert_approval, **named, open_max=OPEN_MAX))

    def find(self, approval_id: UUID) -> Proposal | None:
        """Return a proposal; None if there is none, or it was deleted by age."""
        rows = self._db.fetch_all(RepositoriesSql.approval_of_id, approval_id)
        return self._read(rows[0]) if rows else None

    def find_open(self, fingerprint: bytes) -> Proposal | None:
        """Return the open proposal of the same request."""
        rows = self._db.fetch_all(RepositoriesSql.open_approval_of_fingerprint, fingerprint)
        return self._read(rows[0]) if rows else None

    def list_page(
        self, place: ListCursor, limit: int, order: ListOrder, kinds: Collection[ApprovalKind], *, is_open: bool
    ) -> list[Proposal]:
        """Return proposals of some kinds behind a place, by the time at which they were made."""
        statements = {"newest": RepositoriesSql.newest_approvals, "oldest": RepositoriesSql.oldest_approvals}
        at, after_id = place
        parameters = {"at": at, "id": after_id, "kinds": list(kinds), "is_open": is_open, "limit": limit}
        return [self._read(row) for row in self._db.fetch_named(statements[order], **parameters)]

    def count_to_decide(self, kinds: Collection[ApprovalKind], staff_id: UUID, now: datetime) -> int:
        """Count the proposals of some kinds that this member of staff could decide, or has to finish."""
        parameters = {"kinds": list(kinds), "staff_id": staff_id, "now": now}
        return int(self._db.fetch_named(RepositoriesSql.count_approvals_to_decide, **parameters)[0][0])

    def approve(self, approval_id: UUID, staff_id: UUID, now: datetime) -> bool:
        """Approve a waiting proposal; return False if it was decided before, or has expired."""
        parameters = {"approval_id": approval_id, "decided_by": staff_id, "now": now}
        return bool(self._db.fetch_named(RepositoriesSql.approve_proposal, **parameters))

    def close(
        self, approval_id: UUID, state: Literal["rejected", "withdrawn"], staff_id: UUID | None, now: datetime
    ) -> bool:
        """Close a waiting proposal; return False if it was decided before, or has expired."""
        parameters = {"approval_id": approval_id, "state": state, "decided_by": staff_id, "now": now}
        return bool(self._db.fetch_named(RepositoriesSql.close_proposal, **parameters))

    def finish(self, approval_id: UUID, outcome: str) -> bool:
        """Store what became of an approved action; return False if that is stored already."""
        parameters = {"approval_id": approval_id, "outcome": outcome}
        return bool(self._db.fetch_named(RepositoriesSql.finish_approved, **parameters))

    def expire(self, now: datetime) -> list[ExpiredProposal]:
        """Close proposals that were not decided in time."""
        rows = self._db.fetch_named(RepositoriesSql.expire_approvals, now=now, limit=EXPIRED_PER_RUN)
        return [ExpiredProposal(*row) for row in rows]

    def prune(self, before: datetime, limit: int) -> int:
        """Delete proposals that were closed before a time; return how many."""
        return self._db.execute(RepositoriesSql.prune_approvals, (before, limit))

    def _read(self, row: tuple[Any, ...]) -> Proposal:
        values = dict(zip(APPROVALS.columns, row, strict=True))
        private = None
        if values["sealed"] is not None:
            text = self._storage.vault.open_text(values["approval_id"], values["sealed"], values["key_id"])
            private = msgspec.json.decode(text, type=PrivatePart)
        return Proposal(
            private=private,
            proposer=Proposer(values["actor"], values["actor_id"], values["proposer_id"]),
            **{name: values[name] for name in Proposal._fields if name not in {"private", "proposer"}},
        )


def record_decision(
    record: AuditRecorder,
    action: Literal["proposed", "approved", "rejected", "withdrew", "let_expire"],
    approval_id: UUID,
    kind: ApprovalKind,
    subject_id: UUID | None,
    reason: str | None = None,
) -> None:
    """Write the entry of a step of a proposal; its reason is about what the proposal is about."""
    facts = {"kind": kind, "approval": approval_id}
    details = describe_values(**facts) if reason is None else describe_reason(reason, **facts)
    record(action, subject_id, details)


def expire_due(storage: LedgerStore, now: datetime, new_id: Callable[[], UUID]) -> int:
    """Close the proposals that were not decided in time, each with an entry in the audit log; return how many.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """

    def change(record: AuditRecorder) -> int:
        expired = ApprovalRepository(storage).expire(now)
        for each in expired:
            record_decision(record, "let_expire", each.approval_id, each.kind, each.subject_id)
        return len(expired)

    return AuditLog(storage, OPERATOR, now, new_id).perform(change)
