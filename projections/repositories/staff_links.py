"""Links by which staff choose a password. Only the digest of a link's token is stored, and each link works once."""

from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple
from uuid import UUID

from psycopg import Cursor

from projections.database.roles import assume_eraser_role, assume_runtime_role
from projections.database.store_queries import Database, ReadableStore
from projections.sql.repositories import RepositoriesSql

LinkPurpose = Literal["invitation", "password"]
LinkEnd = Literal["used", "replaced", "changed", "revoked", "closed"]
"""Why a link works no more: it was used, a newer one replaced it, the password was changed without it, an admin revoked
the invitation, or the account was closed."""
MailState = Literal["sending", "sent", "failed", "printed"]
ENDED_LINKS_KEPT: Final = timedelta(days=30)
"""How long an old link is answered with what became of it."""


class StaffLink(NamedTuple):
    """A link, valid or not.

    Attributes:
        ended_how: None while it was neither used nor ended; it may have expired.
        address: Email address of the account; None if its row is broken.
    """

    purpose: LinkPurpose
    expires_at: datetime
    ended_how: LinkEnd | None
    staff_id: UUID
    address: str | None


class StaffLinkRepository:
    """Reads and writes the table `staff_links`, as the role that may write accounts."""

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def lock(self) -> None:
        """Let other changes of accounts and links wait until the transaction ends; before any row is locked."""
        self._db.fetch_all(RepositoriesSql.lock_staff)

    def insert(
        self, digest: bytes, staff_id: UUID, purpose: LinkPurpose, now: datetime, expires_at: datetime, mail: MailState
    ) -> None:
        """Insert a link, which replaces the account's former one of the same purpose."""
        row = {"digest": digest, "staff_id": staff_id, "purpose": purpose, "now": now, "expires_at": expires_at}
        with self._db.open_transaction() as cursor:
            assume_eraser_role(cursor.connection)
            cursor.execute(RepositoriesSql.drop_old_links, (now - ENDED_LINKS_KEPT,))
            _end(cursor, staff_id, "replaced", now, purpose)
            cursor.execute(RepositoriesSql.insert_link, {**row, "mail": mail})
            assume_runtime_role(cursor.connection)

    def find(self, digest: bytes) -> StaffLink | None:
        """Return a link by the digest of its token; None if there is none."""
        rows = self._db.fetch_all(RepositoriesSql.link_of_digest, digest)
        if not rows:
            return None
        purpose, expires_at, ended_how, *row = rows[0]
        return StaffLink(purpose, expires_at, ended_how, row[0], self._storage.vault.read_text("staff", row))

    def use(self, digest: bytes, now: datetime) -> bool:
        """End a link as used; return False if it is not valid, or another request used it first."""
        with self._db.open_transaction() as cursor:
            assume_eraser_role(cursor.connection)
            is_valid = bool(cursor.execute(RepositoriesSql.use_link, {"digest": digest, "now": now}).fetchall())
            assume_runtime_role(cursor.connection)
        return is_valid

    def end_all(self, staff_id: UUID, how: LinkEnd, now: datetime) -> set[LinkPurpose]:
        """End the links of an account; return the purposes of those that had not ended."""
        with self._db.open_transaction() as cursor:
            assume_eraser_role(cursor.connection)
            ended = _end(cursor, staff_id, how, now, None)
            assume_runtime_role(cursor.connection)
        return ended

    def find_pending(self, staff_id: UUID) -> dict[LinkPurpose, datetime]:
        """Return when the account's links that have not ended were created, by purpose; they may have expired."""
        return dict(self._db.fetch_all(RepositoriesSql.pending_links, staff_id))

    def record_mail(self, digest: bytes, mail: MailState) -> None:
        """Record what became of a link's email."""
        with self._db.open_transaction() as cursor:
            assume_eraser_role(cursor.connection)
            cursor.execute(RepositoriesSql.record_link_mail, (mail, digest))
            assume_runtime_role(cursor.connection)


def _end(
    cursor: Cursor[tuple[object, ...]], staff_id: UUID, how: LinkEnd, now: datetime, purpose: LinkPurpose | None
) -> set[LinkPurpose]:
    parameters = {"staff_id": staff_id, "how": how, "now": now, "purpose": purpose}
    rows = cursor.execute(RepositoriesSql.end_links, parameters).fetchall()
    return {"invitation" if row[0] == "invitation" else "password" for row in rows}
