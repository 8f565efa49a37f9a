"""What a person, or an integrator on their behalf, does with a code that was typed: redeem, correct, rebind.

These use cases run in the event loop: rate limits on guessing apply, and concurrent commands share a commit.
"""

from functools import lru_cache, partial
from typing import TypeVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from prometheus_client import Counter

from api.errors import ApplicationError
from api.rate_limits.code_attempts import LimitedAttempt
from api.rate_limits.guard import CodeAttempt
from api.schemas.parsing import parse_email
from api.use_cases.idempotency import idempotency_key
from api.use_cases.services import Caller, Services, require_result
from domain.commands.access.rebind import RequestRebind
from domain.commands.context import CommandContext
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.reserve import ReserveUse
from domain.model.reservation import Reservation
from domain.ports import Language
from domain.results import CommandResult, Result
from domain.values.identifiers import MalformedCodeError
from domain.values.link_token import correction_token, read_correction_token
from projections.repositories.groups import GroupRepository
from projections.telemetry.after_commit import after_commit
from projections.telemetry.loop_counter import LoopCounter
from projections.telemetry.metrics import REDEEM_REQUESTS, REFUSAL_CODES, REFUSALS, label_or_other
from projections.vault.vault import CodeInput, Vault

Inviting = TypeVar("Inviting", ReserveUse, CorrectRecipient, RequestRebind)
"""Commands about a typed code; each reserves an invitation, or gives the reservation that is there already."""
ACCEPTED_REQUESTS = LoopCounter(REDEEM_REQUESTS.labels("accepted"))
KNOWN_REQUESTS = LoopCounter(REDEEM_REQUESTS.labels("known"))
_WAKING_WORKER = after_commit("waking a worker")  # made once, because each redeem uses it


class Redemption(Struct, frozen=True):
    """The reservation that a request led to.

    Attributes:
        created: Whether this request made it.
        correction_token: Of a reservation that this request made. None of another, since its caller may be another
            client than the one that made it.
    """

    reservation: Reservation
    created: bool
    correction_token: str | None = None


async def redeem(
    services: Services,
    caller: Caller,
    email: str,
    code: str,
    *,
    language: Language,
    again: UUID | None = None,
    key: str | None = None,
) -> Redemption:
    """Reserve a use, or return the reservation that this recipient has already.

    `language` is that of the invitation, `again` a sent reservation of the person whose code is to be used a further
    time, and `key` the client's Idempotency-Key.

    Raises:
        ApplicationError: Malformed input, a refusal, a rate limit, or the database is unavailable.
    """
    begun = begin_redeem(services, caller, email, code, language=language, again=again, key=key)
    try:
        outcome: Result | BaseException = await services.commit.run(begun.command)
    except BaseException as error:  # noqa: BLE001 - `finish` raises it, also if the request was cancelled
        outcome = error
    return begun.finish(outcome)


def begin_redeem(
    services: Services,
    caller: Caller,
    email: str,
    code: str,
    *,
    language: Language,
    again: UUID | None = None,
    key: str | None = None,
) -> "BegunRedeem":
    """Begin what `redeem` does, for callers that have the command executed and then call `finish`.

    Raises:
        ApplicationError: Malformed input, or a rate limit; the request is counted.
    """
    try:
        command, typed = draft_command(
            services, caller, services.context(caller), email, code, language=language, again=again, key=key
        )
        return BegunRedeem(services, *admit(services, caller, command, typed, is_again=again is not None))
    except ApplicationError as error:
        count_rejected(error.code)
        raise


class BegunRedeem:
    """A redeem request within its rate limits, whose command is to be executed.

    Attributes:
        command: The command.
    """

    __slots__ = ("_attempt", "_services", "command")

    def __init__(self, services: Services, command: ReserveUse, attempt: LimitedAttempt | None) -> None:
        self._services = services
        self._attempt = attempt
        self.command = command

    def finish(self, outcome: Result | BaseException) -> Redemption:
        """Return what the request led to. It must be called once.

        Args:
            outcome: The command's result, or what kept it from one.

        Raises:
            ApplicationError: As `redeem`; the request is counted.
        """
        command = self.command
        try:
            result = _conclude(self._attempt, command.reservation_id, outcome)
        except ApplicationError as error:
            count_rejected(error.code)
            raise
        redemption = redemption_of(self._services, result, command.reservation_id)
        count_redemptions(self._services, int(redemption.created), int(not redemption.created))
        return redemption


def draft_command(
    services: Services,
    caller: Caller,
    context: CommandContext,
    email: str,
    code: str,
    *,
    language: Language,
    again: UUID | None = None,
    key: str | None = None,
) -> tuple[ReserveUse, CodeInput]:
    """Return the command of a redeem request, and what was typed as the code.

    Raises:
        ApplicationError: EMAIL_INVALID, CODE_MALFORMED; MALFORMED, the key has not 1 to 255 characters.
    """
    address, typed = parse_email(email), _parse_code(services.storage.vault, code)
    make_key = None if key is None else partial(idempotency_key, key, caller, typed, again)
    command = services.drafts.draft_reserve_use(
        context, address, typed, language=language, again=again, make_key=make_key
    )
    return command, typed


def count_redemptions(services: Services, created_count: int, known_count: int) -> None:
    """Count redeem requests that led to new reservations, and to known ones."""
    if created_count:
        ACCEPTED_REQUESTS.count(created_count)
        if services.guard is not None:
            with after_commit("counting successes"):
                services.guard.record_successes(created_count)
    if known_count:
        KNOWN_REQUESTS.count(known_count)


