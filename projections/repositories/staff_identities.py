"""Which accounts of an identity provider staff accounts belong to, and the sessions that the provider began."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString, NamedTuple
from uuid import UUID

from psycopg import Rollback

from projections.database.roles import assume_eraser_role, assume_runtime_role
from projections.database.store_queries import Database, ReadableStore
from projections.sql.repositories import RepositoriesSql
from projections.vault.vault import SearchableDraft


class ConnectedAccount(NamedTuple):
    """A staff account, its role, and whether an admin closed it."""

    staff_id: UUID
    role: str
    is_closed: bool


class SignInWays(NamedTuple):
    """How an account may sign in; the account of last resort may have both."""

    is_connected: bool
    has_password: bool


class StaffIdentityRepository:
    """Reads and writes the table `staff_identities`."""

    def __init__(self, storage: ReadableStore) -> None:
        self._db = Database(storage)

    def lock(self) -> None:
        """Make other changes of staff accounts wait until this transaction ends."""
        self._db.fetch_all(RepositoriesSql.lock_staff)

    def find(self, identity: SearchableDraft) -> ConnectedAccount | None:
        """Return the account that an identity is connected to."""
        return self._account(RepositoriesSql.account_of_identity, identity.digests)

    def find_by_address(self, address: SearchableDraft) -> ConnectedAccount | None:
        """Return the account of an email address."""
        return self._account(RepositoriesSql.account_of_address, address.digests)

    def find_sign_in(self, staff_id: UUID) -> SignInWays:
        """Return how an account may sign in."""
        rows = self._db.fetch_all(RepositoriesSql.sign_in_of_staff, staff_id)
        return SignInWays(*rows[0]) if rows else SignInWays(is_connected=False, has_password=False)

    def connect(self, identity: SearchableDraft, staff_id: UUID, now: datetime) -> bool:
        """Connect an account; False if it or the identity is connected already.

        Its password ends, unless it is the account of last resort.
        """
        sealed = identity.seal()
        row = (identity.new_id, identity.digests[0], identity.pepper_id, sealed.sealed, sealed.key_id, staff_id, now)
        with self._db.open_transaction() as cursor:
            cursor.execute(RepositoriesSql.lock_staff)
            if cursor.execute(RepositoriesSql.account_of_identity, (list(identity.digests),)).fetchall():
                return False  # perhaps under an older pepper, which the table's uniqueness does not see
            assume_eraser_role(cursor.connection)
            is_done = bool(cursor.execute(RepositoriesSql.connect_identity, row).fetchall())
            if is_done:
                cursor.execute(RepositoriesSql.forget_password, (staff_id,))
            assume_runtime_role(cursor.connection)
        return is_done

    def choose_break_glass(self, staff_id: UUID | None) -> bool:
        """Make an account with a password the one of last resort, instead of another; None: there is to be none.

        Returns:
            False if there is no such account, or nothing to change.
        """
        is_done = False
        with self._db.open_transaction() as cursor:
            assume_eraser_role(cursor.connection)
            is_done = bool(cursor.execute(RepositoriesSql.clear_break_glass).fetchall())
            if staff_id is not None:
                is_done = bool(cursor.execute(RepositoriesSql.set_break_glass, (staff_id,)).fetchall())
            if not is_done:
                raise Rollback  # the former one stays
            assume_runtime_role(cursor.connection)
        return is_done

    def end_sessions_of_provider(
        self, sessions: Sequence[bytes], persons: Sequence[bytes], until: datetime
    ) -> list[UUID]:
        """End sessions that the provider began.

        Args:
            sessions: Digests of the provider's sessions.
            persons: Digests of identities, all of whose sessions end.
            until: Sessions that were begun later stay.

        Returns:
            The account of each session that ended.
        """
        parameters = {"sessions": list(sessions), "persons": list(persons), "until": until}
        with self._db.open_transaction() as cursor:
            return [row[0] for row in cursor.execute(RepositoriesSql.end_sessions_of_provider, parameters).fetchall()]

    def end_sessions_of_account(self, staff_id: UUID) -> None:
        """End the sessions of an account that the provider began."""
        self._db.execute(RepositoriesSql.end_provider_sessions_of_staff, (staff_id,))

    def _account(self, statement: LiteralString, digests: Sequence[bytes]) -> ConnectedAccount | None:
        rows = self._db.fetch_all(statement, list(digests))
        return ConnectedAccount(*rows[0]) if rows else None
