"""All public pages in one router."""

from fastapi import APIRouter

from api.settings import ApiSettings
from api.web.public import accept, invite, mailbox, opt_out, reservation_forms, status


def build_pages(settings: ApiSettings) -> APIRouter:
    """Build the router. Its pages are not part of the OpenAPI document.

    Args:
        settings: There is a mailbox page if they name the Maildir of a mail catcher.
    """
    router = APIRouter(include_in_schema=False)
    for module in (invite, status, reservation_forms, accept, opt_out):
        router.include_router(module.router)
    if settings.mailbox is not None:
        router.include_router(mailbox.build_router(settings.mailbox, settings.default_language))
    return router
