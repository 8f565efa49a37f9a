"""Sessions of staff: cookies, roles, and the token that every form carries."""

import secrets
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from fastapi import Depends, Form, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response

from api.auth.session_cookies import COOKIE, digest_of, form_token, is_own
from api.auth.user_agents import read_device
from api.errors import ApplicationError
from api.http.allowed_methods import find_wrong_method
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import client_ip_of
from api.schemas.ip_networks import find_network
from api.use_cases.approvals.decide import list_kinds_of_role
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.lost_forms import ask_to_sign_in, find_lost_form, show_again
from api.web.staff_auth.proofs import (
    PROOF_ERRORS,
    SentProof,
    continue_proof,
    read_proof,
    remember_form,
    take_proof,
)
from api.web.staff_auth.rendering import render_error, render_refusal
from api.web.staff_auth.staff import Staff
from projections.config.staff_roles import Role
from projections.repositories.approvals import ApprovalRepository
from projections.repositories.staff_sessions import NewSession, Proof, StaffMember

SESSION_S: Final = 12 * 3600
"""Longest life of a session in seconds: a working day."""
TOKEN_BYTES: Final = 32
SIGN_IN: Final = "/support/sign-in"
SIGN_OUT: Final = "/support/sign-out"
FACTORS: Final = "/support/account/factors"
FORGOT_PASSWORD: Final = "/support/forgot-password"  # noqa: S105 - a path, no secret


class NotSignedInError(Exception):
    """The page is for staff, and the visitor is not signed in."""


class FactorMissingError(Exception):
    """The role needs a second factor, and the account has none."""


class InvalidFormTokenError(Exception):
    """A form came without the token of this session: from another site, or from before a new sign-in."""


class SupportRoute(BlockingRoute):
    """A route of staff pages: its errors are pages, and it leads to the sign-in if there is no session."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except NotSignedInError:
                url, lost_form = sign_in_url(request), find_lost_form(request)
                return see_other(url) if lost_form is None else ask_to_sign_in(request, lost_form, url)
            except FactorMissingError:
                return see_other(FACTORS)
            except InvalidFormTokenError:
                lost_form = find_lost_form(request) if hasattr(request.state, "staff") else None
                return (
                    render_error(request, 403, None, None, None)
                    if lost_form is None
                    else await show_again(request, lost_form)
                )
            except PROOF_ERRORS as error:
                return await continue_proof(request, get_support_context(request), error)
            except RequestValidationError as error:
                if (problem := find_wrong_method(request, error)) is not None:
                    raise problem from error
                return render_refusal(request, ApplicationError("MALFORMED"))
            except ApplicationError as error:
                return render_refusal(request, error)

        return handler


def get_support_context(request: Request) -> SupportContext:
    """Return the context of this process."""
    support: SupportContext = request.app.state.support
    return support


def new_token() -> str:
    """Return the secret of a session or a form."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def describe_session(request: Request, token: str, now: datetime, proof: Proof | None) -> NewSession:
    """Return the session of a request's browser that begins under a new token, instead of the one that it had."""
    former, device = request.cookies.get(COOKIE), read_device(request.headers.get("user-agent", ""))
    ends_at = now + timedelta(seconds=SESSION_S)
    network = find_network(client_ip_of(request.scope))
    return NewSession(digest_of(token), ends_at, digest_of(former) if former else None, device, network, proof=proof)


def has_valid_csrf_token(request: Request, support: SupportContext, cookie: str | None, token: str) -> bool:
    """Return whether a form was made by one of our pages for the holder of this cookie."""
    return is_own(request.headers, support.secret, cookie, token)


