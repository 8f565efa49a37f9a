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
from projections.database.roles import become_running_role
from projections.sql.repositories import RepositoriesSql
from projections.storage.bootstrap import LedgerStore

T = TypeVar("T")

Act = Literal[
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
class Action:
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

    def perform(self, change: Callable[["Recorder"], T]) -> T:
        """Make a change and record it, in one transaction: all that the change asks of the ledger's pool is in it.

        Args:
            change: Makes it, and calls what it is given for each line; for none if nothing came of it.

        Raises:
            StorageUnavailableError: The database is away; nothing was changed.
        """
        try:
            with self.storage.datastore.one_transaction() as conn:
                return change(Recorder(self, conn))
        except (PersistenceError, psycopg.Error) as away:
            raise StorageUnavailableError(str(away)) from away

    def record(self, act: Act, subject_id: UUID | None = None, details: str = "") -> None:
        """Record what is revealed, before it is.

        Raises:
            StorageUnavailableError: The database is away.
        """
        self.perform(lambda record: record(act, subject_id, details))


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes lines in the transaction of the change."""

    action: Action
    conn: Connection[Any]

    def __call__(self, act: Act, subject_id: UUID | None = None, details: str = "") -> None:
        """Write one line.

        Args:
            act: What was done.
            subject_id: What it was done to.
            details: The reason, or old and new values; kept encrypted.
        """
        action = self.action
        become_running_role(self.conn)
        named: dict[str, Any] = {"at": action.now, "act": act, "subject_id": subject_id}
        named |= {"staff_id": action.actor.staff_id, "api_key_id": action.actor.key_id}
        if not details:
            self.conn.execute(RepositoriesSql.insert_audit, named)
            return
        text_id = action.new_id()
        sealed = action.storage.vault.text(details, text_id, subject_id or text_id).content
        text = {"text_id": text_id, "sealed": sealed.sealed, "key_id": sealed.key_id}
        self.conn.execute(RepositoriesSql.insert_audit_with_reason, {**named, **text})


def changed(**values: tuple[object, object]) -> str:
    """Old and new values by name, as details have them; what stayed is left out."""
    return "; ".join(f"{name}: {_shown(old)} -> {_shown(new)}" for name, (old, new) in values.items() if old != new)


def told(**values: object) -> str:
    """Values by name, as details have them; those that are None are left out."""
    return "; ".join(f"{name}: {_shown(value)}" for name, value in values.items() if value is not None)


def _shown(value: object) -> str:
    if isinstance(value, list | tuple | frozenset):
        return " ".join(map(str, value)) or "-"
    return "-" if value is None or value == "" else str(value)
