"""The support console: searching codes and recipients, statements, actions with a reason, and the review queue."""

from fastapi import APIRouter

from api.web.staff_auth import account, factor_pages, password_links, provider_sign_in, second_step, sign_in
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.sign_in_gate import SignInGate
from api.web.support import (
    approvals_page,
    audit_page,
    code_page,
    dashboard,
    event_page,
    rejected_requests,
    reservation_page,
    search_page,
    worklist,
)
from api.web.support.actions import (
    erase_person,
    export_person,
    hand_out_bounce,
    notes,
    opt_outs,
    pages,
    refund_outage,
    resend_code,
    unmask,
)
from api.web.support.history import (
    balance_page,
    comparison_page,
    live_page,
    person_page,
    proof_page,
    saved_views,
    what_if_page,
)

__all__ = ["SignInGate", "SupportContext", "include_support"]


def include_support(router: APIRouter) -> None:
    """Add all pages below /support; they use `app.state.support`, a `SupportContext`."""
    modules = (
        sign_in,
        second_step,
        provider_sign_in,
        password_links,
        search_page,
        person_page,
        code_page,
        event_page,
        what_if_page,
        reservation_page,
        pages,
        notes,
        unmask,
        balance_page,
        live_page,
        comparison_page,
        proof_page,
        saved_views,
        export_person,
        erase_person,
        opt_outs,
        resend_code,
        hand_out_bounce,
        refund_outage,
        dashboard,
        rejected_requests,
        account,
        factor_pages,
        audit_page,
        approvals_page,
        worklist,
    )
    for module in modules:
        router.include_router(module.router, include_in_schema=False)
