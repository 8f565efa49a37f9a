"""Staff accounts and their roles. A new password ends all sessions of an account."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import Cursor

from projections.database.roles import assume_eraser_role, assume_runtime_role
from projections.database.store_queries import Database, ReadableStore
from projections.read_models.pagination import ListCursor, ListOrder
from projections.repositories.staff_links import MailState
from projections.sql.repositories import RepositoriesSql
from projections.vault.vault import SearchableDraft

SAVED_VIEWS_MAX: Final = 20
"""Most saved filters of one member of staff."""


class LastAdminError(Exception):
    """The change would leave the ledger without an admin."""


class PendingInvitation(NamedTuple):
    """An invitation that is neither accepted nor revoked: when its link expires, and what became of the email."""

    expires_at: datetime
    mail: MailState


class StaffRow(NamedTuple):
    """One account. `address` is the email address in plain text, which pages mask; None if its row is broken."""

    staff_id: UUID
    role: str
    created_at: datetime
    address: str | None
    invitation: PendingInvitation | None


class StaffAccountRepository:
    """Reads and writes the table `staff`."""

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def list_page(self, place: ListCursor, limit: int, order: ListOrder = "oldest") -> list[StaffRow]:
        """Return accounts behind a place, by the time of their creation."""
        statements = {"newest": RepositoriesSql.newest_staff, "oldest": RepositoriesSql.list_staff}
        return [self._read(row) for row in self._db.fetch_all(statements[order], *place, limit)]

    def find(self, staff_id: UUID) -> StaffRow | None:
        """Return an account; None if there is none, or it was removed."""
        rows = self._db.fetch_all(RepositoriesSql.staff_of_id, staff_id)
        return self._read(rows[0]) if rows else None

    def has_admin_who_can_sign_in(self) -> bool:
        """Return whether an admin has a password."""
        return bool(self._db.fetch_all(RepositoriesSql.admins_who_can_sign_in)[0][0])

    def _read(self, values: tuple[Any, ...]) -> StaffRow:
        role, created_at, expires_at, mail, *row = values
        invitation = None if expires_at is None else PendingInvitation(expires_at, mail)
        return StaffRow(row[0], role, created_at, self._storage.vault.read_text("staff", row), invitation)

    def insert(self, draft: SearchableDraft, password_hash: str, role: str, now: datetime) -> UUID | None:
        """Insert an account; return its id, or None if this email address has one. No password fits an empty hash."""
        sealed = draft.seal()
        row = (draft.new_id, draft.digests[0], draft.pepper_id, sealed.sealed, sealed.key_id, password_hash, role, now)
        with self._as_account_keeper() as cursor:
            rows = cursor.execute(RepositoriesSql.add_staff, row).fetchall()
        return rows[0][0] if rows else None

    def update_password(self, staff_id: UUID, password_hash: str) -> bool:
        """Set a new password and end all sessions; return False if there is no such account."""
        with self._as_account_keeper() as cursor:
            parameters = {"staff_id": staff_id, "password_hash": password_hash}
            return bool(cursor.execute(RepositoriesSql.set_staff_password, parameters).fetchall())

    def replace_password_hash(self, staff_id: UUID, former_hash: str, password_hash: str) -> None:
        """Store another hash of the same password; sessions stay, and so does a password that was changed since."""
        with self._as_account_keeper() as cursor:
            cursor.execute(RepositoriesSql.replace_password_hash, (password_hash, staff_id, former_hash))

    def update_role(self, staff_id: UUID, role: str) -> str | None:
        """Set a role; return the former one, or None if there is no such account.

        Raises:
            LastAdminError: It is the account of the last admin.
        """
        with self._lock_accounts(staff_id, is_leaving=role != "admin") as cursor:
            before = cursor.execute(RepositoriesSql.role_of_staff, (staff_id,)).fetchone()
            assume_eraser_role(cursor.connection)
            is_done = cursor.execute(RepositoriesSql.set_staff_role, (role, staff_id)).fetchall()
            return before[0] if before is not None and is_done else None

    def delete(self, staff_id: UUID, now: datetime) -> bool:
        """Delete an account; return False if there is no such account.

        Raises:
            LastAdminError: It is the account of the last admin.
        """
        with self._lock_accounts(staff_id, is_leaving=True) as cursor:
            assume_eraser_role(cursor.connection)
            return bool(cursor.execute(RepositoriesSql.remove_staff, {"now": now, "staff_id": staff_id}).fetchall())

    @contextmanager
    def _as_account_keeper(self) -> Iterator[Cursor[tuple[Any, ...]]]:
        """Open a transaction as the role that may write accounts."""
        with self._db.open_transaction() as cursor:
            assume_eraser_role(cursor.connection)
            yield cursor
            assume_runtime_role(cursor.connection)

    @contextmanager
    def _lock_accounts(self, staff_id: UUID, *, is_leaving: bool) -> Iterator[Cursor[tuple[Any, ...]]]:
        """Open a transaction that excludes other changes of accounts, and refuse to lose the last admin."""
        with self._db.open_transaction() as cursor:
            cursor.execute(RepositoriesSql.lock_staff)
            others = cursor.execute(RepositoriesSql.admins_besides, (staff_id,)).fetchone()
            if is_leaving and (others is None or others[0] == 0):
                raise LastAdminError
            yield cursor
            assume_runtime_role(cursor.connection)


class SavedView(NamedTuple):
    """Filters of a history under a name, as the query of a URL."""

    name: str
    query: str


def save_view(storage: ReadableStore, staff_id: UUID, view: SavedView, now: datetime) -> None:
    """Save filters of a member of staff; the oldest ones beyond `SAVED_VIEWS_MAX` are removed."""
    row = {"staff_id": staff_id, "name": view.name, "query": view.query, "now": now, "limit": SAVED_VIEWS_MAX}
    Database(storage).execute(RepositoriesSql.save_view, row)


def remove_view(storage: ReadableStore, staff_id: UUID, name: str) -> None:
    """Remove a view; nothing changes if there is none of this name."""
    Database(storage).execute(RepositoriesSql.remove_view, (staff_id, name))


def list_views(storage: ReadableStore, staff_id: UUID) -> list[SavedView]:
    """Return the views of a member of staff by name."""
    return [SavedView(*row) for row in Database(storage).fetch_all(RepositoriesSql.saved_views, staff_id)]
