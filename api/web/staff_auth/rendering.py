"""Support's pages and their faults."""

from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.dependencies import request_id_of
from api.http.problems import headers_of, status_of
from api.i18n.messages import refusal_detail, refusal_title
from api.web.public import page, page_language
from domain.ports import Language

if TYPE_CHECKING:
    from api.web.staff_auth.sessions import Staff


def language_of(request: Request) -> Language:
    """The language of a page at the desk."""
    return page_language(request, request.app.state.services.settings.default_language)


def support_page(request: Request, template: str, staff: "Staff", *, status: int = 200, **context: Any) -> Response:
    """A page for somebody who is signed in."""
    language = language_of(request)
    return page(request, f"support/{template}", language, status=status, staff=staff, **context)


def fault_page(request: Request, problem: ApplicationError) -> Response:
    """The page of a refusal or fault."""
    language = language_of(request)
    heading = refusal_title(problem.code, language)
    detail = refusal_detail(problem.code, language, **problem.facts)
    answer = _fault(request, status_of(problem.code), heading, detail, problem.retry_after_s)
    answer.headers.update(headers_of(problem))
    return answer


def form_is_stale(request: Request) -> Response:
    """The page that refuses a form which is not this session's."""
    return _fault(request, 403, None, None, None)


def _fault(
    request: Request, status: int, heading: str | None, detail: str | None, retry_after_s: int | None
) -> Response:
    return page(
        request,
        "support/fault.html",
        language_of(request),
        status=status,
        headers={} if retry_after_s is None else {"Retry-After": str(retry_after_s)},
        staff=getattr(request.state, "staff", None),
        status_code=status,
        heading=heading,
        detail=detail,
        request_id=request_id_of(request),
    )
