"""The audit log: what staff, API keys and operators do beside the event log, each in one transaction with its line.

Nothing is changed or revealed without its line, and no line tells of what was rolled back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeVar
from uuid import UUID

import psycopg
from eventsourcing.persistence import PersistenceError
from psycopg import Connection

from projections.database.errors import StorageUnavailableError
from projections.database.roles import assume_runtime_role
from projections.sql.repositories import RepositoriesSql
from projections.storage.bootstrap import LedgerStore

T = TypeVar("T")

AuditAction = Literal[
    "signed_in",
    "sign_in_failed",
    "signed_out",
    "unmasked_email",
    "unmasked_code",
    "issued_codes",
    "imported_codes",
    "exported_codes",
    "exported_emails",
    "stopped_batch",
    "made_key",
    "revoked_key",
    "added_staff",
    "changed_role",
    "reset_password",
    "removed_staff",
    "changed_group",
    "changed_channel",
    "rotated_secret",
    "made_webhook",
    "changed_webhook",
    "removed_webhook",
    "redelivered",
    "sent_test",
    "changed_password",
    "undid_outage",
    "exported_keys",
    "exported_vault",
    "imported_vault",
    "forgot_person",
    "rotated_keys",
    "exported_person",
]


class Actor(NamedTuple):
    """Who acts: a member of staff or an API key; neither for an operator at the machine."""

    staff_id: UUID | None = None
    key_id: UUID | None = None


OPERATOR = Actor()


@dataclass(frozen=True, slots=True)
class AuditLog:
    """What is needed to act with a line in the audit log.

    Attributes:
        actor: Who acts.
        now: Database time.
        new_id: Random ids.
    """

    storage: LedgerStore
    actor: Actor
    now: datetime
    new_id: Callable[[], UUID]

    def perform(self, change: Callable[["AuditRecorder"], T]) -> T:
        """Make a change and record it, in one transaction: all that the change asks of the ledger's pool is in it.

        Args:
            change: Makes it, and calls what it is given for each line; for none if nothing came of it.

        Raises:
            StorageUnavailableError: The database is away; nothing was changed.
        """
        try:
            with self.storage.datastore.one_transaction() as conn:
                return change(AuditRecorder(self, conn))
        except (PersistenceError, psycopg.Error) as error:
            raise StorageUnavailableError(str(error)) from error

    def record(self, act: AuditAction, subject_id: UUID | None = None, details: str = "") -> None:
        """Record what is revealed, before it is.

        Raises:
            StorageUnavailableError: The database is away.
        """
        self.perform(lambda record: record(act, subject_id, details))


@dataclass(frozen=True, slots=True)
class AuditRecorder:
    """Writes lines in the transaction of the change."""

    action: AuditLog
    conn: Connection[Any]

    def __call__(self, act: AuditAction, subject_id: UUID | None = None, details: str = "") -> None:
        """Write one line.

        Args:
            act: What was done.
            subject_id: What it was done to.
            details: The reason, or old and new values; kept encrypted.
        """
        log = self.action
        assume_runtime_role(self.conn)
        parameters: dict[str, Any] = {"at": log.now, "act": act, "subject_id": subject_id}
        parameters |= {"staff_id": log.actor.staff_id, "api_key_id": log.actor.key_id}
        if not details:
            self.conn.execute(RepositoriesSql.insert_audit, parameters)
            return
        text_id = log.new_id()
        sealed = log.storage.vault.seal_text(details, text_id, subject_id or text_id).content
        text = {"text_id": text_id, "sealed": sealed.sealed, "key_id": sealed.key_id}
        self.conn.execute(RepositoriesSql.insert_audit_with_reason, {**parameters, **text})


def describe_changes(**values: tuple[object, object]) -> str:
    """Old and new values by name, as details have them; what stayed is left out."""
    return "; ".join(
        f"{name}: {_format_value(old)} -> {_format_value(new)}" for name, (old, new) in values.items() if old != new
    )


def describe_values(**values: object) -> str:
    """Values by name, as details have them; those that are None are left out."""
    return "; ".join(f"{name}: {_format_value(value)}" for name, value in values.items() if value is not None)


def _format_value(value: object) -> str:
    if isinstance(value, list | tuple | frozenset):
        return " ".join(map(str, value)) or "-"
    return "-" if value is None or value == "" else str(value)
