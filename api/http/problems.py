"""RFC 9457 problem documents for errors of the application."""

from collections.abc import Mapping
from typing import Final

import orjson
from fastapi import Request
from fastapi.responses import Response

from api.errors import ERROR_CODES, ApplicationError, ErrorKind
from api.i18n.catalogs import pick_language
from api.i18n.messages import refusal_detail, refusal_title
from domain.ports import Language

MEDIA_TYPE = "application/problem+json"

STATUS_BY_KIND: Final[dict[ErrorKind, int]] = {
    "refused": 400,
    "unreadable": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "unknown_method": 405,
    "conflict": 409,
    "outdated": 412,
    "too_large": 413,
    "malformed": 422,
    "condition_required": 428,
    "limited": 429,
    "defect": 500,
    "unavailable": 503,
}


class HttpError(ApplicationError):
    """An application error whose answer has additional headers, such as `Allow`."""

    def __init__(self, code: str, headers: Mapping[str, str]) -> None:
        super().__init__(code)
        self.headers = headers

    @classmethod
    def with_headers(cls, error: ApplicationError, headers: Mapping[str, str]) -> "HttpError":
        """Return the same error with these headers."""
        answer = cls(error.code, headers)
        answer.retry_after_s, answer.facts, answer.errors = error.retry_after_s, error.facts, error.errors
        return answer


def headers_of(error: ApplicationError) -> Mapping[str, str]:
    """Return the additional headers of an error; most have none."""
    return error.headers if isinstance(error, HttpError) else {}


def retry_headers(retry_after_s: int | None) -> dict[str, str]:
    """Return the Retry-After header of an error after which waiting helps; no header for None."""
    return {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}


def status_of(code: str) -> int:
    """Return the HTTP status of a problem's code."""
    return STATUS_BY_KIND[ERROR_CODES[code].kind]


def problem_response(problem: ApplicationError, language: Language, request_id: str | None = None) -> Response:
    """Return the problem document in the caller's language.

    Its instance is the request id, never the path, which may hold a code.
    """
    status, body, headers = problem_answer(problem, language, request_id)
    return Response(body, status, headers, media_type=MEDIA_TYPE)


def problem_answer(
    problem: ApplicationError, language: Language, request_id: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    """Return status, document and headers, without the content type, as `problem_response` sends them."""
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
    content |= {name: problem.facts[name] for name in ("approval_id", "approval_url") if name in problem.facts}
    headers: dict[str, str] = {
        "Content-Language": language,
        **headers_of(problem),
        **retry_headers(problem.retry_after_s),
    }
    if problem.code == "UNAUTHORIZED":
        headers["WWW-Authenticate"] = "Bearer"
    return status, orjson.dumps(content), headers


def language_of(request: Request) -> Language:
    """Return the language in which this caller is answered."""
    default: Language = request.app.state.services.settings.default_language
    return pick_language(request.headers.get("accept-language"), default)
