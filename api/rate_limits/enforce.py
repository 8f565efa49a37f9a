"""A command about a code that a person typed, run within the limits on guessing and on invitations."""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from msgspec.structs import replace

from api.errors import ApplicationError
from api.rate_limits.guard import Guard, RateLimitExceeded, Tried
from domain.command_bus import Command, CommandResult
from domain.commands.access.rebind import RequestRebind
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import CodeUnknown, InvitationsLimited
from domain.model.reservation import Reservation
from projections.telemetry.metrics import LIMITED

Inviting = ReserveUse | CorrectRecipient | RequestRebind
"""Commands about a typed code; each reserves an invitation, or gives the reservation that is there already."""
Asked = TypeVar("Asked", ReserveUse, CorrectRecipient, RequestRebind)


async def enforce_rate_limits(
    guard: Guard | None, tried: Tried, execute: Callable[[Command], Awaitable[CommandResult]], command: Asked
) -> CommandResult:
    """Execute a command, if its code may be tried and a further invitation may be reserved; count what comes of it.

    Raises:
        ApplicationError: As `execute`, or RATE_LIMITED with `retry_after_s`.
    """
    if guard is None:
        return await execute(command)
    if limited := guard.admit(tried):
        raise _too_many(limited)
    try:
        return await _invited(guard, tried, execute, command)
    except ApplicationError as problem:
        if problem.code == CodeUnknown.code and (limited := guard.failed(tried)):
            raise _too_many(limited) from problem
        if problem.code == InvitationsLimited.code:
            LIMITED.labels(problem.facts["why"]).inc()
        raise
    finally:
        guard.ended(tried)


async def _invited(
    guard: Guard, tried: Tried, execute: Callable[[Command], Awaitable[CommandResult]], command: Asked
) -> CommandResult:
    """Execute a command that may not reserve more invitations than the limits leave room for."""
    invited = guard.invited(tried)
    waits = guard.invitations.take(invited)
    if waits is not None:
        command = replace(command, context=replace(command.context, waits=waits))
    made: Reservation | None = None
    bound = True
    try:
        done = await execute(command)
        if done.require_reservation().reservation_id == new_id_of(command):
            made, bound = done.require_reservation(), done.code.bound
        return done
    finally:
        guard.invitations.end(invited, waits, made, bound=bound)


def new_id_of(command: Inviting) -> UUID:
    """The id of the reservation that the command makes, if it makes one."""
    return command.reservation_id if isinstance(command, ReserveUse) else command.new_reservation_id


def _too_many(limited: RateLimitExceeded) -> ApplicationError:
    """Why, only as far as it helps a person: which limit it was is for the metrics."""
    why = "everybody" if limited.is_about_all else "unknown_codes"
    return ApplicationError("RATE_LIMITED", retry_after_s=limited.retry_after_s, why=why)
