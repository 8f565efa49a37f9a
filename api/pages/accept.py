"""The page behind the link in the mail."""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from api.pages.ports import PageDeps
from api.pages.rendering import page, page_language
from api.pages.security import security_headers

ALONE: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def routes(deps: PageDeps) -> APIRouter:
    """`/a/{token}`: accepts the invitation, and goes on to where the group's people are received."""
    router = APIRouter()

    @router.get("/a/{token}")
    async def accept(request: Request, token: str) -> Response:
        language = page_language(request, deps.default_language)
        answer = await deps.accept(token)
        if answer.target is not None:
            # An admin's setting, never anything of the request's. The referrer would tell the token.
            return RedirectResponse(answer.target, 303, {**security_headers(), **ALONE})
        return page(request, "accept.html", language, status=200 if answer.accepted else 404, answer=answer)

    return router
