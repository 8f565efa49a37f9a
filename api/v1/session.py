"""The caller as the API sees it: scopes of a key, or what a page's script needs to act for staff."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from api.auth.scopes import SCOPES
from api.http.dependencies import TheIdentity
from api.http.openapi import problem_responses

router = APIRouter(
    prefix="/api/v1/session",
    tags=["session"],
    responses=problem_responses("UNAUTHORIZED", "UNAVAILABLE"),
)


class SessionView(BaseModel):
    """The caller and its permissions."""

    kind: Literal["key", "staff"]
    id: str
    role: str | None
    scopes: list[str]
    expires_at: datetime | None
    csrf_token: str | None


@router.get("", summary="Get the permissions of the caller")
async def session(who: TheIdentity) -> SessionView:
    """Returns the scopes of the API key or staff session, and the CSRF token that changes by a session must carry."""
    return SessionView(
        kind="key" if who.token is None else "staff",
        id=who.caller.actor_id or "",
        role=who.role,
        scopes=[scope for scope in SCOPES if scope in who.scopes],
        expires_at=who.until,
        csrf_token=who.token,
    )
