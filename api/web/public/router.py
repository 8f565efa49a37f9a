"""All public pages."""

from fastapi import APIRouter

from api.web.public import accept, invite, opt_out, reservation_forms, site_files, status, waiting


def include_pages(router: APIRouter) -> None:
    """Add the public pages that every ledger has. They are not part of the OpenAPI document."""
    for module in (invite, waiting, status, reservation_forms, accept, opt_out, site_files):
        router.include_router(module.router, include_in_schema=False)
