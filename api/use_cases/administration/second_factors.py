"""Second factors of staff accounts: adding and removing them, and proving one.

A proof uses itself up: a code of an app, a recovery code and the challenge of a passkey work once. Each proof that is
refused is a line in the audit log of the account, with the reason.
"""

from base64 import b32encode, b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final, Literal, NamedTuple, TypeVar
from uuid import UUID

from api.auth.passkeys import (
    CHALLENGE_BYTES,
    PasskeyError,
    RelyingParty,
    check_assertion,
    check_registration,
    describe_assertion,
    describe_registration,
    read_assertion,
)
from api.auth.sealed_state import OpenedState, Purpose, open_state, seal_state
from api.auth.session_cookies import digest_of
from api.auth.totp import DIGITS, DRIFT, SECRET_BYTES, find_step, make_secret
from projections.repositories.audit_log import Actor, AuditLog, AuditRecorder, describe_values
from projections.repositories.staff_factors import Factor, FactorContent, FactorKind, NewFactor, StaffFactorRepository
from projections.repositories.staff_sessions import StaffSessionRepository
from projections.storage.bootstrap import LedgerStore
from projections.vault.random_source import RANDOM

T = TypeVar("T")

FactorProof = Literal["totp", "recovery_code", "passkey"]
"""How an account was proved in addition to its password."""
FactorFault = Literal[
    "code_wrong", "code_used", "clock_off", "recovery_used", "passkey_invalid", "passkey_cloned", "stale", "refused"
]
"""Why a proof, or a new factor, was refused; each has a sentence. `refused`: there are too many, or it is known."""
CEREMONY_LIFE: Final = timedelta(minutes=10)
"""How long a challenge or the secret of a new app may be answered."""
RECOVERY_CODES: Final = 10
RECOVERY_BYTES: Final = 10
"""Random bytes of a recovery code: 80 bits, too many to try all of them, so a fast hash protects it."""
GROUP: Final = 4
"""Characters between the hyphens of a recovery code."""
NAME_LENGTH_MAX: Final = 60


class FactorError(Exception):
    """A proof, or a new factor, was refused."""

    def __init__(self, fault: FactorFault) -> None:
        super().__init__(fault)
        self.fault: FactorFault = fault


class AccountFactors(NamedTuple):
    """The second factors of an account, and how many of its recovery codes are not used."""

    factors: Sequence[Factor]
    recovery_codes: int


class Ceremony(NamedTuple):
    """What a browser is asked for: the options of WebAuthn as JSON, and the state that goes with the answer."""

    options: str
    state: str


class NewApp(NamedTuple):
    """An authenticator app that is being added: its secret, and the state that goes with its first code."""

    secret: str
    state: str


class AssertedPasskey(NamedTuple):
    """A passkey whose signature was checked."""

    staff_id: UUID


def find_factors(storage: LedgerStore, staff_id: UUID) -> AccountFactors:
    """Return the second factors of an account."""
    factors = StaffFactorRepository(storage)
    return AccountFactors(factors.list_of(staff_id), factors.count_recovery_codes(staff_id))


def verify_code(audit_log: AuditLog, staff_id: UUID, typed: str) -> FactorProof:
    """Use up a code of an app, or a recovery code, of an account.

    Raises:
        FactorError: code_wrong, code_used, clock_off or recovery_used.
    """
    text = "".join(typed.split()).replace("-", "")
    is_app = len(text) == DIGITS and text.isascii() and text.isdigit()
    kind: FactorProof = "totp" if is_app else "recovery_code"

    def change(record: AuditRecorder) -> FactorProof | FactorError:
        factors = StaffFactorRepository(audit_log.storage)
        fault = (
            _use_app(factors, audit_log, staff_id, text)
            if is_app
            else _use_recovery(factors, audit_log, staff_id, text)
        )
        return kind if fault is None else _refuse(record, staff_id, kind, fault)

    return _perform(audit_log, change)


