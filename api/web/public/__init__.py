"""The pages that people open in a browser: redeem, status, acceptance, the demo's mailbox, and errors."""

from fastapi import APIRouter

from api.web.errors import error_page, wants_html
from api.web.masking import mask_email
from api.web.public import accept, correct, invite, mailbox, rebind, status
from api.web.public.ports import AcceptAnswer, PageDeps, RedeemAnswer, RefusalAnswer, StatusView
from api.web.rendering import page, page_language
from api.web.security_headers import security_headers
from api.web.static_files import mount_static

__all__ = [
    "AcceptAnswer",
    "PageDeps",
    "RedeemAnswer",
    "RefusalAnswer",
    "StatusView",
    "build_pages",
    "error_page",
    "mask_email",
    "mount_static",
    "page",
    "page_language",
    "security_headers",
    "wants_html",
]


def build_pages(deps: PageDeps) -> APIRouter:
    """All pages as one router, none of them in the API's own description.

    Args:
        deps: What the pages ask of the application.
    """
    router = APIRouter(include_in_schema=False)
    router.include_router(invite.routes(deps))
    router.include_router(status.routes(deps))
    router.include_router(correct.routes(deps))
    router.include_router(rebind.routes(deps))
    router.include_router(accept.routes(deps))
    if deps.mailbox is not None:
        router.include_router(mailbox.routes(deps.mailbox, deps.default_language))
    return router
