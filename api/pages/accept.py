"""The page behind the link in the mail."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.pages.ports import PageDeps
from api.pages.rendering import page, page_language


def routes(deps: PageDeps) -> APIRouter:
    """`/a/{token}`."""
    router = APIRouter()

    @router.get("/a/{token}")
    async def accept(request: Request, token: str) -> Response:
        language = page_language(request, deps.default_language)
        answer = await deps.accept(token)
        return page(request, "accept.html", language, status=200 if answer.accepted else 404, answer=answer)

    return router
