"""Rendering of the support console's pages and errors."""

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.dependencies import request_id_of
from api.http.problems import headers_of, retry_headers, status_of
from api.i18n.catalogs import translator
from api.i18n.messages import refusal_detail, refusal_title
from api.web.rendering import choose_language, page, see_other
from api.web.staff_auth.staff import Staff
from domain.ports import Language

_SUBJECT: Final = re.compile(
    r"/(?:support/(?:reservations|codes|people|approvals)|admin/(?:campaigns|hand-outs|batches))/[0-9a-f-]{36}(?=/)"
)
"""What a form is about, by the beginning of its path: the page to go back to."""

PROPOSED: Final = "proposed"
"""What the page of a new proposal confirms."""


def get_language(request: Request) -> Language:
    """Return the language of a support page."""
    return choose_language(request, request.app.state.services.settings.default_language)


def support_page(request: Request, template: str, staff: Staff, *, status: int = 200, **context: Any) -> Response:
    """Return a page for signed-in staff."""
    language = get_language(request)
    return page(
        request,
        f"support/{template}",
        language,
        status=status,
        staff=staff,
        usual_rebinds=find_usual_rebinds(request),
        **context,
    )


def find_usual_rebinds(request: Request) -> int:
    """Return how often an access grant may move by the settings, where its code does not say; for hints."""
    number: int = request.app.state.services.settings.policy.rebinds_max
    return number


def render_refusal(request: Request, problem: ApplicationError) -> Response:
    """Return the page of a refusal or error; an action that waits for a second person leads to its proposal."""
    if problem.code == "APPROVAL_REQUIRED":
        return see_other(f"/support/approvals/{problem.facts['approval_id']}?done={PROPOSED}")
    language = get_language(request)
    heading = refusal_title(problem.code, language)
    detail = refusal_detail(problem.code, language, **problem.facts)
    may_reload = problem.code == "UNAVAILABLE" and request.method in {"GET", "HEAD"}
    if problem.code == "UNAVAILABLE":  # the text of the refusal is for customers
        detail = translator(language)("page.support.unavailable" if may_reload else "page.support.unavailable.change")
    status = status_of(problem.code)
    response = render_error(request, status, heading, detail, problem.retry_after_s, may_reload=may_reload)
    response.headers.update(headers_of(problem))
    return response


def own_path(path: str) -> str:
    """Return the page to continue with: one of ours, never another site's."""
    is_ours = any(path == root or path.startswith((f"{root}/", f"{root}?")) for root in ("/support", "/admin"))
    return path if is_ours and "\\" not in path and path.isprintable() else "/support"


def find_page_of_form(request: Request) -> str:
    """Return the page that a form was sent from, by the header Referer; by default the path of the form."""
    referer = urlsplit(request.headers.get("referer", ""))
    is_ours = referer.netloc == request.url.netloc
    return referer.path + (f"?{referer.query}" if referer.query else "") if is_ours else request.url.path


def render_error(
    request: Request,
    status: int,
    heading: str | None,
    detail: str | None,
    retry_after_s: int | None,
    *,
    may_reload: bool = False,
    typed: Sequence[tuple[str, str]] = (),
) -> Response:
    """Return the page of an error, with the staff navigation for signed-in staff, and what a lost form had."""
    subject = None if request.method == "GET" else _SUBJECT.match(request.url.path)
    return page(
        request,
        "support/refusal.html",
        get_language(request),
        status=status,
        headers=retry_headers(retry_after_s),
        staff=getattr(request.state, "staff", None),
        status_code=status,
        heading=heading,
        detail=detail,
        may_reload=may_reload,
        typed=typed,
        subject_path=None if subject is None else subject[0],
        request_id=request_id_of(request),
    )
