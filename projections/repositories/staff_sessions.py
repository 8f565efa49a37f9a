"""Sessions of staff, and the credentials that open them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.values.identifiers import EmailAddress
from projections.database.store_queries import Database, ReadableStore
from projections.sql.repositories import RepositoriesSql


class StaffCredentials(NamedTuple):
    """Account id and password hash that a sign-in is checked against, and whether it is the account of last resort."""

    staff_id: UUID
    password_hash: str
    is_break_glass: bool


class StaffMember(NamedTuple):
    """The member of staff that a session is of."""

    staff_id: UUID
    role: str
    address: str


class NewSession(NamedTuple):
    """A session that begins.

    Attributes:
        digest: Of its token.
        before: Digest of the session that the browser had before.
        provider_session: Digest of the identity provider's session that it belongs to; None after a password.
    """

    digest: bytes
    expires_at: datetime
    before: bytes | None = None
    provider_session: bytes | None = None


class StaffSessionRepository:
    """Reads and writes sessions, which are found by the digest of their token."""

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def find_credentials(self, address: EmailAddress) -> StaffCredentials | None:
        """Return the credentials of an email address; None without an account, or if its row cannot be trusted."""
        rows = self._db.fetch_all(
            RepositoriesSql.staff_of_digests, list(self._storage.vault.compute_digests("staff", address.normal))
        )
        if not rows:
            return None
        password_hash, is_break_glass, *row = rows[0]
        # The session that follows acts under the name that is encrypted, so it must be the one that signs in.
        if self._storage.vault.read_text("staff", row) is None:
            return None
        return StaffCredentials(row[0], password_hash, is_break_glass)

    def insert(self, session: "NewSession", staff_id: UUID, now: datetime) -> None:
        """Insert a session, and delete the one that the browser had before."""
        self._db.execute(RepositoriesSql.open_session, {**session._asdict(), "staff_id": staff_id, "now": now})

    def delete(self, digest: bytes) -> UUID | None:
        """Delete a session; return the id of its account, if there was one."""
        rows = self._db.fetch_all(RepositoriesSql.end_session, digest)
        return rows[0][0] if rows else None

    def find_member(self, digest: bytes, now: datetime) -> StaffMember | None:
        """Return the member of staff of a session, in the current role; None if it expired or the row is broken."""
        rows = self._db.fetch_all(RepositoriesSql.staff_of_session, digest, now)
        if not rows:
            return None
        role, *row = rows[0]
        typed = self._storage.vault.read_text("staff", row)
        return None if typed is None else StaffMember(row[0], role, typed)

    def find_roles(self, digests: Collection[bytes], now: datetime) -> dict[bytes, str]:
        """Return the current roles of those of these sessions that have not ended."""
        rows = self._db.fetch_all(RepositoriesSql.roles_of_sessions, list(digests), now)
        return {bytes(digest): role for digest, role in rows}

    def find_revealed_since(
        self, staff_id: UUID, since: datetime, subjects: Sequence[UUID]
    ) -> dict[tuple[str, UUID], datetime]:
        """Return the last time of each reveal of this account since a time."""
        return {
            (row[0], row[1]): row[2]
            for row in self._db.fetch_all(RepositoriesSql.audit_of_staff_since, staff_id, since, list(subjects))
        }

    def find_email_addresses(self, staff_ids: Sequence[UUID]) -> dict[UUID, str]:
        """Return email addresses of accounts by their ids."""
        rows = self._db.fetch_all(RepositoriesSql.staff_addresses, list(staff_ids))
        texts = ((row[0], self._storage.vault.read_text("staff", row)) for row in rows)
        return {staff_id: text for staff_id, text in texts if text is not None}
