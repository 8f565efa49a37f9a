"""The pages of support: signing in, finding a code or a person, a code's statement, acts with a reason, work lists."""

from fastapi import APIRouter

from api.support import (
    account,
    acts,
    dashboard,
    events,
    forgetting,
    lists,
    notes,
    outage,
    search,
    sign_in,
    statement,
    story,
    unmasking,
)
from api.support.desk import Desk
from api.support.sign_in_gate import SignInGate

__all__ = ["Desk", "SignInGate", "build_support"]


def build_support() -> APIRouter:
    """All pages below /support as one router; what they work with is `app.state.support`, a `Desk`."""
    router = APIRouter(include_in_schema=False)
    parts = (
        *(sign_in, search, statement, events, story, acts, notes, unmasking, forgetting),
        *(outage, dashboard, account, lists),
    )
    for part in parts:
        router.include_router(part.router)
    return router
