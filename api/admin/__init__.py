"""The pages of admins: issuing codes, lists and files of them, groups and their letters, keys, and staff."""

from fastapi import APIRouter

from api.admin import batches, codes, export, groups, hooks, importing, issue, keys, nowhere, people
from api.admin.office import Office
from api.admin.ports import PostRoom

__all__ = ["Office", "PostRoom", "build_admin"]


def build_admin() -> APIRouter:
    """All pages below /admin as one router; what they work with is `app.state.admin`, an `Office`."""
    router = APIRouter(include_in_schema=False)
    for part in (issue, batches, codes, export, importing, groups, hooks, keys, people, nowhere):
        router.include_router(part.router)
    return router
