"""Sessions of staff, and the credentials that open them."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from domain.values.identifiers import EmailAddress
from projections.database.store_queries import Database, ReadableStore
from projections.sql.repositories import RepositoriesSql

USE_RECORDED_EVERY: Final = timedelta(minutes=5)
"""How old the recorded use of a session is at most, while it is used."""
SESSIONS_SHOWN_MAX: Final = 50
"""Most sessions of one account that a page shows, the ones that were used last."""


PROOF_LIFE: Final = timedelta(minutes=5)
"""How long a proof is fresh: an unattended screen, or a stolen session, opens no more for longer."""
ProofKind = Literal["password", "totp", "recovery_code", "passkey", "provider"]
"""How a member of staff proved who they are: by the password, a second factor, or at the identity provider."""


class Proof(NamedTuple):
    """That a member of staff proved who they are: how, and when."""

    kind: ProofKind
    at: datetime

    def is_fresh(self, now: datetime) -> bool:
        """Return whether it is from the last minutes; a time in the future is a former clock's."""
        return abs(now - self.at) < PROOF_LIFE


class Device(NamedTuple):
    """Browser and system that a session was begun in, by name; an empty name for what was not recognized."""

    browser: str = ""
    system: str = ""


UNKNOWN_DEVICE: Final = Device()


class SessionRow(NamedTuple):
    """One session of an account. `digest` names it, and cannot be used in its place.

    Attributes:
        network: Where it was begun; None if that was not recorded.
    """

    digest: bytes
    device: Device
    network: str | None
    created_at: datetime
    used_at: datetime


class StaffCredentials(NamedTuple):
    """What a sign-in is checked against.

    Attributes:
        password_hash: Empty for no password.
        is_break_glass: Whether it is the account of last resort.
        address: The email address as it was typed.
    """

    staff_id: UUID
    password_hash: str
    is_break_glass: bool
    address: str


class StaffMember(NamedTuple):
    """The member of staff that a session is of.

    Attributes:
        proof: Their last one; None in a session without one.
        has_second_factor: Whether the account has one; also True if the identity provider began the session.
    """

    staff_id: UUID
    role: str
    address: str
    proof: Proof | None
    has_second_factor: bool


class NewSession(NamedTuple):
    """A session that begins.

    Attributes:
        digest: Of its token.
        before: Digest of the session that the browser had before.
        device: What lists of sessions show.
        network: Likewise, without the last part of the IP address; None if it is not known.
        provider_session: Digest of the identity provider's session that it belongs to; None after a password.
        proof: Of who began it; None if the identity provider does not say when the person signed in there.
    """

    digest: bytes
    expires_at: datetime
    before: bytes | None = None
    device: Device = UNKNOWN_DEVICE
    network: str | None = None
    provider_session: bytes | None = None
    proof: Proof | None = None


class StaffSessionRepository:
    """Reads and writes sessions, which are found by the digest of their token."""

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def find_credentials(self, address: EmailAddress) -> StaffCredentials | None:
        """Return the credentials of an email address; None without an account, or if its row cannot be trusted."""
        digests = list(self._storage.vault.compute_digests("staff", address.normal))
        return self._read_credentials(self._db.fetch_all(RepositoriesSql.staff_of_digests, digests))

    def find_credentials_of(self, staff_id: UUID) -> StaffCredentials | None:
        """Return the credentials of an account; None as above."""
        return self._read_credentials(self._db.fetch_all(RepositoriesSql.credentials_of_staff, staff_id))

    def _read_credentials(self, rows: Sequence[tuple[Any, ...]]) -> StaffCredentials | None:
        if not rows:
            return None
        password_hash, is_break_glass, *row = rows[0]
        # The session that follows acts under the name that is encrypted, so it must be the one that signs in.
        address = self._storage.vault.read_text("staff", row)
        return None if address is None else StaffCredentials(row[0], password_hash, is_break_glass, address)

    def insert(self, session: "NewSession", staff_id: UUID, now: datetime) -> None:
        """Insert a session, and delete the one that the browser had before."""
        values = {**session._asdict(), **session.device._asdict(), "staff_id": staff_id, "now": now}
        del values["device"], values["proof"]
        values["proved_how"], values["proved_at"] = session.proof or (None, None)
        self._db.execute(RepositoriesSql.open_session, values)

    def renew_proof(self, digest: bytes, proof: Proof) -> None:
        """Store a new proof of the member of staff of a session."""
        self._db.execute(RepositoriesSql.renew_session_proof, (*proof, digest))

    def delete(self, digest: bytes) -> UUID | None:
        """Delete a session; return the id of its account, if there was one."""
        rows = self._db.fetch_all(RepositoriesSql.end_session, digest)
        return rows[0][0] if rows else None

    def list_of(self, staff_id: UUID, now: datetime) -> list[SessionRow]:
        """Return the sessions of an account that have not expired, the one that was used last first."""
        rows = self._db.fetch_all(RepositoriesSql.sessions_of_staff, staff_id, now, SESSIONS_SHOWN_MAX)
        return [
            SessionRow(bytes(digest), Device(browser, system), network, created_at, used_at)
            for digest, browser, system, network, created_at, used_at in rows
        ]

    def delete_of(
        self, staff_id: UUID, now: datetime, *, only: bytes | None = None, current: bytes | None = None
    ) -> int:
        """Delete sessions of an account; return how many of them had not expired.

        Args:
            staff_id: The account.
            now: Aware UTC.
            only: Digest of the only one to delete; None for all.
            current: Digest of one that stays, if any.
        """
        parameters = {"staff_id": staff_id, "now": now, "only": only, "current": current}
        with self._db.open_transaction() as cursor:
            return int(cursor.execute(RepositoriesSql.end_sessions_of_staff, parameters).fetchall()[0][0])

    def find_member(self, digest: bytes, now: datetime) -> StaffMember | None:
        """Return the member of staff of a session, in the current role; None if it expired or the row is broken.

        The use is recorded if the last recorded one is older than `USE_RECORDED_EVERY`.
        """
        rows = self._db.fetch_all(RepositoriesSql.staff_of_session, digest, now)
        if not rows:
            return None
        role, has_second_factor, used_at, proved_how, proved_at, *row = rows[0]
        typed = self._storage.vault.read_text("staff", row)
        if typed is None:
            return None
        if not now - USE_RECORDED_EVERY < used_at <= now:  # a time in the future is a former clock's
            self._db.execute(RepositoriesSql.record_session_use, (now, digest))
        proof = Proof(proved_how, proved_at) if proved_at else None
        return StaffMember(row[0], role, typed, proof, has_second_factor)

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
