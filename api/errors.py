"""Errors of the application with a stable code, which routes, pages and commands each show in their own way."""

from api.i18n.code_sentences import facts_of_refusal
from domain.errors import Refusal

RETRY_AFTER_S = 2
"""What a caller is told to wait when the database is away or the queue is full."""


class ProblemError(Exception):
    """A fault that is answered with a problem document, and perhaps `headers` of its own."""

    def __init__(self, code: str, *, retry_after_s: int | None = None, **facts: object) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after_s = retry_after_s
        self.facts = facts
        self.faults: list[dict[str, object]] = []
        """Which parts of a request are malformed, as `where` and `what`."""
        self.headers: dict[str, str] = {}

    @classmethod
    def of(cls, refusal: Refusal) -> "ProblemError":
        """The problem that a refusal of the domain becomes."""
        problem = cls(refusal.code, retry_after_s=refusal.retry_after_s)
        problem.facts = facts_of_refusal(refusal)
        return problem


def malformed(where: str, what: str) -> ProblemError:
    """The problem of a request that has the right shape and still makes no sense.

    Args:
        where: Which part, such as `query.cursor`.
        what: What is wrong with it, without what it says.
    """
    problem = ProblemError("MALFORMED")
    problem.faults = [{"where": where, "what": what}]
    return problem
