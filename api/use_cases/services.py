"""What the routes work with: ledger, reader and dispatcher of one API process, and the use cases over them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import ParamSpec, Protocol, TypeVar
from uuid import UUID

from prometheus_client import Counter

from api.errors import RETRY_AFTER_S, ApplicationError
from api.rate_limits.enforce import Asked, enforce_rate_limits
from api.rate_limits.guard import Guard, Tried
from api.settings import ApiSettings
from api.use_cases.idempotency import idempotency_key
from api.use_cases.run_blocking import run_blocking
from domain.command_bus import Command, CommandResult, Result
from domain.commands.context import CommandContext
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import Refusal
from domain.events import ActorKind
from domain.model.reservation import Reservation
from domain.ports import Language, TextDraft
from domain.values.identifiers import EmailAddress, MalformedCodeError, MalformedEmailError
from domain.values.link_token import correction_token, read_correction_token
from projections.database.errors import StorageUnavailableError
from projections.read_models.reader import Reader
from projections.repositories.audit_log import Actor, AuditLog
from projections.storage.async_group_commit import AsyncGroupCommit
from projections.storage.bootstrap import LedgerStore
from projections.storage.group_commit import OverloadedError
from projections.telemetry.metrics import ERRORS, REDEEM_REQUESTS, REFUSAL_CODES, REFUSALS, label_or_other
from projections.vault.vault import CodeInput, Vault

P = ParamSpec("P")
T = TypeVar("T")
ACCEPTED, KNOWN = REDEEM_REQUESTS.labels("accepted"), REDEEM_REQUESTS.labels("known")


class Dispatcher(Protocol):
    """Wakes workers for reservations; never blocks."""

    def dispatch(self, reservation_id: UUID) -> None:
        """Some time soon."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, for the events: kind, id, and the request's id; and from which address, for limits alone."""

    actor: ActorKind
    request_id: str | None = None
    actor_id: str | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True)
class Redemption:
    """The answer to a redeem: the reservation, and whether this request made it.

    `correction_token`: of a reservation that this request made; None of one that was known, since its caller may be
    another client than the one that made it.
    """

    reservation: Reservation
    created: bool
    correction_token: str | None = None