async def correct_own_recipient(
    services: Services, caller: Caller, reservation_id: UUID, email: str, code: str, *, token: str | None
) -> Redemption:
    """Move a person's use to another email address; give the new reservation, also if it was moved there before.

    `token` is the correction token of the reservation with the mistyped address, as the client sent it.

    Raises:
        ApplicationError: As `redeem`.
    """
    address, typed = parse_email(email), _parse_code(services.storage.vault, code)
    command = services.drafts.draft_correct_recipient(
        services.context(caller),
        address,
        reservation_id,
        code=typed,
        token_of=_token_of(services, token),
    )
    result = await _execute(services, caller, command, typed, command.new_reservation_id)
    return redemption_of(services, result, command.new_reservation_id)


async def rebind_own_access(
    services: Services,
    caller: Caller,
    email: str,
    code: str,
    group: str,
    *,
    token: str | None,
    language: Language,
) -> Redemption:
    """Move a person's access to another group, or give the rebind that does so already.

    `token` is the correction token of the reservation whose access is moved, as the client sent it.

    Raises:
        ApplicationError: As `redeem`; REBIND_NOT_POSSIBLE, the group is closed.
    """
    address, typed = parse_email(email), _parse_code(services.storage.vault, code)
    if not await services.run_blocking(GroupRepository(services.storage).accepts_rebinds, group):
        raise ApplicationError("REBIND_NOT_POSSIBLE", why="group_closed")
    command = services.drafts.draft_request_rebind(
        services.context(caller),
        address,
        typed,
        group,
        language=language,
        token_of=_token_of(services, token),
    )
    result = await _execute(services, caller, command, typed, command.new_reservation_id)
    return redemption_of(services, result, command.new_reservation_id)


async def _execute(
    services: Services, caller: Caller, command: Inviting, typed: CodeInput, new_id: UUID
) -> CommandResult:
    """Execute a command that gives `new_id` to a new reservation, within the limits on guessing and on invitations."""
    command, attempt = admit(services, caller, command, typed)
    try:
        outcome: Result | BaseException = await services.commit.run(command)
    except BaseException as error:  # noqa: BLE001 - `_conclude` raises it, also if the request was cancelled
        outcome = error
    return _conclude(attempt, new_id, outcome)


def admit(
    services: Services, caller: Caller, command: Inviting, typed: CodeInput, *, is_again: bool = False
) -> tuple[Inviting, LimitedAttempt | None]:
    """Admit a command; return it with the limits that it would exceed, and the attempt that `_conclude` settles.

    Raises:
        ApplicationError: RATE_LIMITED.
    """
    if services.guard is None:
        return command, None
    digests = command.recipient.digests[0], typed.digests[0]
    attempt = LimitedAttempt(
        services.guard, CodeAttempt(caller.client_ip, typed.shape, *digests, caller.actor, is_again)
    )
    attempt.admit()
    if attempt.waits is not None:
        command = replace(command, context=replace(command.context, waits=attempt.waits))
    return command, attempt


def _conclude(attempt: LimitedAttempt | None, new_id: UUID, outcome: Result | BaseException) -> CommandResult:
    """Return the result of an admitted command, and count what it did.

    Raises:
        ApplicationError: The ledger refused, a rate limit, or the database is unavailable.
    """
    if attempt is None:
        return require_result(outcome)
    try:
        result = require_result(outcome)
        if (reservation := result.require_reservation()).reservation_id == new_id:
            attempt.reservation, attempt.is_code_bound = reservation, result.code.bound
    except BaseException as error:
        attempt.settle(error)
        raise
    with after_commit("settling rate limits"):
        attempt.settle(None)
    return result


def redemption_of(services: Services, result: CommandResult, new_id: UUID) -> Redemption:
    """Return the reservation that a command led to; if it is the new one, dispatch it and sign its token."""
    reservation = result.require_reservation()
    if reservation.reservation_id != new_id:
        return Redemption(reservation, created=False)
    with _WAKING_WORKER:
        services.dispatcher.dispatch(new_id)
    return Redemption(reservation, created=True, correction_token=correction_token(_token_secret(services), new_id))


def _token_of(services: Services, token: str | None) -> UUID | None:
    """Return the reservation that a correction token was made for; None without a valid token."""
    return None if token is None else read_correction_token(_token_secret(services), token)


def _token_secret(services: Services) -> bytes:
    return services.settings.secret_key.get_secret_value().encode()


def _parse_code(vault: Vault, typed: str) -> CodeInput:
    try:
        return vault.typed_code(typed)
    except MalformedCodeError as error:
        raise ApplicationError("CODE_MALFORMED") from error


def count_rejected(code: str) -> None:
    """Count a redeem request that ended with this error."""
    if code in {"UNAVAILABLE", "OVERLOADED"}:
        status = "unavailable"
    elif code in {"MALFORMED", "EMAIL_INVALID", "CODE_MALFORMED"}:
        status = "malformed"
    elif code == "RATE_LIMITED":
        status = "limited"
    else:
        status = "refused"
        _refusal_counter(code).inc()
    _request_counter(status).inc()


@lru_cache(maxsize=256)  # looking a child up costs more than counting
def _refusal_counter(code: str) -> Counter:
    return REFUSALS.labels(label_or_other(code, REFUSAL_CODES))


@lru_cache(maxsize=16)
def _request_counter(status: str) -> Counter:
    return REDEEM_REQUESTS.labels(status)
