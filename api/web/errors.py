"""Errors as pages, for browsers that asked for a page."""

from typing import Final

from fastapi import Request
from fastapi.responses import HTMLResponse

from api.http.dependencies import request_id_of
from api.i18n.catalogs import translator
from api.i18n.messages import refusal_detail, refusal_title
from api.web.rendering import choose_language, page
from domain.ports import Language

API_PATHS: Final = ("/api/", "/healthz", "/readyz", "/metrics")
"""Paths whose errors are always documents, also for browsers."""


def wants_html(request: Request) -> bool:
    """Return whether an error should be answered with a page: the request asked for one."""
    if request.url.path.startswith(API_PATHS):
        return False
    return "text/html" in request.headers.get("accept", "").lower()


def error_page(request: Request, status: int, code: str, language: Language, **facts: object) -> HTMLResponse:
    """Return the page of an error.

    Args:
        request: What went wrong.
        status: HTTP status of the answer.
        code: Stable code of the error, such as NOT_FOUND.
        language: Used unless the browser has chosen another one on our pages.
        facts: As `refusal_detail` takes them.
    """
    language = choose_language(request, language)
    # Looking at a page asks for nothing that could have taken effect.
    may_reload = code == "UNAVAILABLE" and request.method == "GET"
    detail = translator(language)("page.error.unavailable") if may_reload else refusal_detail(code, language, **facts)
    return page(
        request,
        "error.html",
        language,
        status=status,
        status_code=status,
        heading=refusal_title(code, language),
        detail=detail,
        may_reload=may_reload,
        request_id=request_id_of(request),
    )
