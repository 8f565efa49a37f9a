"""One's own account: a new password, which ends every session but the one that begins with it."""

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from api.auth.session_cookies import COOKIE, digest_of
from api.errors import ApplicationError
from api.i18n.messages import refusal_detail
from api.use_cases.administration.staff_accounts import NewSession, change_own_password
from api.web.staff_auth.context import Desk
from api.web.staff_auth.login_throttle import OWN, Count
from api.web.staff_auth.rendering import language_of, support_page
from api.web.staff_auth.sessions import (
    ActingViewer,
    Staff,
    SupportRoute,
    TheDesk,
    Viewer,
    new_token,
    set_cookie,
)
from api.web.staff_auth.sign_in import PASSWORD_LENGTH_MAX, SESSION_S
from domain.values.identifiers import EmailAddress

PASSWORD_LENGTH_MIN: Final = 12
"""Length is what counts (NIST SP 800-63B 5.1.1); no rule about kinds of letters."""

router = APIRouter(prefix="/support/account", route_class=SupportRoute)


@router.get("")
async def account(request: Request, staff: Viewer, done: str = "") -> Response:
    """Who one is here, and the form for a new password."""
    return _page(request, staff, is_done=done == "password")


@router.post("")
async def change_password(
    request: Request,
    desk: TheDesk,
    staff: ActingViewer,
    old: Annotated[str, Form()] = "",
    new: Annotated[str, Form()] = "",
) -> Response:
    """Check the old password, set the new one, and go on with a new session."""
    if not PASSWORD_LENGTH_MIN <= len(new) <= PASSWORD_LENGTH_MAX:
        return _page(request, staff, fault="short")
    counts = (Count(OWN, staff.staff_id.bytes),)
    wait = desk.throttle.take(counts) if desk.is_throttled else None
    if wait is not None:
        return _page(request, staff, wait=refusal_detail("RATE_LIMITED", language_of(request), retry_after_s=wait))
    try:
        is_right = await _is_password(desk, staff, old)
    except ApplicationError:
        desk.throttle.forgive(counts)  # the password was not looked at
        raise
    if not is_right:
        return _page(request, staff, fault="old")
    desk.throttle.forgive(counts)
    session = await _changed(desk, staff, new)
    response = RedirectResponse("/support/account?done=password", 303, {"Cache-Control": "no-store"})
    set_cookie(request, response, COOKIE, session, SESSION_S)
    return response


async def _is_password(desk: Desk, staff: Staff, typed: str) -> bool:
    if len(typed) > PASSWORD_LENGTH_MAX:
        return False
    return await desk.account_of(EmailAddress.parse(staff.address), typed, is_known=True) is not None


async def _changed(desk: Desk, staff: Staff, password: str) -> str:
    """Set the password, which ends all sessions, and begin a new one; its token."""
    password_hash, session = await desk.hash_of(password), new_token()
    action = desk.services.action(staff.caller(None))
    begun = NewSession(digest_of(session), action.now + timedelta(seconds=SESSION_S))
    await desk.services.read(lambda: change_own_password(action, staff.staff_id, password_hash, begun))
    return session


def _page(
    request: Request, staff: Staff, *, is_done: bool = False, fault: str | None = None, wait: str | None = None
) -> Response:
    return support_page(
        request,
        "account.html",
        staff,
        status=429 if wait else 422 if fault else 200,
        is_done=is_done,
        fault=fault,
        wait=wait,
        length_min=PASSWORD_LENGTH_MIN,
        length_max=PASSWORD_LENGTH_MAX,
    )
