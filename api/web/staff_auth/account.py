"""A staff member's own account: a new password, which ends every session except a new one, and the open sessions."""

from functools import partial
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from api.auth.passwords import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN, find_length_fault
from api.auth.session_cookies import COOKIE, digest_of
from api.i18n.catalogs import translator
from api.i18n.messages import refusal_detail
from api.use_cases.administration.staff_accounts import change_own_password, end_sessions
from api.web.rendering import see_other
from api.web.security_headers import REDIRECTING
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.proofs import ProofRefusedError, check_own_password
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.session_list import list_sessions, parse_session_key
from api.web.staff_auth.sessions import (
    SESSION_S,
    SupportContextDep,
    SupportRoute,
    Viewer,
    ViewerWithForm,
    describe_session,
    new_token,
    set_cookie,
)
from api.web.staff_auth.sign_in import find_provider_name
from api.web.staff_auth.staff import Staff
from projections.repositories.staff_factors import StaffFactorRepository
from projections.repositories.staff_identities import StaffIdentityRepository
from projections.repositories.staff_sessions import Proof

PATH: Final = "/support/account"
Done = Literal["", "password", "sessions", "connected"]
"""What was done before the page is shown."""

router = APIRouter(prefix=PATH, route_class=SupportRoute)


@router.get("")
def show_account(request: Request, support: SupportContextDep, staff: Viewer, done: Done = "") -> Response:
    """Show the account, how it signs in, and its open sessions."""
    return _render(request, support, staff, done=done)


@router.post("/sessions")
def end_own_sessions(
    request: Request, support: SupportContextDep, staff: ViewerWithForm, session: Annotated[str, Form()] = ""
) -> Response:
    """End the named session, or all except the one that asks for it."""
    only, current = parse_session_key(session), digest_of(request.cookies[COOKIE])
    end_sessions(support.services.open_audit_log(staff.caller()), staff.staff_id, only=only, current=current)
    return see_other(f"{PATH}?done=sessions")


@router.post("")
async def change_password(
    request: Request,
    support: SupportContextDep,
    staff: ViewerWithForm,
    old: Annotated[str, Form()] = "",
    new: Annotated[str, Form()] = "",
) -> Response:
    """Check the old password, set the new one, and continue with a new session."""
    refuse = partial(support.services.run_blocking, partial(_render, request, support, staff))
    if (fault := find_length_fault(new)) is not None:
        return await refuse(error=fault)
    try:
        await check_own_password(support, staff, old)
    except ProofRefusedError as error:
        if error.wait_s is None:
            return await refuse(error="old")
        return await refuse(wait=refusal_detail("RATE_LIMITED", get_language(request), retry_after_s=error.wait_s))
    session = await _replace_password(request, support, staff, new)
    response = see_other(f"{PATH}?done=password")
    set_cookie(request, response, COOKIE, session, SESSION_S)
    return response


async def _replace_password(request: Request, support: SupportContext, staff: Staff, password: str) -> str:
    """Set the password, which ends all sessions, and begin a new one; return its token."""
    password_hash, session = await support.hash_password(password), new_token()
    audit_log = support.services.open_audit_log(staff.caller())
    new_session = describe_session(request, session, audit_log.now, Proof("password", audit_log.now))
    await support.services.run_blocking(change_own_password, audit_log, staff.staff_id, password_hash, new_session)
    return session


def _render(
    request: Request,
    support: SupportContext,
    staff: Staff,
    *,
    done: Done = "",
    error: str | None = None,
    wait: str | None = None,
) -> Response:
    settings = support.services.settings
    sign_in = StaffIdentityRepository(support.services.storage).find_sign_in(staff.staff_id)
    rows = support.sessions.list_of(staff.staff_id, support.services.now())
    return support_page(
        request,
        "account.html",
        staff,
        status=429 if wait else 422 if error else 200,
        headers=REDIRECTING if settings.oidc_issuer and not sign_in.is_connected else {},
        done=done,
        provider=find_provider_name(settings.oidc_issuer),
        is_connected=sign_in.is_connected,
        has_password=sign_in.has_password and settings.admits_passwords,
        factor_count=len(StaffFactorRepository(support.services.storage).list_of(staff.staff_id)),
        sessions=list_sessions(rows, translator(get_language(request)), digest_of(request.cookies[COOKIE])),
        sessions_path=f"{PATH}/sessions",
        error=error,
        wait=wait,
        length_min=PASSWORD_LENGTH_MIN,
        length_max=PASSWORD_LENGTH_MAX,
    )