def begin_assertion(
    audit_log: AuditLog, party: RelyingParty, staff_id: UUID | None, *, verify_user: bool = False
) -> Ceremony:
    """Return a challenge for a passkey of an account; None: of any account, which the authenticator names.

    Args:
        audit_log: Names the time and the id of the challenge.
        party: What the passkeys are bound to.
        staff_id: The account.
        verify_user: Whether the authenticator must check its user by PIN or biometrics.
    """
    passkeys = [] if staff_id is None else StaffFactorRepository(audit_log.storage).list_of(staff_id)
    credential_ids = [passkey.credential_id for passkey in passkeys if passkey.credential_id is not None]
    challenge = RANDOM.draw_bytes(CHALLENGE_BYTES)
    options = describe_assertion(party, challenge, credential_ids, verify_user=verify_user)
    return Ceremony(options, _seal(audit_log, "assert", [_text(staff_id), b64encode(challenge).decode(), verify_user]))


def finish_assertion(
    audit_log: AuditLog, party: RelyingParty, state: str, credential: str, staff_id: UUID | None
) -> AssertedPasskey:
    """Check the answer to a challenge, and use both up.

    Args:
        audit_log: The audit log of the account, or of an unknown member of staff.
        party: As it began.
        state: Of the ceremony.
        credential: The answer, as JSON.
        staff_id: The account, as it began.

    Raises:
        FactorError: passkey_invalid, passkey_cloned or stale.
    """

    def change(record: AuditRecorder) -> AssertedPasskey | FactorError:
        return _Assertion(audit_log, party, record).check(state, credential, staff_id)

    return _perform(audit_log, change)


def begin_app(audit_log: AuditLog, staff_id: UUID) -> NewApp:
    """Return the secret of a new authenticator app."""
    secret = make_secret(RANDOM.draw_bytes(SECRET_BYTES))
    return NewApp(secret, _seal(audit_log, "totp", [str(staff_id), secret]))


def reopen_app(audit_log: AuditLog, state: str, staff_id: UUID) -> NewApp | None:
    """Return an app that is being added, to ask for its code again; None if it is not one, or took too long."""
    begun = open_state(audit_log.storage.vault, "totp", state, audit_log.now)
    if begun is None or begun.values[0] != str(staff_id):
        return None
    return NewApp(begun.values[1], state)


def finish_app(
    audit_log: AuditLog, staff_id: UUID, state: str, typed: str, *, name: str, session: bytes
) -> Sequence[str]:
    """Add an authenticator app, if a code shows that it has the secret; return recovery codes, as `_add` does.

    Args:
        audit_log: Of the account.
        staff_id: The account.
        state: Of the new app.
        typed: The app's first code, which works for nothing else.
        name: As its user names it.
        session: Digest of the session that stays.

    Raises:
        FactorError: code_wrong, clock_off, stale or refused.
    """

    def change(record: AuditRecorder) -> Sequence[str] | FactorError:
        begun = open_state(audit_log.storage.vault, "totp", state, audit_log.now)
        if begun is None or begun.values[0] != str(staff_id):
            return _refuse(record, staff_id, "totp", "stale")
        secret, code = begun.values[1], "".join(typed.split())
        step = find_step(secret, code, audit_log.now)
        if step is None:
            is_off = find_step(secret, code, audit_log.now, DRIFT) is not None
            return _refuse(record, staff_id, "totp", "clock_off" if is_off else "code_wrong")
        content = FactorContent(staff_id, _cut(name), secret=secret)
        return _add(audit_log, record, NewFactor(begun.state_id, "totp", content, step), session)

    return _perform(audit_log, change)


def begin_passkey(audit_log: AuditLog, party: RelyingParty, staff_id: UUID, address: str) -> Ceremony:
    """Return a challenge by which an authenticator creates a passkey."""
    challenge = RANDOM.draw_bytes(CHALLENGE_BYTES)
    passkeys = StaffFactorRepository(audit_log.storage).list_of(staff_id)
    credential_ids = [passkey.credential_id for passkey in passkeys if passkey.credential_id is not None]
    options = describe_registration(party, challenge, staff_id, address, credential_ids)
    return Ceremony(options, _seal(audit_log, "register", [str(staff_id), b64encode(challenge).decode()]))


