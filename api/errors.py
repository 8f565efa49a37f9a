"""Errors of the application with a stable code, which routes, pages and commands each show in their own way."""

from collections.abc import Sequence
from typing import Self

from api.i18n.code_sentences import facts_of_refusal
from domain.errors import Refusal

RETRY_AFTER_S = 2
"""Seconds that a caller is asked to wait when the database is unavailable or the queue is full."""


class ApplicationError(Exception):
    """A request that the application does not carry out.

    Attributes:
        code: Stable name, such as CODE_EXHAUSTED.
        retry_after_s: Whole seconds after which asking again may help; None if waiting does not help.
        facts: What the texts of the code need, by name; `retry_after_s` is one of them where it is known.
        errors: Malformed parts of the request, each with `where` and `what`.
    """

    def __init__(
        self,
        code: str,
        *,
        retry_after_s: int | None = None,
        errors: Sequence[dict[str, object]] = (),
        **facts: object,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after_s = retry_after_s
        self.facts = facts if retry_after_s is None else {**facts, "retry_after_s": retry_after_s}
        self.errors = errors

    @classmethod
    def from_refusal(cls, refusal: Refusal) -> Self:
        """The error that a refusal of the domain becomes."""
        error = cls(refusal.code, retry_after_s=refusal.retry_after_s)
        error.facts = facts_of_refusal(refusal)
        return error


def malformed(where: str, what: str) -> ApplicationError:
    """The error of a request that has the right shape and still makes no sense.

    Args:
        where: Which part, such as `query.cursor`.
        what: What is wrong with it, without repeating its value.
    """
    return ApplicationError("MALFORMED", errors=[{"where": where, "what": what}])
