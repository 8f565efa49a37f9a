"""The pages that people open in a browser: redeem, status, acceptance, the demo's mailbox, and errors."""

from fastapi import APIRouter

from api.web.errors import error_page, wants_html
from api.web.masking import mask_email
from api.web.public import accept, correct, invite, mailbox, rebind, status
from api.web.public.ports import AcceptAnswer, PageDeps, RedeemAnswer, RefusalAnswer, StatusView
from api.web.rendering import choose_language, page
from api.web.security_headers import security_headers
from api.web.static_files import mount_static

__all__ = [
    "AcceptAnswer",
    "PageDeps",
    "RedeemAnswer",
    "RefusalAnswer",
    "StatusView",
    "build_pages",
    "choose_language",
    "error_page",
    "mask_email",
    "mount_static",
    "page",
    "security_headers",
    "wants_html",
]


def build_pages(deps: PageDeps) -> APIRouter:
    """All pages as one router, none of them in the API's own description.

    Args:
        deps: What the pages ask of the application.
    """
    router = APIRouter(include_in_schema=False)
    router.include_router(invite.build_router(deps))
    router.include_router(status.build_router(deps))
    router.include_router(correct.build_router(deps))
    router.include_router(rebind.build_router(deps))
    router.include_router(accept.build_router(deps))
    if deps.mailbox is not None:
        router.include_router(mailbox.build_router(deps.mailbox, deps.default_language))
    return router
