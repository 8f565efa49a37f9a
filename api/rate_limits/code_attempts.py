"""One request about a typed code, within the limits on guessing codes and on invitations."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from api.errors import ApplicationError
from api.rate_limits.guard import CodeAttempt, Guard, RateLimitExceeded
from domain.commands.context import InvitationWaits
from domain.errors import CodeUnknown, InvitationsLimited
from domain.model.reservation import Reservation
from projections.telemetry.metrics import LIMITED

__all__ = ["CodeAttempt", "limit_attempt"]


@dataclass(slots=True)
class AttemptSlot:
    """What an admitted request may do, and what it did.

    Attributes:
        waits: Limits on invitations that leave no room, for the command's context; None if all do.
        reservation: To be set to the reservation that the request made; None if it made none.
        is_code_bound: To be set to whether the reservation's code is bound to its first recipient.
    """

    waits: InvitationWaits | None
    reservation: Reservation | None = None
    is_code_bound: bool = True


@contextmanager
def limit_attempt(guard: Guard, attempt: CodeAttempt) -> Iterator[AttemptSlot]:
    """Run a block that looks a code up, if the limits leave room; count what comes of it.

    Raises:
        ApplicationError: RATE_LIMITED, before the block or instead of its answer that no such code exists.
    """
    if exceeded := guard.acquire(attempt):
        raise _rate_limited(exceeded)
    invitation = guard.invitation(attempt)
    slot = AttemptSlot(guard.invitations.acquire(invitation))
    try:
        yield slot
    except ApplicationError as error:
        if error.code == CodeUnknown.code and (exceeded := guard.record_failure(attempt)):
            raise _rate_limited(exceeded) from error
        if error.code == InvitationsLimited.code:
            LIMITED.labels(error.facts["why"]).inc()
        raise
    finally:
        guard.invitations.release(invitation, slot.waits, slot.reservation, is_code_bound=slot.is_code_bound)
        guard.release(attempt)


def _rate_limited(exceeded: RateLimitExceeded) -> ApplicationError:
    """The error, with a reason only as far as it helps a person: the limit itself is for the metrics."""
    why = "everybody" if exceeded.is_about_all else "unknown_codes"
    return ApplicationError("RATE_LIMITED", retry_after_s=exceeded.retry_after_s, why=why)
