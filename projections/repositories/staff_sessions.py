"""Staff: accounts, sessions and the audit of what they do beside the ledger."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.values.identifiers import EmailAddress
from projections.read_models.reader import Reader
from projections.read_models.vault_reader import readable, readable_texts
from projections.repositories.audit_log import Act
from projections.sql.repositories import RepositoriesSql


class Account(NamedTuple):
    """What a sign-in is checked against."""

    staff_id: UUID
    password_hash: str


class StaffMember(NamedTuple):
    """Somebody with a session."""

    staff_id: UUID
    role: str
    address: str


class AuditLine(NamedTuple):
    """One act. `code_id` is set where the subject is a reservation; `key_name` is that of the API key `key_id`."""

    audit_id: int
    at: datetime
    act: Act
    staff_id: UUID | None
    subject_id: UUID | None
    reason: str | None
    code_id: UUID | None
    key_id: UUID | None
    key_name: str | None


class StaffSessionRepository(Reader):
    """Reads and writes sessions, which are known by the digest of their token, and reads the audit log."""

    def account(self, address: EmailAddress) -> Account | None:
        """The account of an address; None if there is none, or if its row can't be trusted."""
        rows = self._all(RepositoriesSql.staff_of_digests, list(self._storage.vault.digests("staff", address.normal)))
        if not rows:
            return None
        password_hash, *row = rows[0]
        # The session that follows acts under the name that is encrypted, so it must be the one that signs in.
        if readable(self._storage.vault, "staff", row) is None:
            return None
        return Account(row[0], password_hash)

    def open_session(
        self, digest: bytes, staff_id: UUID, now: datetime, expires_at: datetime, before: bytes | None
    ) -> None:
        """Begin a session, and end the one that the browser had before."""
        named = {"digest": digest, "staff_id": staff_id, "now": now, "expires_at": expires_at, "before": before}
        with self._cursor() as cursor:
            cursor.execute(RepositoriesSql.open_session, named)

    def end_session(self, digest: bytes) -> UUID | None:
        """End a session; whose it was, if there was one."""
        rows = self._all(RepositoriesSql.end_session, digest)
        return rows[0][0] if rows else None

    def of_session(self, digest: bytes, now: datetime) -> StaffMember | None:
        """Whose session it is, with the role of now; None if it is over, or if the row of its account is broken."""
        rows = self._all(RepositoriesSql.staff_of_session, digest, now)
        if not rows:
            return None
        role, *row = rows[0]
        typed = readable(self._storage.vault, "staff", row)
        return None if typed is None else StaffMember(row[0], role, typed)

    def unmasked(self, staff_id: UUID, since: datetime, subjects: Sequence[UUID]) -> dict[tuple[str, UUID], datetime]:
        """What this person unmasked since a moment: act and subject, with the last time."""
        return {
            (row[0], row[1]): row[2]
            for row in self._all(RepositoriesSql.audit_of_staff_since, staff_id, since, list(subjects))
        }

    def addresses_of_staff(self, staff_ids: Sequence[UUID]) -> dict[UUID, str]:
        """Addresses of staff by their ids."""
        rows = self._all(RepositoriesSql.staff_addresses, list(staff_ids))
        return readable_texts(self._storage.vault, "staff", rows)

    def audit(self, before: int, limit: int) -> list[AuditLine]:
        """One page of the audit, newest first, from a number down."""
        vault = self._storage.vault
        found = []
        for row in self._all(RepositoriesSql.audit_page, before, limit):
            *fields, text_id, sealed, seal_key, code_id, key_id, name_id, name, name_key = row
            reason = None if sealed is None else vault.open_text(text_id, bytes(sealed), seal_key)
            key_name = None if name is None else vault.open_text(name_id, bytes(name), name_key)
            found.append(AuditLine._make((*fields, reason, code_id, key_id, key_name)))
        return found
