"""What routes take from a request: the services, the caller, the language, and who may do what."""

import hashlib
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import Scope

from api.problems import ProblemError, language_of
from api.services import Caller, Services
from domain.ports import Language

Role = Literal["viewer", "support", "admin"]
RANK: dict[str, int] = {"viewer": 1, "support": 2, "admin": 3}
"""Each role may do what the ones before it may."""

bearer = HTTPBearer(auto_error=False, description="An API key.")


async def _services(request: Request) -> Services:
    return services_of(request)


async def _language(request: Request) -> Language:
    return language_of(request)


def services_of(request: Request) -> Services:
    """The parts of this process."""
    services: Services = request.app.state.services
    return services


def request_id_of(request: Request) -> str | None:
    """The id of this request, as the middleware set it."""
    found: str | None = request.scope.get("ledger_request_id")
    return found


def client_of(scope: Scope) -> str | None:
    """The address that a request came from; None where there is none, as on a Unix socket."""
    client: tuple[str, int] | None = scope.get("client")
    return None if client is None else client[0]


def caller_of(scope: Scope) -> Caller:
    """A person who asks: the id of this request, and the address it came from."""
    return Caller(actor="person", request_id=scope.get("ledger_request_id"), client=client_of(scope))


def needs(role: Role) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """A dependency that lets in callers with an API key of at least this role.

    Raises:
        ProblemError: UNAUTHORIZED without a valid key, FORBIDDEN with one of a lower role.
    """

    async def caller(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
    ) -> Caller:
        services = services_of(request)
        if credentials is None:
            raise ProblemError("UNAUTHORIZED")
        digest = hashlib.sha256(credentials.credentials.encode()).digest()
        found = await services.read(lambda: services.reader.role_of_key(digest, services.now()))
        if found is None:
            raise ProblemError("UNAUTHORIZED")
        if RANK[found[1]] < RANK[role]:
            raise ProblemError("FORBIDDEN")
        return Caller(actor="key", actor_id=str(found[0]), request_id=request_id_of(request))

    return caller


# Coroutines: FastAPI would send plain functions to its threads, at several times their cost.
TheServices = Annotated[Services, Depends(_services)]
TheLanguage = Annotated[Language, Depends(_language)]
Viewer = Annotated[Caller, Depends(needs("viewer"))]
Support = Annotated[Caller, Depends(needs("support"))]
Admin = Annotated[Caller, Depends(needs("admin"))]
