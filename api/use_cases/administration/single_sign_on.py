"""Sign-ins through the identity provider: which account an identity belongs to, in which role, and when that ends."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from api.auth.oidc.identity_provider import EndedSession, SignedInPerson
from api.auth.oidc.sign_on_faults import SignOnError, SignOnFault
from api.use_cases.administration.staff_accounts import describe_lost, end_access, renew_proof
from domain.values.identifiers import EmailAddress, MalformedEmailError
from projections.config.staff_roles import RANK, Role
from projections.repositories.audit_log import AuditLog, AuditRecorder, describe_changes, describe_values
from projections.repositories.staff_accounts import LastAdminError, StaffAccountRepository
from projections.repositories.staff_identities import ConnectedAccount, StaffIdentityRepository
from projections.repositories.staff_sessions import NewSession, Proof, StaffSessionRepository
from projections.vault.vault import SearchableDraft

BY_PROVIDER: Final = describe_values(how="provider")


class SignOn(NamedTuple):
    """A person whom the provider signed in.

    Attributes:
        role: By their groups now; None if none of these has one.
    """

    identity: SignedInPerson
    role: Role | None

    @property
    def provider_session(self) -> bytes:
        """Digest of the provider's session; of the person, if the provider names no session."""
        return digest_session(self.identity.issuer, self.identity.session or self.identity.subject)

    def proof(self, now: datetime) -> Proof | None:
        """Return what they proved to the provider, and when; None if the provider does not say."""
        at = self.identity.signed_in_at
        return None if at is None else Proof("provider", min(at, now))  # the provider's clock may be ahead


def digest_session(issuer: str, session: str) -> bytes:
    """Return the digest of a session at the provider, by which those that it began are looked up."""
    return hashlib.sha256(f"{issuer}\0{session}".encode()).digest()


def sign_on(audit_log: AuditLog, person: SignOn, session: NewSession) -> UUID:
    """Begin a session of the person's account, which is added at the first time; its role is that of their groups now.

    Raises:
        SignOnError: The person has no role, or no account that they can use. An audit entry says so, and the sessions
            that the provider began for the account have ended.
    """
    return _SignOn(audit_log, person, session).run()


def connect_identity(audit_log: AuditLog, staff_id: UUID, person: SignOn) -> None:
    """Connect the account of a signed-in member of staff with their identity; from then on the provider decides.

    Raises:
        SignOnError: The person has no role, or the identity or the account is connected already.
    """
    if person.role is None:
        audit_log.record("sign_on_refused", staff_id, describe_values(why="no_role"))
        raise SignOnError("no_role")
    if not connect_account(audit_log, staff_id, person.identity.issuer, person.identity.subject):
        raise SignOnError("account_connected")


def prove_identity(audit_log: AuditLog, staff_id: UUID, person: SignOn, digest: bytes) -> None:
    """Store in the session of this digest that its member of staff has proved to the provider who they are.

    Raises:
        SignOnError: Another person did, or did so before they were asked. An audit entry says so.
    """
    account, proof = StaffIdentityRepository(audit_log.storage).find(_draft(audit_log, person.identity)), None
    if account is not None and account.staff_id == staff_id:
        proof = person.proof(audit_log.now)
    if proof is None or not proof.is_fresh(audit_log.now):
        is_other = account is None or account.staff_id != staff_id
        fault: SignOnFault = "another_person" if is_other else "not_proved"
        audit_log.record("proof_failed", None, describe_values(why=fault))
        raise SignOnError(fault)
    renew_proof(audit_log, digest, proof)


def connect_account(audit_log: AuditLog, staff_id: UUID, issuer: str, subject: str) -> bool:
    """Connect an account with a person at the provider; False if one of them is connected already."""
    draft = audit_log.storage.vault.draft_identity(issuer, subject, audit_log.new_id())

    def change(record: AuditRecorder) -> bool:
        is_done = StaffIdentityRepository(audit_log.storage).connect(draft, staff_id, audit_log.now)
        if is_done:
            record("connected_identity", staff_id)
        return is_done

    return audit_log.perform(change)


def end_provider_sessions(audit_log: AuditLog, issuer: str, ended: EndedSession) -> int:
    """End the sessions that a logout token names; return how many there were."""

    def change(record: AuditRecorder) -> int:
        names = [name for name in (ended.session, ended.subject) if name is not None]
        persons: Sequence[bytes] = ()
        if ended.session is None and ended.subject is not None:
            persons = audit_log.storage.vault.draft_identity(issuer, ended.subject, audit_log.new_id()).digests
        staff_ids = StaffIdentityRepository(audit_log.storage).end_sessions_of_provider(
            [digest_session(issuer, name) for name in names],
            persons,
            until=datetime.fromtimestamp(ended.issued_at + 1, UTC),  # the token has whole seconds
        )
        for staff_id in staff_ids:
            record.as_provider_says(staff_id)("signed_out", None, BY_PROVIDER)
        return len(staff_ids)

    return audit_log.perform(change)


