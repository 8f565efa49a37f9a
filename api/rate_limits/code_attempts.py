"""One request about a typed code, within the limits on guessing codes and on invitations."""

from types import TracebackType
from typing import Self

from api.errors import ApplicationError
from api.rate_limits.guard import CodeAttempt, Guard, RateLimitExceeded
from domain.commands.context import InvitationWaits
from domain.errors import CodeUnknown, InvitationsLimited, Refusal
from domain.model.reservation import Reservation
from projections.telemetry.metrics import LIMITED


class LimitedAttempt:
    """A context in which a code may be looked up; what the request did is counted at its end.

    Attributes:
        waits: Limits on invitations that leave no room, for the command's context; None if all do.
        reservation: To be set to the reservation that the request made; None if it made none.
        is_code_bound: To be set to whether the reservation's code is bound to its first recipient.
        has_joined: To be set to whether a further person is on a waiting list.
    """

    # A class, since a generator costs a microsecond more for every redeem.
    __slots__ = ("_attempt", "_guard", "_invitation", "has_joined", "is_code_bound", "reservation", "waits")

    def __init__(self, guard: Guard, attempt: CodeAttempt) -> None:
        self._guard = guard
        self._attempt = attempt
        self.waits: InvitationWaits | None = None
        self.reservation: Reservation | None = None
        self.is_code_bound = True
        self.has_joined = False

    def __enter__(self) -> Self:
        """Admit the request.

        Raises:
            ApplicationError: RATE_LIMITED.
        """
        self.admit()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count what the request did.

        Raises:
            ApplicationError: RATE_LIMITED, instead of the answer that no such code exists.
        """
        self.settle(error)

    def admit(self) -> None:
        """Admit the request; `settle` must follow.

        Raises:
            ApplicationError: RATE_LIMITED.
        """
        if exceeded := self._guard.acquire(self._attempt):
            raise error_of_limit(exceeded)
        self._invitation = self._guard.invitation(self._attempt)
        self.waits = self._guard.invitations.acquire(self._invitation)

    def settle(self, error: BaseException | None) -> None:
        """Count what the request did, which ended with this error, if any.

        Raises:
            ApplicationError: RATE_LIMITED, instead of the answer that no such code exists.
        """
        guard, attempt = self._guard, self._attempt
        is_answered = error is None or (
            isinstance(error.__cause__, Refusal) and not isinstance(error.__cause__, CodeUnknown)
        )
        guard.invitations.release(
            self._invitation,
            self.waits,
            self.reservation,
            is_code_bound=self.is_code_bound,
            is_answered=is_answered,
            has_joined=self.has_joined,
        )
        guard.release(attempt)
        if not isinstance(error, ApplicationError):
            return
        if error.code == CodeUnknown.code and (exceeded := guard.record_failure(attempt)):
            raise error_of_limit(exceeded) from error
        if error.code == InvitationsLimited.code:
            LIMITED.labels(error.facts["why"]).inc()


def error_of_limit(exceeded: RateLimitExceeded) -> ApplicationError:
    """Return the error, with a reason only if it helps the caller: the limit itself is for the metrics."""
    why = "everybody" if exceeded.is_about_all else "unknown_codes"
    return ApplicationError("RATE_LIMITED", retry_after_s=exceeded.retry_after_s, why=why)