def finish_passkey(
    audit_log: AuditLog, party: RelyingParty, staff_id: UUID, answer: Ceremony, *, name: str, session: bytes
) -> Sequence[str]:
    """Add a passkey; return recovery codes, as `_add` does.

    Args:
        audit_log: Of the account.
        party: As it began.
        staff_id: The account.
        answer: What the authenticator answered as JSON, in place of the options, and the state.
        name: As its user names it.
        session: Digest of the session that stays.

    Raises:
        FactorError: passkey_invalid, stale or refused.
    """

    def change(record: AuditRecorder) -> Sequence[str] | FactorError:
        begun = open_state(audit_log.storage.vault, "register", answer.state, audit_log.now)
        if begun is None or begun.values[0] != str(staff_id):
            return _refuse(record, staff_id, "passkey", "stale")
        try:
            created = check_registration(party, b64decode(begun.values[1]), answer.options)
        except PasskeyError:
            return _refuse(record, staff_id, "passkey", "passkey_invalid")
        content = FactorContent(staff_id, _cut(name), public_key=created.public_key)
        factor = NewFactor(begun.state_id, "passkey", content, created.counter, created.credential_id)
        return _add(audit_log, record, factor, session)

    return _perform(audit_log, change)


def rename_factor(audit_log: AuditLog, staff_id: UUID, factor_id: UUID, name: str) -> bool:
    """Give a factor of an account another name; False if there is no such factor."""

    def change(record: AuditRecorder) -> bool:
        factor = _find(audit_log, staff_id, factor_id)
        if factor is None or factor.content is None:
            return False
        content = FactorContent(staff_id, _cut(name), factor.content.secret, factor.content.public_key)
        StaffFactorRepository(audit_log.storage).rename(factor_id, content)
        record("renamed_factor", staff_id, describe_values(factor=factor.kind))
        return True

    return audit_log.perform(change)


def remove_factor(audit_log: AuditLog, staff_id: UUID, factor_id: UUID) -> bool:
    """Remove a factor of an account, and with the last one its recovery codes; False if there is no such factor."""

    def change(record: AuditRecorder) -> bool:
        kinds = StaffFactorRepository(audit_log.storage).delete(staff_id, factor_id)
        for kind in kinds:
            record("removed_factor", staff_id, describe_values(factor=kind))
        return bool(kinds)

    return audit_log.perform(change)


def renew_recovery_codes(audit_log: AuditLog, staff_id: UUID) -> Sequence[str]:
    """Replace all recovery codes of an account that has a factor; return the new ones, which are stored nowhere."""

    def change(record: AuditRecorder) -> Sequence[str]:
        if not StaffFactorRepository(audit_log.storage).has_any(staff_id):
            return ()
        return _make_recovery_codes(audit_log, record, staff_id)

    return audit_log.perform(change)


def spend_state(audit_log: AuditLog, state: OpenedState) -> bool:
    """Use up the state of a half sign-in; False if it was used before."""
    return StaffFactorRepository(audit_log.storage).spend(state.state_id, state.expires_at, audit_log.now)


class _Assertion:
    """The check of one answer, in the transaction that uses it up."""

    def __init__(self, audit_log: AuditLog, party: RelyingParty, record: AuditRecorder) -> None:
        self._audit_log, self._party, self._record = audit_log, party, record
        self._factors = StaffFactorRepository(audit_log.storage)

    def check(self, state: str, credential: str, staff_id: UUID | None) -> AssertedPasskey | FactorError:
        begun = open_state(self._audit_log.storage.vault, "assert", state, self._audit_log.now)
        if begun is None or begun.values[0] != _text(staff_id):
            return _refuse(self._record, staff_id, "passkey", "stale")
        try:
            factor, counter = self._verify(begun, credential, staff_id)
        except PasskeyError:
            return _refuse(self._record, staff_id, "passkey", "passkey_invalid")
        record = replace(self._record, audit_log=replace(self._audit_log, actor=Actor(staff_id=factor.staff_id)))
        if not spend_state(self._audit_log, begun):
            return _refuse(record, factor.staff_id, "passkey", "stale")
        if not self._factors.advance(factor.factor_id, counter, self._audit_log.now):
            return _refuse(record, factor.staff_id, "passkey", "passkey_cloned")
        return AssertedPasskey(factor.staff_id)

    def _verify(self, begun: OpenedState, credential: str, staff_id: UUID | None) -> tuple[Factor, int]:
        assertion = read_assertion(credential)
        factor = self._factors.find_passkey(assertion.credential_id)
        if factor is None or factor.content is None:
            raise PasskeyError("no account has this passkey")
        if staff_id not in {None, factor.staff_id} or assertion.user_id not in {None, factor.staff_id.bytes}:
            raise PasskeyError("the passkey is of another account")
        if staff_id is None and assertion.user_id is None:
            raise PasskeyError("the passkey names no account")
        _, challenge, verify_user = begun.values
        key = factor.content.public_key
        counter = check_assertion(self._party, b64decode(challenge), credential, key, verify_user=verify_user)
        return factor, counter


