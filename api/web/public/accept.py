"""The page behind the link in the invitation: it shows one button, and pressing the button accepts.

Mail gateways, browsers that prefetch, and link previews open every link with GET or HEAD, so those change nothing.
The token in the address is the secret that the form needs: a site that does not have it cannot send the form.
"""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from api.web.public.ports import AcceptAnswer, PageDeps
from api.web.rendering import choose_language, page
from api.web.security_headers import REDIRECTING_POLICY, security_headers

PRIVATE: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def build_router(deps: PageDeps) -> APIRouter:
    """`/a/{token}`."""
    router = APIRouter()

    @router.get("/a/{token}")
    async def look(request: Request, token: str) -> Response:
        return _page(request, deps, await deps.look_at_link(token))

    @router.post("/a/{token}")
    async def accept(request: Request, token: str) -> Response:
        answer = await deps.accept(token)
        if answer.target is not None:
            # An admin's setting, never anything of the request's. The referrer would tell the token.
            return RedirectResponse(answer.target, 303, {**security_headers(), **PRIVATE})
        return _page(request, deps, answer)

    return router


def _page(request: Request, deps: PageDeps, answer: AcceptAnswer) -> Response:
    """Show the button, also after acceptance where the group has a page to go on to."""
    has_button = answer.state == "open" or answer.target is not None
    return page(
        request,
        "accept.html",
        choose_language(request, deps.default_language),
        status=404 if answer.state == "invalid" else 200,
        headers={} if answer.target is None else {"Content-Security-Policy": REDIRECTING_POLICY},
        answer=answer,
        has_button=has_button,
    )
