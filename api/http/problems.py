"""From a refusal or fault to an RFC 9457 problem document: one table, one place."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from fastapi import Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.i18n.catalogs import pick_language
from api.i18n.messages import refusal_detail, refusal_title
from domain.ports import Language

MEDIA_TYPE = "application/problem+json"

STATUS: Final[dict[str, int]] = {
    "IDEMPOTENCY_KEY_REUSED": 422,
    "MALFORMED": 422,
    "OUT_OF_BOUNDS": 422,
    "EMAIL_INVALID": 422,
    "CODE_MALFORMED": 422,
    "ACCESS_CHOICE_REQUIRED": 422,
    "BODY_TOO_LARGE": 413,
    "HOST_NOT_ALLOWED": 400,
    "UNAUTHORIZED": 401,
    "SIGNATURE_INVALID": 401,
    "CALLBACK_STALE": 400,
    "CALLBACK_REPEATED": 409,
    "TARGET_REFUSED": 422,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "RESERVATION_NOT_REFUNDABLE": 409,
    "RESERVATION_NOT_RESOLVABLE": 409,
    "NOTHING_SENT": 409,
    "LIMIT_TOO_LOW": 409,
    "RESERVATION_NOT_RESENDABLE": 409,
    "TERMS_CHANGED": 412,
    "PRECONDITION_REQUIRED": 428,
    "RATE_LIMITED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "OVERLOADED": 503,
}
"""Everything else is a refusal of a public route: 400, as its clients expect."""


class HttpError(ApplicationError):
    """An application error whose answer has headers of its own, such as `Allow`."""

    def __init__(self, code: str, headers: Mapping[str, str]) -> None:
        super().__init__(code)
        self.headers = headers

    @classmethod
    def with_headers(cls, error: ApplicationError, headers: Mapping[str, str]) -> "HttpError":
        """The same error, answered with these headers too."""
        answer = cls(error.code, headers)
        answer.retry_after_s, answer.facts, answer.errors = error.retry_after_s, error.facts, error.errors
        return answer


def headers_of(error: ApplicationError) -> Mapping[str, str]:
    """The headers of an error's own; none of most."""
    return error.headers if isinstance(error, HttpError) else {}


def status_of(code: str) -> int:
    """HTTP status of a problem's code."""
    return STATUS.get(code, HTTPStatus.BAD_REQUEST)


def problem_response(problem: ApplicationError, language: Language, request_id: str | None = None) -> Response:
    """The document, in the caller's language. Its instance is the request, never the path: that may hold a code."""
    status, body, headers = problem_answer(problem, language, request_id)
    return Response(body, status, headers, media_type=MEDIA_TYPE)


def problem_answer(
    problem: ApplicationError, language: Language, request_id: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    """Status, document and headers but for those of its type and length; as `problem_response`."""
    status = status_of(problem.code)
    content: dict[str, object] = {
        "type": f"urn:redemption-ledger:{problem.code.lower().replace('_', '-')}",
        "title": refusal_title(problem.code, language),
        "status": status,
        "detail": refusal_detail(problem.code, language, **problem.facts),
        "code": problem.code,
    }
    if request_id is not None:
        content["instance"] = f"urn:redemption-ledger:request:{request_id}"
    if problem.errors:
        content["errors"] = problem.errors
    headers: dict[str, str] = {"Content-Language": language, **headers_of(problem)}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    if problem.code == "UNAUTHORIZED":
        headers["WWW-Authenticate"] = "Bearer"
    return status, orjson.dumps(content), headers


def language_of(request: Request) -> Language:
    """The language in which this caller is answered."""
    default: Language = request.app.state.services.settings.default_language
    return pick_language(request.headers.get("accept-language"), default)
