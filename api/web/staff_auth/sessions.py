"""Who is at the desk: session cookies, roles, and the token that every form carries."""

import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import quote
from uuid import UUID

from fastapi import Depends, Form, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import APIRoute

from api.auth.scopes import RANK, Role
from api.auth.session_cookies import COOKIE, digest_of, form_token, is_own
from api.errors import ApplicationError
from api.use_cases.services import Caller
from api.web.staff_auth.context import Desk
from api.web.staff_auth.rendering import fault_page, form_is_stale
from domain.values.trace_ids import outside_trace_id

TOKEN_BYTES: Final = 32
SIGN_IN: Final = "/support/sign-in"
SIGN_OUT: Final = "/support/sign-out"


class NotSignedInError(Exception):
    """The page is for staff, and nobody is signed in."""


class InvalidFormTokenError(Exception):
    """A form came without the token of this session: from elsewhere, or from before a new sign-in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """Who asks. `form_token` goes into every form of the page."""

    staff_id: UUID
    role: Role
    address: str
    form_token: str

    def may(self, role: Role) -> bool:
        """Whether this role's acts are open to them."""
        return RANK[self.role] >= RANK[role]

    def caller(self, request_id: str | None) -> Caller:
        """As the events name them."""
        return Caller(actor="staff", actor_id=str(self.staff_id), request_id=request_id)


class SupportRoute(APIRoute):
    """Faults of these pages are pages, and who is not signed in is led to the sign-in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except NotSignedInError:
                return RedirectResponse(sign_in_address(request), 303, {"Cache-Control": "no-store"})
            except InvalidFormTokenError:
                return form_is_stale(request)
            except RequestValidationError:
                return fault_page(request, ApplicationError("MALFORMED"))
            except ApplicationError as problem:
                return fault_page(request, problem)

        return handler


def desk_of(request: Request) -> Desk:
    """The desk of this process."""
    desk: Desk = request.app.state.support
    return desk


def new_token() -> str:
    """The secret of a session or a form."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def is_own_form(request: Request, desk: Desk, cookie: str | None, token: str) -> bool:
    """Whether a form was made for the holder of this cookie, by us."""
    return is_own(request.headers, desk.secret, cookie, token)


def set_cookie(request: Request, response: Response, name: str, value: str, seconds: int, *, path: str = "/") -> None:
    """A cookie that scripts can't read, that other sites' forms don't bring, and that https keeps to itself."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=path,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def sign_in_address(request: Request) -> str:
    """The sign-in, and where to go on from there: to a page. What was in a form is lost, which is said."""
    if request.method != "GET":
        return SIGN_IN if request.url.path == SIGN_OUT else f"{SIGN_IN}?lost=1"
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return SIGN_IN if path == "/support" else f"{SIGN_IN}?next={quote(path)}"


def require_role(role: Role) -> Callable[..., Coroutine[Any, Any, Staff]]:
    """A dependency: whoever is signed in, with at least this role.

    Raises:
        NotSignedInError: There is no session, or it is over.
        ApplicationError: FORBIDDEN, the role does not reach.
    """

    async def staff(request: Request) -> Staff:
        desk = desk_of(request)
        token = request.cookies.get(COOKIE)
        if token is None:
            raise NotSignedInError
        digest, now = digest_of(token), desk.services.now()
        member = await desk.services.read(lambda: desk.staff.find_member(digest, now))
        if member is None:
            raise NotSignedInError
        found = Staff(
            staff_id=member.staff_id,
            role=_role(member.role),
            address=member.address,
            form_token=form_token(desk.secret, token),
        )
        request.state.staff = found
        if not found.may(role):
            raise ApplicationError("FORBIDDEN")
        return found

    return staff


def acting(role: Role) -> Callable[..., Coroutine[Any, Any, Staff]]:
    """A dependency of routes that change something: as `require_role`, by a form of ours.

    Raises:
        StaleFormError: The form's token is not this session's.
    """
    inner = require_role(role)

    async def staff(request: Request, token: Annotated[str, Form()] = "") -> Staff:
        found = await inner(request)
        if not is_own_form(request, desk_of(request), request.cookies.get(COOKIE), token):
            raise InvalidFormTokenError
        return found

    return staff


def new_nonce() -> str:
    """What tells one filled-in form from another."""
    return secrets.token_hex(TOKEN_BYTES // 2)


def request_id_from_nonce(nonce: str) -> str | None:
    """The request id of an act: that of its form, so that pressing twice is one act; None of no form of ours."""
    return f"form:{known}" if (known := outside_trace_id(nonce)) else None


def _role(text: str) -> Role:
    return "admin" if text == "admin" else "support" if text == "support" else "viewer"


async def _desk(request: Request) -> Desk:
    return desk_of(request)


TheDesk = Annotated[Desk, Depends(_desk)]
Viewer = Annotated[Staff, Depends(require_role("viewer"))]
Support = Annotated[Staff, Depends(require_role("support"))]
Admin = Annotated[Staff, Depends(require_role("admin"))]
ActingViewer = Annotated[Staff, Depends(acting("viewer"))]
ActingSupport = Annotated[Staff, Depends(acting("support"))]
ActingAdmin = Annotated[Staff, Depends(acting("admin"))]
