"""Signing in and out."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Final, NamedTuple

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from api.auth.session_cookies import COOKIE, digest_of, form_token
from api.errors import ApplicationError
from api.i18n.messages import refusal_detail
from api.rate_limits.client_network import sites_of
from api.use_cases.administration.staff_accounts import NewSession, begin_session, end_session
from api.use_cases.services import Caller
from api.web.public import page
from api.web.staff_auth.context import Desk
from api.web.staff_auth.known_browsers import KEPT
from api.web.staff_auth.login_throttle import ACCOUNT, ALL, BROWSER, NETWORK, PAIR, SITE, Count
from api.web.staff_auth.rendering import language_of
from api.web.staff_auth.sessions import (
    SIGN_IN,
    ActingViewer,
    InvalidFormTokenError,
    SupportRoute,
    TheDesk,
    is_own_form,
    new_token,
    set_cookie,
)
from domain.values.identifiers import EmailAddress, MalformedEmailError
from projections.repositories.staff_sessions import StaffCredentials

SESSION_S: Final = 12 * 3600
"""A working day. A session ends then at the latest, used or not."""
FORM_COOKIE: Final = "ledger_sign_in"
FORM_S: Final = 3600
PASSWORD_LENGTH_MAX: Final = 1024
"""Longer ones are not looked at: hashing them would cost too much."""

router = APIRouter(prefix="/support", route_class=SupportRoute)


@router.get("/sign-in")
async def form(request: Request, desk: TheDesk, lost: str = "") -> Response:
    """The form. Its token belongs to a cookie of its own, since there is no session yet.

    `lost`: a form was sent after its session had ended.
    """
    return _form(request, desk, is_lost=bool(lost))


@router.post("/sign-in")
async def sign_in(
    request: Request,
    desk: TheDesk,
    email: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    token: Annotated[str, Form()] = "",
) -> Response:
    """Check the password, begin a session under a new token, and go to the page that was asked for."""
    if not is_own_form(request, desk, request.cookies.get(FORM_COOKIE), token):
        raise InvalidFormTokenError
    visitor = _visitor_of(request, desk, email)
    wait = desk.throttle.take(visitor.counts) if desk.is_throttled else None
    if wait is not None:
        return _form(request, desk, email=email, wait_s=wait)
    try:
        account = await _checked(desk, visitor, password)
    except ApplicationError:
        desk.throttle.forgive(visitor.counts)  # the password was not looked at
        raise
    if account is None:
        return _form(request, desk, email=email, is_refused=True)
    desk.throttle.forgive(visitor.counts)
    session, before = new_token(), request.cookies.get(COOKIE)
    action = desk.services.action(Caller(actor="staff", actor_id=str(account.staff_id)))
    ends_at, old = action.now + timedelta(seconds=SESSION_S), digest_of(before) if before else None
    begun = NewSession(digest_of(session), ends_at, old)
    await desk.services.read(lambda: begin_session(action, account.staff_id, begun))
    response = RedirectResponse(_next(request), 303, {"Cache-Control": "no-store"})
    set_cookie(request, response, COOKIE, session, SESSION_S)
    response.delete_cookie(FORM_COOKIE, path="/support")
    known = desk.browsers.cookie(visitor.name, new_token(), action.now)
    set_cookie(request, response, known.name, known.value, int(KEPT.total_seconds()), path="/support")
    return response


@router.post("/sign-out")
async def sign_out(request: Request, desk: TheDesk, staff: ActingViewer) -> Response:
    """End the session here and in the database."""
    digest, action = digest_of(request.cookies[COOKIE]), desk.services.action(staff.caller(None))
    await desk.services.read(lambda: end_session(action, digest))
    response = RedirectResponse(SIGN_IN, 303, {"Cache-Control": "no-store"})
    response.delete_cookie(COOKIE, path="/")
    return response


class _Visitor(NamedTuple):
    """Who tries to sign in: the address that was typed, and the counts that a failure is added to."""

    email: EmailAddress | None
    counts: Sequence[Count]
    is_known: bool

    @property
    def name(self) -> str:
        """The account's normal address; empty if what was typed is not an email address."""
        return self.email.normal if self.email else ""


async def _checked(desk: Desk, visitor: _Visitor, password: str) -> StaffCredentials | None:
    """The account whose password this is; each failure is written down, and takes as long as a success."""
    is_short = len(password) <= PASSWORD_LENGTH_MAX
    account = await desk.account_of(visitor.email, password, is_known=visitor.is_known) if is_short else None
    if account is None:
        email = visitor.email

        def record() -> None:
            known = desk.staff.find_credentials(email) if email else None
            tried = Caller(actor="staff", actor_id=str(known.staff_id) if known else None)
            desk.services.action(tried).record("sign_in_failed")

        await desk.services.read(record)
    return account


def _visitor_of(request: Request, desk: Desk, typed: str) -> _Visitor:
    """Where a sign-in comes from and whom it is for; no address is kept in clear."""
    try:
        email = EmailAddress.parse(typed)
    except MalformedEmailError:
        email = None
    name = email.normal if email else ""
    browser = desk.browsers.browser(request.cookies, name, desk.services.now())
    if browser is not None:
        return _Visitor(email, (Count(BROWSER, desk.count_key(name, browser)),), is_known=True)
    site, *networks = sites_of(request.client.host if request.client else "")
    counts = (
        Count(PAIR, desk.count_key(name, site)),
        Count(SITE, desk.count_key(site)),
        *(Count(NETWORK, desk.count_key(network)) for network in networks),
        Count(ACCOUNT, desk.count_key(name)),
        Count(ALL, b""),
    )
    return _Visitor(email, counts, is_known=False)


def _next(request: Request) -> str:
    """The page to go on to: one of ours, never another site's."""
    wish = request.query_params.get("next", "")
    is_ours = any(wish == desk or wish.startswith((f"{desk}/", f"{desk}?")) for desk in ("/support", "/admin"))
    return wish if is_ours and "\\" not in wish and wish.isprintable() else "/support"


def _form(
    request: Request,
    desk: Desk,
    *,
    email: str = "",
    is_lost: bool = False,
    is_refused: bool = False,
    wait_s: int | None = None,
) -> Response:
    cookie = request.cookies.get(FORM_COOKIE) or new_token()
    language = language_of(request)
    wait = None if wait_s is None else refusal_detail("RATE_LIMITED", language, retry_after_s=wait_s)
    response = page(
        request,
        "support/sign_in.html",
        language,
        status=429 if wait_s is not None else 403 if is_refused else 200,
        headers={} if wait_s is None else {"Retry-After": str(wait_s)},
        staff=None,
        token=form_token(desk.secret, cookie),
        email=email,
        is_lost=is_lost,
        is_refused=is_refused,
        wait=wait,
    )
    set_cookie(request, response, FORM_COOKIE, cookie, FORM_S, path="/support")
    return response
