"""Errors of the application with a stable code, which routes, pages and commands each show in their own way."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Self

from domain.errors import RedeemField, Refusal, RefusalKind, refusal_classes

RETRY_AFTER_S = 2
"""Seconds that a caller is asked to wait when the database is unavailable or the queue is full."""

RequestErrorKind = Literal["unreadable", "unauthenticated", "forbidden", "unknown_method", "too_large"]
ServiceErrorKind = Literal["condition_required", "defect", "unavailable"]
ErrorKind = RefusalKind | RequestErrorKind | ServiceErrorKind
"""What a caller can do about an error: the kinds of refusals, and those of requests that reach no rule."""


class ErrorCode(NamedTuple):
    """What a code means, in one sentence for the API's description.

    Attributes:
        reasons: Words for `why` that have a text of their own.
        field: The field of the redeem form that it is about, if it is about one.
    """

    kind: ErrorKind
    meaning: str
    reasons: tuple[str, ...] = ()
    field: RedeemField | None = None


_OF_REFUSALS: Final = {
    refusal.code: ErrorCode(refusal.kind, str(refusal.__doc__).splitlines()[0], refusal.reasons, refusal.field)
    for refusal in refusal_classes()
}
_OF_REQUESTS: Final = {
    "NOT_FOUND": ErrorCode("not_found", "There is no such resource."),
    "RATE_LIMITED": ErrorCode(
        "limited",
        "Too many codes that do not exist, or too many invitations.",
        ("unknown_codes", "everybody", "test_messages", "questions", *_OF_REFUSALS["RATE_LIMITED"].reasons),
    ),
    "MALFORMED": ErrorCode("malformed", "The request is malformed; `errors` names the parts."),
    "EMAIL_INVALID": ErrorCode("malformed", "The email address is malformed.", field="email"),
    "CODE_MALFORMED": ErrorCode("malformed", "The code is malformed.", field="code"),
    "TARGET_REFUSED": ErrorCode(
        "malformed", "The URL may not be a target of webhooks.", ("form", "scheme", "login", "host", "private")
    ),
    "BODY_TOO_LARGE": ErrorCode("too_large", "The request's body is too large."),
    "HOST_INVALID": ErrorCode("unreadable", "The `Host` header is missing, repeated or not a host."),
    "HOST_NOT_ALLOWED": ErrorCode("unreadable", "The `Host` header names another host."),
    "UNAUTHORIZED": ErrorCode("unauthenticated", "The request carries no valid API key and no staff session."),
    "SIGNATURE_INVALID": ErrorCode("unauthenticated", "The callback's signature is not valid."),
    "CALLBACK_STALE": ErrorCode("unreadable", "The callback was signed too long ago, or in the future."),
    "CALLBACK_REPEATED": ErrorCode("conflict", "The callback was accepted before; sign each attempt separately."),
    "FORBIDDEN": ErrorCode(
        "forbidden",
        "The caller lacks the scope, the session's token or a second factor, or the API key may not be used from here.",
        ("csrf", "network", "second_factor", "origin"),
    ),
    "PROOF_REQUIRED": ErrorCode(
        "forbidden", "A member of staff has to confirm on a staff page that it is them, and repeat the request."
    ),
    "METHOD_NOT_ALLOWED": ErrorCode("unknown_method", "The resource has no such method; `Allow` names those it has."),
    "APPROVAL_REQUIRED": ErrorCode(
        "conflict", "Nothing was done: the action waits for the approval of a second person; `approval_id` names it."
    ),
    "APPROVAL_NOT_POSSIBLE": ErrorCode(
        "conflict",
        "The proposal cannot be decided like that.",
        ("own", "decided", "expired", "proposer", "withdraw", "too_many", "nothing"),
    ),
    "APPROVALS_FULL": ErrorCode("conflict", "Too many proposals wait for an approval; nothing was done."),
    "PRECONDITION_REQUIRED": ErrorCode("condition_required", "`If-Match` is missing."),
    "INTERNAL": ErrorCode("defect", "The server failed; the request may be sent again."),
    "UNAVAILABLE": ErrorCode("unavailable", "The database is unavailable; nothing is lost."),
    "OVERLOADED": ErrorCode("unavailable", "Too many requests wait; nothing was done.", ("sign_in",)),
}
ERROR_CODES: Final[dict[str, ErrorCode]] = dict(sorted((_OF_REFUSALS | _OF_REQUESTS).items()))
"""Every code that a response may carry."""


class ApplicationError(Exception):
    """A request that the application does not carry out.

    Attributes:
        code: Stable name, one of `ERROR_CODES`.
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
        """Return the error for a refusal of the domain."""
        in_use = refusal.facts.get("in_use")
        errors = [_below_uses(name, uses) for name, uses in in_use.items()] if isinstance(in_use, dict) else ()
        variables = refusal.facts.get("variables")
        if isinstance(variables, list):
            errors = [{"where": "texts", "what": f"no recipient has the variable {{{name}}}"} for name in variables]
        return cls(refusal.code, retry_after_s=refusal.retry_after_s, errors=errors, **refusal.facts)


def malformed(where: str, what: str) -> ApplicationError:
    """Return the error for a request that has the right shape and an impossible value.

    Args:
        where: Which part, such as `query.cursor`.
        what: What is wrong with it, without repeating its value.
    """
    return ApplicationError("MALFORMED", errors=[{"where": where, "what": what}])


def _below_uses(name: str, uses: int) -> dict[str, object]:
    """Return the part of a problem about a limit that is below the uses that it limits."""
    return {"where": f"body.{name}", "what": f"must be at least {uses}, the number of uses that it limits"}
