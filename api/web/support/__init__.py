"""The pages of support: signing in, finding a code or a person, a code's statement, acts with a reason, work lists."""

from fastapi import APIRouter

from api.web.staff_auth import account, sign_in
from api.web.staff_auth.context import Desk
from api.web.staff_auth.sign_in_gate import SignInGate
from api.web.support import code_page, dashboard, event_page, reservation_page, search_page, worklist_and_audit
from api.web.support.actions import erase_person, notes, pages, refund_outage, unmask

__all__ = ["Desk", "SignInGate", "build_support"]


def build_support() -> APIRouter:
    """All pages below /support as one router; what they work with is `app.state.support`, a `Desk`."""
    router = APIRouter(include_in_schema=False)
    parts = (
        *(sign_in, search_page, code_page, event_page, reservation_page, pages, notes, unmask, erase_person),
        *(refund_outage, dashboard, account, worklist_and_audit),
    )
    for part in parts:
        router.include_router(part.router)
    return router
