"""The audit log of actions by staff, API keys and operators that are not events.

Each action and its entry are written in one transaction: nothing is changed or revealed without an entry, and no entry
is about something that was rolled back.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, TypeVar, get_args
from uuid import UUID

from psycopg import Connection

from projections.database.errors import translate_database_errors
from projections.database.roles import assume_runtime_role
from projections.repositories.staff_sessions import Proof
from projections.sql.repositories import RepositoriesSql
from projections.storage.bootstrap import LedgerStore

T = TypeVar("T")

PersonAction = Literal[
    "unmasked_email",
    "unmasked_code",
    "revealed_link",
    "exported_person",
    "undid_opt_out",
    "allowed_emails",
    "requested_hand_out_email",
    "proposed",
    "approved",
    "rejected",
    "withdrew",
    "let_expire",
]
"""An action whose reason is about the person of its subject: a recipient, a reservation or a code."""
LedgerAction = Literal[
    "signed_in",
    "sign_in_failed",
    "sign_on_refused",
    "signed_out",
    "proved_identity",
    "proof_failed",
    "connected_identity",
    "chose_break_glass",
    "added_factor",
    "renamed_factor",
    "removed_factor",
    "removed_factors",
    "made_recovery_codes",
    "refused_factor",
    "ended_sessions",
    "issued_codes",
    "imported_codes",
    "exported_codes",
    "exported_emails",
    "exported_audit",
    "changed_codes",
    "stopped_batch",
    "made_key",
    "replaced_key",
    "changed_key",
    "refused_key",
    "revoked_key",
    "added_staff",
    "repeated_invitation",
    "revoked_invitation",
    "accepted_invitation",
    "requested_password",
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
    "made_backup",
    "imported_vault",
    "forgot_person",
    "erased_unaccepted",
    "rotated_keys",
    "uploaded_recipients",
    "sent_hand_out_test",
    "asked_question",
    "other_questions",
    "moved_relay",
    "removed_relay",
]
"""An action whose reason or details are about no single person; why a person was erased is kept as evidence."""
AuditAction = Literal[PersonAction, LedgerAction]

ABOUT: Final[dict[str, str | None]] = {
    **dict.fromkeys(get_args(PersonAction)),
    **dict.fromkeys(get_args(LedgerAction), "ledger"),
}
"""What the reason of each action is about; None for persons."""

NEED_PROOF: Final[frozenset[AuditAction]] = frozenset(
    {
        *("unmasked_email", "unmasked_code", "revealed_link"),
        *("exported_codes", "exported_emails", "exported_audit", "exported_person"),
        *("forgot_person", "made_key", "replaced_key", "changed_key", "revoked_key", "rotated_secret"),
        *("added_staff", "repeated_invitation", "revoked_invitation", "changed_role", "reset_password"),
        *("removed_staff", "added_factor", "removed_factor", "removed_factors", "made_recovery_codes"),
        "approved",
    }
)
"""What a member of staff can do only shortly after they proved who they are."""


class ProofRequiredError(Exception):
    """A member of staff has to prove who they are before they can do this; nothing was changed or revealed."""


class Actor(NamedTuple):
    """Who acts: a member of staff or an API key; neither if an operator uses the command line.

    Attributes:
        proof: The last one of the session of a member of staff.
        approved_by: Staff id of the member of staff who approved what they proposed.
    """

    staff_id: UUID | None = None
    key_id: UUID | None = None
    proof: Proof | None = None
    approved_by: UUID | None = None


OPERATOR = Actor()
NO_REASON: Final = "no reason was given"
"""The reason of an operator who named none."""


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The audit log as one actor writes it.

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
        """Make a change and record it in one transaction, which every query of the change joins.

        Args:
            change: Makes the change, and calls its argument for each entry; not at all if nothing was changed.

        Raises:
            ProofRequiredError: A member of staff did it without a fresh proof; nothing was changed.
            StorageUnavailableError: The database is unavailable; nothing was changed.
        """
        with translate_database_errors(), self.storage.datastore.one_transaction() as conn:
            return change(AuditRecorder(self, conn))

    def record(self, action: AuditAction, subject_id: UUID | None = None, details: str = "") -> None:
        """Record what is about to be revealed.

        Raises:
            ProofRequiredError: A member of staff did it without a fresh proof.
            StorageUnavailableError: The database is unavailable.
        """
        self.perform(lambda record: record(action, subject_id, details))

    def require_proof(self) -> None:
        """Require the fresh proof of a member of staff, before changes that have their entry later or are events.

        Raises:
            ProofRequiredError: There is none.
        """
        staff_id, proof = self.actor.staff_id, self.actor.proof
        if staff_id is not None and (proof is None or not proof.is_fresh(self.now)):
            raise ProofRequiredError


@dataclass(frozen=True, slots=True)
class AuditRecorder:
    """Writes entries in the transaction of the change."""

    audit_log: AuditLog
    conn: Connection[Any]

    def as_provider_says(self, staff_id: UUID) -> "AuditRecorder":
        """Return what writes entries of a member of staff whom the identity provider has just named."""
        actor = Actor(staff_id=staff_id, proof=Proof("provider", self.audit_log.now))
        return replace(self, audit_log=replace(self.audit_log, actor=actor))

    def __call__(self, action: AuditAction, subject_id: UUID | None = None, details: str = "") -> None:
        """Write one entry.

        Args:
            action: What was done.
            subject_id: Id of what was changed or revealed.
            details: The reason, or old and new values; stored encrypted.

        Raises:
            ProofRequiredError: A member of staff did it without a fresh proof.
        """
        log, proof = self.audit_log, None
        if action in NEED_PROOF:
            log.require_proof()
            proof = log.actor.proof
        assume_runtime_role(self.conn)
        parameters: dict[str, Any] = {"at": log.now, "act": action, "subject_id": subject_id}
        parameters["proof"] = None if proof is None else proof.kind
        parameters |= {"staff_id": log.actor.staff_id, "api_key_id": log.actor.key_id}
        parameters["approved_by"] = log.actor.approved_by
        if not details:
            self.conn.execute(RepositoriesSql.insert_audit, parameters)
            return
        text_id = log.new_id()
        sealed = log.storage.vault.seal_text(details, text_id).content
        text = {"text_id": text_id, "sealed": sealed.sealed, "key_id": sealed.key_id, "about": ABOUT[action]}
        self.conn.execute(RepositoriesSql.insert_audit_with_reason, {**parameters, **text})


def describe_changes(**values: tuple[object, object]) -> str:
    """Format old and new values by name for the details; unchanged ones are left out."""
    return "; ".join(
        f"{name}: {_format_value(old)} -> {_format_value(new)}" for name, (old, new) in values.items() if old != new
    )


def describe_values(**values: object) -> str:
    """Format values by name for the details; those that are None are left out."""
    return "; ".join(f"{name}: {_format_value(value)}" for name, value in values.items() if value is not None)


def describe_reason(reason: str, **values: object) -> str:
    """Format a reason for the details, and values by name; those that are None are left out."""
    return "; ".join(filter(None, [reason.strip() or NO_REASON, describe_values(**values)]))


def _format_value(value: object) -> str:
    if isinstance(value, list | tuple | frozenset):
        return " ".join(map(str, value)) or "-"
    return "-" if value is None or value == "" else str(value)