def choose_break_glass(audit_log: AuditLog, staff_id: UUID | None) -> bool:
    """Make an account the one of last resort; None: there is to be none. False if it has no password, or as before."""

    def change(record: AuditRecorder) -> bool:
        is_done = StaffIdentityRepository(audit_log.storage).choose_break_glass(staff_id)
        if is_done:
            record("chose_break_glass", staff_id)
        return is_done

    return audit_log.perform(change)


class _SignOn:
    """One sign-in through the provider, in one transaction."""

    def __init__(self, audit_log: AuditLog, person: SignOn, session: NewSession) -> None:
        self._audit_log, self._person, self._session = audit_log, person, session
        self._accounts = StaffAccountRepository(audit_log.storage)
        self._identities = StaffIdentityRepository(audit_log.storage)

    def run(self) -> UUID:
        outcome = self._audit_log.perform(self._change)
        if isinstance(outcome, SignOnError):
            raise outcome
        return outcome

    def _change(self, record: AuditRecorder) -> UUID | SignOnError:
        """Refusals are returned: their entry is committed."""
        self._identities.lock()
        draft = _draft(self._audit_log, self._person.identity)
        account = self._identities.find(draft)
        try:
            staff_id = self._add(record, draft) if account is None else self._update(record, account)
        except SignOnError as error:
            refused = record if account is None else record.as_provider_says(account.staff_id)
            refused("sign_on_refused", None if account is None else account.staff_id, describe_values(why=error.fault))
            return error
        session = self._session._replace(provider_session=self._person.provider_session)
        StaffSessionRepository(self._audit_log.storage).insert(session, staff_id, self._audit_log.now)
        record.as_provider_says(staff_id)("signed_in", None, BY_PROVIDER)
        return staff_id

    def _update(self, record: AuditRecorder, account: ConnectedAccount) -> UUID:
        """Give the account the role of now."""
        role = self._person.role
        if account.is_closed or role is None:
            self._identities.end_sessions_of_account(account.staff_id)
            raise SignOnError("account_closed" if account.is_closed else "no_role")
        if role != account.role:
            self._change_role(record.as_provider_says(account.staff_id), account, role)
        return account.staff_id

    def _change_role(self, record: AuditRecorder, account: ConnectedAccount, role: Role) -> None:
        """Give the account another role; a lower one ends its former sessions, and keys that open more."""
        details = f"{BY_PROVIDER}; {describe_changes(role=(account.role, role))}"
        try:
            self._accounts.update_role(account.staff_id, role)
        except LastAdminError:
            details = f"{details}; {describe_values(kept='last_admin')}"
        else:
            if RANK[role] < RANK[account.role]:
                lost = end_access(self._audit_log, record, account.staff_id, role, BY_PROVIDER)
                details = describe_lost(details, lost)
        record("changed_role", account.staff_id, details)

    def _add(self, record: AuditRecorder, draft: SearchableDraft) -> UUID:
        """Add an account of the person. One with the same email address is not theirs for that: they connect it."""
        log, role = self._audit_log, self._person.role
        if role is None:
            raise SignOnError("no_role")
        address = _address(self._person.identity.address)
        account_draft = log.storage.vault.draft_staff(address, log.new_id())
        same = self._identities.find_by_address(account_draft)
        if same is not None:
            raise SignOnError("account_closed" if same.is_closed else "address_in_use")
        staff_id = self._accounts.insert(account_draft, "", role, log.now)
        if staff_id is None:
            raise SignOnError("address_in_use")
        self._identities.connect(draft, staff_id, log.now)
        record.as_provider_says(staff_id)("added_staff", staff_id, f"{BY_PROVIDER}; {describe_values(role=role)}")
        return staff_id


def _draft(audit_log: AuditLog, identity: SignedInPerson) -> SearchableDraft:
    return audit_log.storage.vault.draft_identity(identity.issuer, identity.subject, audit_log.new_id())


def _address(text: str | None) -> EmailAddress:
    try:
        return EmailAddress.parse(text or "")
    except MalformedEmailError as error:
        raise SignOnError("no_address") from error