def set_cookie(request: Request, response: Response, name: str, value: str, seconds: int, *, path: str = "/") -> None:
    """Set a cookie that scripts can't read, that forms of other sites don't send, and that is sent over https only."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=path,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def sign_in_url(request: Request) -> str:
    """Return the URL of the sign-in and the page to continue with: that of a form, which a script fills in again."""
    if request.url.path == SIGN_OUT:
        return SIGN_IN
    if request.method != "GET":
        page = urlsplit(request.headers.get("referer", ""))
        query = {"lost": "1", **({"next": page.path} if page.netloc == request.url.netloc else {})}
        return f"{SIGN_IN}?{urlencode(query)}"
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return SIGN_IN if path == "/support" else f"{SIGN_IN}?next={quote(path)}"


def require_role(role: Role, *, may_lack_factor: bool = False) -> Callable[..., Coroutine[Any, Any, Staff]]:
    """Return a dependency for the signed-in member of staff, with at least this role.

    Args:
        role: The least role.
        may_lack_factor: Whether the page is open without the second factor that the role needs.

    Raises:
        NotSignedInError: There is no session, or it has ended.
        FactorMissingError: The role needs a second factor, which the account lacks.
        ApplicationError: FORBIDDEN, the role is not sufficient.
    """

    async def staff(request: Request) -> Staff:
        support = get_support_context(request)
        token = request.cookies.get(COOKIE)
        if token is None:
            raise NotSignedInError
        digest, now = digest_of(token), support.services.now()
        session_owner = await support.services.run_blocking(support.sessions.find_member, digest, now)
        if session_owner is None:
            raise NotSignedInError
        member_of_staff = Staff(
            staff_id=session_owner.staff_id,
            role=_role(session_owner.role),
            address=session_owner.address,
            form_token=form_token(support.secret, token),
            proof=session_owner.proof,
            must_add_factor=support.services.settings.must_add_factor(session_owner),
            approvals=await _count_approvals(support, session_owner, now),
        )
        if member_of_staff.must_add_factor and not may_lack_factor:
            raise FactorMissingError
        request.state.staff = member_of_staff
        if not member_of_staff.has_role(role):
            raise ApplicationError("FORBIDDEN", role=role)
        return member_of_staff

    return staff


def require_role_with_form(role: Role, *, may_lack_factor: bool = False) -> Callable[..., Coroutine[Any, Any, Staff]]:
    """Return a dependency of routes that change something: as `require_role`, and the form must be ours.

    A form may bring the proof that it was asked for.

    Raises:
        InvalidFormTokenError: The form's token is not this session's.
        ProofRefusedError: The form's proof is none.
    """
    inner = require_role(role, may_lack_factor=may_lack_factor)

    async def staff(
        request: Request,
        proof: Annotated[SentProof | None, Depends(read_proof)],
        token: Annotated[str, Form()] = "",
    ) -> Staff:
        await remember_form(request)
        member_of_staff, support = await inner(request), get_support_context(request)
        if not has_valid_csrf_token(request, support, request.cookies.get(COOKIE), token):
            raise InvalidFormTokenError
        return member_of_staff if proof is None else await take_proof(request, support, member_of_staff, proof)

    return staff


async def _count_approvals(support: SupportContext, member: StaffMember, now: datetime) -> int | None:
    """Count the proposals that a member of staff could decide; None if none of theirs ever waits."""
    kinds = list_kinds_of_role(member.role)
    if not support.services.approvals.kinds.intersection(kinds):
        return None
    count = ApprovalRepository(support.services.storage).count_to_decide
    return await support.services.run_blocking(count, kinds, member.staff_id, now)


def _role(text: str) -> Role:
    return "admin" if text == "admin" else "support" if text == "support" else "viewer"


async def _support_context(request: Request) -> SupportContext:
    return get_support_context(request)


SupportContextDep = Annotated[SupportContext, Depends(_support_context)]
Viewer = Annotated[Staff, Depends(require_role("viewer"))]
Enrolling = Annotated[Staff, Depends(require_role("viewer", may_lack_factor=True))]
EnrollingWithForm = Annotated[Staff, Depends(require_role_with_form("viewer", may_lack_factor=True))]
Support = Annotated[Staff, Depends(require_role("support"))]
Admin = Annotated[Staff, Depends(require_role("admin"))]
ViewerWithForm = Annotated[Staff, Depends(require_role_with_form("viewer"))]
SupportWithForm = Annotated[Staff, Depends(require_role_with_form("support"))]
AdminWithForm = Annotated[Staff, Depends(require_role_with_form("admin"))]
