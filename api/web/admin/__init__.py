"""The admin console: issuing codes, campaigns, lists and exports, groups and their emails, API keys, and staff."""

from fastapi import APIRouter

from api.web.admin import (
    batches,
    campaign_events,
    campaigns,
    change_codes,
    code_import,
    codes,
    context,
    export,
    groups,
    issue,
    staff,
    webhooks,
)
from api.web.admin.api_keys import key_list, key_page
from api.web.admin.context import AdminContext, PreviewSender
from api.web.admin.hand_outs import change_pages, hand_out_pages, mail_pages, recipient_pages

__all__ = ["AdminContext", "PreviewSender", "include_admin"]


def include_admin(router: APIRouter) -> None:
    """Add all pages below /admin; they use `app.state.admin`, an `AdminContext`."""
    for module in (
        issue,
        batches,
        campaign_events,
        recipient_pages,
        mail_pages,
        change_pages,
        hand_out_pages,
        campaigns,
        codes,
        change_codes,
        export,
        code_import,
        groups,
        webhooks,
        key_list,
        key_page,
        staff,
        context,
    ):
        router.include_router(module.router, include_in_schema=False)
