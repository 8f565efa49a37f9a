"""A command about a code that a person typed, run within the limits on guessing."""

from collections.abc import Awaitable, Callable

from api.limits.guard import Guard, Limited, Tried
from api.problems import ProblemError
from domain.deciding import Command, Done
from domain.errors import CodeUnknown


async def within_limits(
    guard: Guard | None, tried: Tried, execute: Callable[[Command], Awaitable[Done]], command: Command
) -> Done:
    """Execute a command, if its code may be tried; count it if there is no such code.

    Raises:
        ProblemError: As `execute`, or RATE_LIMITED with `retry_after_s`.
    """
    if guard is None:
        return await execute(command)
    if limited := guard.admit(tried):
        raise _too_many(limited)
    try:
        return await execute(command)
    except ProblemError as problem:
        if problem.code == CodeUnknown.code and (limited := guard.failed(tried)):
            raise _too_many(limited) from problem
        raise
    finally:
        guard.ended(tried)


def _too_many(limited: Limited) -> ProblemError:
    """Why, only as far as it helps a person: which limit it was is for the metrics."""
    why = "everybody" if limited.is_about_all else "unknown_codes"
    problem = ProblemError("RATE_LIMITED", retry_after_s=limited.retry_after_s, why=why)
    problem.facts["retry_after_s"] = limited.retry_after_s
    return problem