def _use_app(factors: StaffFactorRepository, audit_log: AuditLog, staff_id: UUID, code: str) -> FactorFault | None:
    apps = [factor for factor in factors.list_of(staff_id) if factor.kind == "totp" and factor.content is not None]
    secrets = [(app.factor_id, app.content.secret) for app in apps if app.content is not None]
    for factor_id, secret in secrets:
        step = find_step(secret, code, audit_log.now)
        if step is not None:
            return None if factors.advance(factor_id, step, audit_log.now) else "code_used"
    is_off = any(find_step(secret, code, audit_log.now, DRIFT) is not None for _, secret in secrets)
    return "clock_off" if is_off else "code_wrong"


def _use_recovery(factors: StaffFactorRepository, audit_log: AuditLog, staff_id: UUID, text: str) -> FactorFault | None:
    digest = _digest_recovery(staff_id, text)
    if factors.use_recovery_code(staff_id, digest, audit_log.now):
        return None
    return "recovery_used" if factors.has_recovery_code(staff_id, digest) else "code_wrong"


def _add(audit_log: AuditLog, record: AuditRecorder, factor: NewFactor, session: bytes) -> Sequence[str] | FactorError:
    """Insert a factor; return new recovery codes if the account has none.

    With the first factor all other sessions end: they were begun by the password alone, which others may have.
    """
    factors, staff_id = StaffFactorRepository(audit_log.storage), factor.content.staff_id
    is_first = not factors.has_any(staff_id)
    if not factors.insert(factor, audit_log.now):
        return _refuse(record, staff_id, factor.kind, "refused")
    sessions = StaffSessionRepository(audit_log.storage)
    ended = sessions.delete_of(staff_id, audit_log.now, current=session) if is_first else 0
    record("added_factor", staff_id, describe_values(factor=factor.kind, sessions=ended or None))
    return () if factors.count_recovery_codes(staff_id) else _make_recovery_codes(audit_log, record, staff_id)


def _make_recovery_codes(audit_log: AuditLog, record: AuditRecorder, staff_id: UUID) -> Sequence[str]:
    texts = [b32encode(RANDOM.draw_bytes(RECOVERY_BYTES)).decode() for _ in range(RECOVERY_CODES)]
    digests = [_digest_recovery(staff_id, text) for text in texts]
    StaffFactorRepository(audit_log.storage).replace_recovery_codes(staff_id, digests, audit_log.now)
    record("made_recovery_codes", staff_id)
    return ["-".join(text[at : at + GROUP] for at in range(0, len(text), GROUP)) for text in texts]


def _digest_recovery(staff_id: UUID, text: str) -> bytes:
    """Digest a recovery code; base32 has no 0 and no 1, which people read for O and I."""
    return digest_of(f"{staff_id} {text.upper().replace('0', 'O').replace('1', 'I')}")


def _find(audit_log: AuditLog, staff_id: UUID, factor_id: UUID) -> Factor | None:
    factors = StaffFactorRepository(audit_log.storage).list_of(staff_id)
    return next((factor for factor in factors if factor.factor_id == factor_id), None)


def _seal(audit_log: AuditLog, purpose: Purpose, values: list[object]) -> str:
    state = OpenedState(audit_log.new_id(), values, audit_log.now + CEREMONY_LIFE)
    return seal_state(audit_log.storage.vault, purpose, state)


def _perform(audit_log: AuditLog, change: Callable[[AuditRecorder], T | FactorError]) -> T:
    """Make a change; a refusal is raised after its entry in the audit log is committed."""
    outcome = audit_log.perform(change)
    if isinstance(outcome, FactorError):
        raise outcome
    return outcome


def _refuse(
    record: AuditRecorder, staff_id: UUID | None, kind: FactorProof | FactorKind, fault: FactorFault
) -> FactorError:
    record("refused_factor", staff_id, describe_values(factor=kind, why=fault))
    return FactorError(fault)


def _text(staff_id: UUID | None) -> str | None:
    return None if staff_id is None else str(staff_id)


def _cut(name: str) -> str:
    return name.strip()[:NAME_LENGTH_MAX]
