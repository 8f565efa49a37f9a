"""The pages of a forgotten password, and of the links by which staff choose their password.

The token in a link's URL is the secret that its form needs. GET changes nothing, because mail gateways open every link.
"""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from api.auth.passwords import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN, find_length_fault
from api.auth.session_cookies import digest_of, form_token
from api.errors import ApplicationError
from api.http.problems import retry_headers
from api.i18n.messages import refusal_detail
from api.use_cases.administration.staff_links import LinkState, choose_password, find_link
from api.use_cases.services import Caller
from api.web.rendering import page, see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language
from api.web.staff_auth.sessions import (
    FORGOT_PASSWORD,
    SIGN_IN,
    InvalidFormTokenError,
    SupportContextDep,
    SupportRoute,
    has_valid_csrf_token,
    set_cookie,
)
from api.web.staff_auth.sign_in import FORM_COOKIE, FORM_S, describe_attempt, read_form_cookie
from projections.repositories.staff_links import StaffLink

TOKEN_LENGTH_MAX: Final = 64

router = APIRouter(prefix="/support", route_class=SupportRoute)


@router.get("/forgot-password")
def show_form(request: Request, support: SupportContextDep) -> Response:
    """Show the form that asks for the email address."""
    _require_passwords(support)
    return _render_form(request, support)


@router.post("/forgot-password")
async def request_link(
    request: Request,
    support: SupportContextDep,
    email: Annotated[str, Form()] = "",
    token: Annotated[str, Form()] = "",
) -> Response:
    """Send a link if the email address is that of an account. The answer does not say whether it is.

    Each request counts as a failed sign-in does, so that it cannot be used to send many emails.
    """
    _require_passwords(support)
    if not has_valid_csrf_token(request, support, request.cookies.get(FORM_COOKIE), token):
        raise InvalidFormTokenError
    attempt = describe_attempt(request, support, email)
    wait = support.login_throttle.acquire(attempt.counts) if support.is_throttled else None
    if wait is not None:
        return _render_form(request, support, email=email, wait_s=wait)
    if attempt.email is not None:
        support.mailer.send_forgotten(attempt.email, get_language(request))
    return _render_form(request, support, is_sent=True)


@router.get("/set-password/{token}")
def show_link(request: Request, support: SupportContextDep, token: str) -> Response:
    """Show the form for a password, or why the link does not work."""
    return _render_link(request, *_find(support, token))


@router.post("/set-password/{token}")
async def use_link(
    request: Request, support: SupportContextDep, token: str, new: Annotated[str, Form()] = ""
) -> Response:
    """Set the password that was chosen, and lead to the sign-in; the link works no more."""
    run = support.services.run_blocking
    state, link = await run(_find, support, token)
    if state != "open" or link is None:
        return _render_link(request, state, link)
    if (fault := find_length_fault(new)) is not None:
        return _render_link(request, state, link, fault=fault)
    password_hash = await support.hash_password(new)
    audit_log = support.services.open_audit_log(Caller(actor="staff", actor_id=str(link.staff_id)))
    if not await run(choose_password, audit_log, link, digest_of(token), password_hash):
        return _render_link(request, *await run(_find, support, token))
    return see_other(f"{SIGN_IN}?done=password")


def _require_passwords(support: SupportContext) -> None:
    """Answer as if there were no such page where no password opens anything."""
    if not support.services.settings.admits_passwords:
        raise ApplicationError("NOT_FOUND")


def _find(support: SupportContext, token: str) -> tuple[LinkState, StaffLink | None]:
    _require_passwords(support)
    if len(token) > TOKEN_LENGTH_MAX:
        return "unknown", None
    return find_link(support.services.storage, token, support.services.now())


def _render_link(request: Request, state: LinkState, link: StaffLink | None, *, fault: str | None = None) -> Response:
    gone = HTTPStatus.NOT_FOUND if state == "unknown" else HTTPStatus.GONE
    status = HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.OK if state == "open" else gone
    return page(
        request,
        "support/set_password.html",
        get_language(request),
        status=status,
        staff=None,
        state=state,
        link=link,
        fault=fault,
        length_min=PASSWORD_LENGTH_MIN,
        length_max=PASSWORD_LENGTH_MAX,
    )


def _render_form(
    request: Request,
    support: SupportContext,
    *,
    email: str = "",
    is_sent: bool = False,
    wait_s: int | None = None,
) -> Response:
    language, cookie = get_language(request), read_form_cookie(request)
    response = page(
        request,
        "support/forgot_password.html",
        language,
        status=HTTPStatus.OK if wait_s is None else HTTPStatus.TOO_MANY_REQUESTS,
        headers=retry_headers(wait_s),
        staff=None,
        token=form_token(support.secret, cookie),
        email=email,
        is_sent=is_sent,
        wait=None if wait_s is None else refusal_detail("RATE_LIMITED", language, retry_after_s=wait_s),
        path=FORGOT_PASSWORD,
    )
    set_cookie(request, response, FORM_COOKIE, cookie, FORM_S, path="/support")
    return response