@dataclass(frozen=True, slots=True)
class Services:
    """One process's parts."""

    settings: ApiSettings
    storage: LedgerStore
    reader: Reader
    commit: AsyncGroupCommit
    dispatcher: Dispatcher
    broker_missing: Callable[[], list[str]]
    new_id: Callable[[], UUID]
    guard: Guard | None = None

    def now(self) -> datetime:
        """Database time."""
        return self.storage.recorder.clock.now()

    def context(self, caller: Caller) -> CommandContext:
        """The context of a caller's command."""
        return CommandContext(
            now=self.now(), actor=caller.actor, actor_id=caller.actor_id, request_id=caller.request_id
        )

    def action(self, caller: Caller) -> AuditLog:
        """What a caller's change beside the event log needs, for its line in the audit log."""
        who = UUID(caller.actor_id) if caller.actor_id else None
        actor = Actor(staff_id=who if caller.actor == "staff" else None, key_id=who if caller.actor == "key" else None)
        return AuditLog(self.storage, actor, self.now(), self.new_id)

    def execute(self, command: Command) -> CommandResult:
        """Run one command in a transaction of its own; waits for the database.

        Raises:
            ApplicationError: The ledger refuses.
            StorageUnavailableError: The database is unavailable.
        """
        return _accepted(self.storage.ledger.execute([command])[0])

    async def execute_in_group(self, command: Command) -> CommandResult:
        """Run one command in the event loop, in one transaction with those that arrive with it.

        Raises:
            ApplicationError: The ledger refuses, the database is away, or too much waits.
        """
        try:
            result = await self.commit.run(command)
        except OverloadedError as full:
            raise ApplicationError("OVERLOADED", retry_after_s=RETRY_AFTER_S) from full
        except (StorageUnavailableError, TimeoutError) as away:
            ERRORS.labels("database_error").inc()
            raise ApplicationError("UNAVAILABLE", retry_after_s=RETRY_AFTER_S) from away
        return _accepted(result)

    async def redeem(
        self,
        typed_email: str,
        typed_code: str,
        *,
        language: Language,
        caller: Caller,
        again: UUID | None = None,
        key: str | None = None,
    ) -> Redemption:
        """Reserve a use, or give the reservation that this person has already.

        Raises:
            ApplicationError: Malformed input, a refusal, a limit, or the database is away.
        """
        try:
            address, code = _address(typed_email), _typed_code(self.storage.vault, typed_code)
            command = self._reserve(address, code, language, caller, again, key)
            done = await self.guarded(command, caller, code, is_again=again is not None)
        except ApplicationError as problem:
            _count(problem.code)
            raise
        found = self.begun(done, command.reservation_id)
        (ACCEPTED if found.created else KNOWN).inc()
        if found.created and self.guard is not None:
            self.guard.redeemed()
        return found

    def begun(self, done: CommandResult, new_id: UUID) -> Redemption:
        """Return the reservation that a command led to; if it is the new one, dispatch it and sign its token.

        Args:
            done: What the command led to.
            new_id: Id that the command gave to a new reservation.
        """
        item = done.require_reservation()
        if item.reservation_id != new_id:
            return Redemption(item, created=False)
        self.dispatcher.dispatch(new_id)
        return Redemption(item, created=True, correction_token=correction_token(self._secret, new_id))

    @property
    def _secret(self) -> bytes:
        return self.settings.secret_key.get_secret_value().encode()

    async def correct(
        self,
        reservation_id: UUID,
        typed_email: str,
        *,
        caller: Caller,
        code: str | None = None,
        token: str | None = None,
        note: TextDraft | None = None,
    ) -> Redemption:
        """Move a use to another address; give the new reservation, also if it was moved there before.

        Args:
            reservation_id: Of the mistyped address.
            typed_email: The right one.
            caller: A person, who has to know the code, or staff.
            code: As typed; None where staff ask.
            token: The correction token, as the client sent it; None where it sent none, or staff ask.
            note: The reason, for the vault.

        Raises:
            ApplicationError: Malformed input, a refusal, a limit, or the database is away.
        """
        address, vault = _address(typed_email), self.storage.vault
        typed = None if code is None else _typed_code(vault, code)
        command = CorrectRecipient(
            context=self.context(caller),
            reservation_id=reservation_id,
            recipient=vault.draft_recipient(address, self.new_id()),
            new_reservation_id=self.new_id(),
            code_digests=None if typed is None else typed.digests,
            token_of=self.token_of(token),
            note=note,
        )
        if typed is None:
            done = await self.run_blocking(self.execute, command)
        else:
            done = await self.guarded(command, caller, typed)
        return self.begun(done, command.new_reservation_id)

    def token_of(self, token: str | None) -> UUID | None:
        """Return the reservation that a correction token was made for; None without a valid token."""
        return None if token is None else read_correction_token(self._secret, token)

    def reservation(self, reservation_id: UUID) -> Reservation:
        """One reservation; waits for the database.

        Raises:
            ApplicationError: NOT_FOUND.
            StorageUnavailableError: The database is unavailable.
        """
        reservation = self.reader.find_reservation(reservation_id)
        if reservation is None:
            raise ApplicationError("NOT_FOUND")
        return reservation

    async def run_blocking(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that may wait for the database, in a thread; for as long as a command may take.

        Raises:
            ApplicationError: UNAVAILABLE, the database is unavailable or does not answer in time.
        """
        return await run_blocking(self.settings.request_wait_s, function, *args, **kwargs)

    async def read(self, question: Callable[[], T], wait_s: float | None = None) -> T:
        """Ask the store something, off the event loop.

        Args:
            question: May block; one that is not answered in time goes on in its thread, and nobody waits for it.
            wait_s: How long to wait for the answer; as long as for a command if it is not given.

        Raises:
            ApplicationError: The database is away, or does not answer.
        """
        return await run_blocking(self.settings.request_wait_s if wait_s is None else wait_s, question)

    async def guarded(
        self, command: Asked, caller: Caller, code: CodeInput, *, is_again: bool = False
    ) -> CommandResult:
        """Run a command about a code that a person typed, within the limits on guessing and on invitations.

        Raises:
            ApplicationError: A refusal, a limit, or the database is unavailable.
        """
        digests = command.recipient.digests[0], code.digests[0]
        tried = Tried(caller.client, code.shape, *digests, caller.actor, is_again)
        return await enforce_rate_limits(self.guard, tried, self.execute_in_group, command)

    def _reserve(
        self,
        address: EmailAddress,
        code: CodeInput,
        language: Language,
        caller: Caller,
        again: UUID | None,
        key: str | None,
    ) -> ReserveUse:
        recipient = self.storage.vault.draft_recipient(address, self.new_id())
        return ReserveUse(
            context=self.context(caller),
            code_digests=code.digests,
            recipient=recipient,
            reservation_id=self.new_id(),
            language=language,
            again=again,
            key=None if key is None else idempotency_key(key, caller, code, recipient.digests, again),
        )


def _accepted(result: Result) -> CommandResult:
    if isinstance(result, Refusal):
        raise ApplicationError.from_refusal(result) from result
    return result


def _address(typed: str) -> EmailAddress:
    try:
        return EmailAddress.parse(typed)
    except MalformedEmailError as bad:
        raise ApplicationError("EMAIL_INVALID") from bad


def _typed_code(vault: Vault, typed: str) -> CodeInput:
    try:
        return vault.typed_code(typed)
    except MalformedCodeError as bad:
        raise ApplicationError("CODE_MALFORMED") from bad


def _count(code: str) -> None:
    if code in {"UNAVAILABLE", "OVERLOADED"}:
        status = "unavailable"
    elif code in {"MALFORMED", "EMAIL_INVALID", "CODE_MALFORMED"}:
        status = "malformed"
    elif code == "RATE_LIMITED":
        status = "limited"
    else:
        status = "refused"
        _refusals(code).inc()
    _requests(status).inc()


@lru_cache(maxsize=256)  # looking a child up costs more than counting
def _refusals(code: str) -> Counter:
    return REFUSALS.labels(label_or_other(code, REFUSAL_CODES))


@lru_cache(maxsize=16)
def _requests(status: str) -> Counter:
    return REDEEM_REQUESTS.labels(status)
