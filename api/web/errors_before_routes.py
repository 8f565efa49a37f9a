"""Answers before the routes, which no error handler sees: a body that is too large, another host name or none."""

from fastapi import Request
from starlette.types import Receive, Scope, Send

from api.errors import ApplicationError
from api.http.problems import language_of, problem_response, status_of
from api.web.errors import error_page, wants_html


async def refuse_body(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request whose body is declared too large."""
    await _refuse("BODY_TOO_LARGE", scope, receive, send)


async def refuse_host(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request for a host name that is not ours."""
    await _refuse("HOST_NOT_ALLOWED", scope, receive, send)


async def refuse_invalid_host(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request without exactly one valid Host header."""
    await _refuse("HOST_INVALID", scope, receive, send)


async def _refuse(code: str, scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    scope["ledger_outcome"] = code
    language = language_of(request)
    page = error_page(request, status_of(code), code, language) if wants_html(request) else None
    response = page or problem_response(ApplicationError(code), language, scope.get("ledger_request_id"))
    await response(scope, receive, send)
