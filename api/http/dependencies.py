"""Dependencies of routes: the services, the language, the caller, and the caller's scopes."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, cast

from fastapi import Body, Depends, Header, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import Scope as AsgiScope

from api.auth.scopes import GRANTS, Scope, scopes_of
from api.auth.session_cookies import COOKIE, TOKEN_HEADER, digest_of, form_secret, form_token, is_own
from api.errors import ApplicationError
from api.http.problems import language_of
from api.schemas.resources import ReasonRequest
from api.use_cases.key_uses import admit_key_from
from api.use_cases.services import Caller, Services
from domain.ports import Language
from projections.config.staff_roles import Role
from projections.repositories.staff_sessions import StaffSessionRepository

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing, so they need no proof that one of our pages sent the request."""

IDENTITY: Final = "ledger_identity"
"""Key of the ASGI scope: the caller of a request that this process makes itself. No server sets it."""

bearer = HTTPBearer(
    auto_error=False,
    description="An API key with scopes or a role. A staff session has the scopes of its role; its requests that "
    "change something must send the session's token as X-CSRF-Token.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The caller of a request, and what it may do.

    Attributes:
        until: When the API key expires; None if it does not.
        token: What requests of a staff session carry; None for API keys.
    """

    caller: Caller
    scopes: frozenset[Scope]
    role: Role | None
    until: datetime | None = None
    token: str | None = None


async def _services(request: Request) -> Services:
    return services_of(request)


async def _language(request: Request) -> Language:
    return language_of(request)


def services_of(request: Request) -> Services:
    """Return the parts of this process."""
    services: Services = request.app.state.services
    return services


def request_id_of(request: Request) -> str | None:
    """Return the id of this request, as the middleware set it."""
    request_id: str | None = request.scope.get("ledger_request_id")
    return request_id


def client_ip_of(scope: AsgiScope) -> str | None:
    """Return the IP address that a request came from; None without one, as on a Unix socket."""
    client: tuple[str, int] | None = scope.get("client")
    return None if client is None else client[0]


def caller_of(scope: AsgiScope) -> Caller:
    """Return the caller of a public route: the id of the request, and the IP address it came from."""
    return Caller(actor="person", request_id=scope.get("ledger_request_id"), client_ip=client_ip_of(scope))


async def _reason(body: Annotated[ReasonRequest | None, Body()] = None) -> str:
    return "" if body is None else body.note or ""


async def identity(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Identity:
    """Identify the caller by an API key, else by a staff session.

    Raises:
        ApplicationError: UNAUTHORIZED without either; FORBIDDEN if a session's request lacks its token,
            or if the key may not be used from the address of the request.
    """
    if (caller := request.scope.get(IDENTITY)) is not None:
        return cast("Identity", caller)
    if credentials is not None:
        return await identify_key(
            services_of(request), credentials.credentials, request_id_of(request), client_ip_of(request.scope)
        )
    cookie = request.cookies.get(COOKIE)
    if cookie is None or "authorization" in request.headers:
        raise ApplicationError("UNAUTHORIZED")
    return await _of_session(request, cookie)


def needs(scope: Scope) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """Return a dependency that admits callers with this scope.

    Raises:
        ApplicationError: UNAUTHORIZED without a valid key or session, FORBIDDEN without the scope.
    """

    async def caller(who: Annotated[Identity, Depends(identity)]) -> Caller:
        if scope not in who.scopes:
            raise ApplicationError("FORBIDDEN", scope=scope)
        return who.caller

    return caller


async def identify_key(services: Services, secret: str, request_id: str | None, address: str | None) -> Identity:
    """Identify the caller by an API key.

    Args:
        services: The parts of this process.
        secret: The key.
        request_id: Of the request.
        address: The IP address that it came from.

    Raises:
        ApplicationError: UNAUTHORIZED; FORBIDDEN, the key may not be used from this address.
    """
    digest = digest_of(secret)
    api_key = await services.run_blocking(services.reader.find_api_key, digest, services.now())
    if api_key is None:
        raise ApplicationError("UNAUTHORIZED")
    # A key counts as one who may guess, wherever its requests come from: see `api.rate_limits`.
    caller = Caller(
        actor="key",
        actor_id=str(api_key.key_id),
        request_id=request_id,
        client_ip=f"key:{api_key.key_id}",
    )
    admit_key_from(services, caller, api_key, address)
    return Identity(
        caller=caller,
        scopes=scopes_of(api_key.role, api_key.scopes),
        role=_role(api_key.role),
        until=api_key.expires_at,
    )


async def _of_session(request: Request, cookie: str) -> Identity:
    services = services_of(request)
    find_member = StaffSessionRepository(services.storage).find_member
    member = await services.run_blocking(find_member, digest_of(cookie), services.now())
    if member is None:
        raise ApplicationError("UNAUTHORIZED")
    if services.settings.must_add_factor(member):
        raise ApplicationError("FORBIDDEN", why="second_factor")
    secret, token = form_secret(services.settings.secret_key), request.headers.get(TOKEN_HEADER, "")
    if request.method not in SAFE_METHODS and not is_own(request.headers, secret, cookie, token):
        raise ApplicationError("FORBIDDEN", why="csrf")
    return Identity(
        caller=Caller(
            actor="staff", actor_id=str(member.staff_id), request_id=request_id_of(request), proof=member.proof
        ),
        scopes=GRANTS.get(member.role, frozenset()),
        role=_role(member.role),
        token=form_token(secret, cookie),
    )


def _role(text: str) -> Role | None:
    return text if text in GRANTS else None  # type: ignore[return-value]  # the keys of GRANTS are the roles


# Coroutines: FastAPI would send plain functions to its threads, at several times their cost.
TheServices = Annotated[Services, Depends(_services)]
TheLanguage = Annotated[Language, Depends(_language)]
TheReason = Annotated[str, Depends(_reason)]
CreationKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=255,
        description="Any text, scoped to the caller; for 7 days, the same key and body create nothing more and return"
        " what the first request created, as it is now.",
    ),
]
NoCreationKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=0,
        description="Not supported here: a request that has it is refused, because a repeated one would not be"
        " recognized.",
    ),
]
"""The note of a body that may be left out."""
TheIdentity = Annotated[Identity, Depends(identity)]
MayReadCodes = Annotated[Caller, Security(needs("codes:read"), scopes=["codes:read"])]
MayWriteCodes = Annotated[Caller, Security(needs("codes:write"), scopes=["codes:write"])]
MayIssueCodes = Annotated[Caller, Security(needs("codes:issue"), scopes=["codes:issue"])]
MayRedeem = Annotated[Caller, Security(needs("redeem"), scopes=["redeem"])]
MayRedeemBatches = Annotated[Caller, Security(needs("redeem:batch"), scopes=["redeem:batch"])]
MayReadReservations = Annotated[Caller, Security(needs("reservations:read"), scopes=["reservations:read"])]
MayWriteReservations = Annotated[Caller, Security(needs("reservations:write"), scopes=["reservations:write"])]
MayRefund = Annotated[Caller, Security(needs("refunds:write"), scopes=["refunds:write"])]
MayReadCases = Annotated[Caller, Security(needs("cases:read"), scopes=["cases:read"])]
MayReadEvents = Annotated[Caller, Security(needs("events:read"), scopes=["events:read"])]
Admin = Annotated[Caller, Security(needs("admin"), scopes=["admin"])]
