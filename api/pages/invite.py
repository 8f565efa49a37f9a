"""The page on which a person redeems a code, with and without JavaScript."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from api.pages.code_form import ABOUT_CODE, ABOUT_EMAIL, code_form
from api.pages.ports import PageDeps, RefusalAnswer
from api.pages.rendering import page_language
from api.pages.visitor import visitor_of
from domain.ports import Language
from domain.values import TYPED_LENGTH_MAX


def routes(deps: PageDeps) -> APIRouter:
    """`/`, `/invite`, and the form's target."""
    router = APIRouter()

    @router.get("/")
    @router.get("/invite")
    async def form(request: Request, code: str = "") -> Response:
        return _form(request, page_language(request, deps.default_language), code=code)

    @router.post("/invite")
    async def redeem(
        request: Request, email: Annotated[str, Form()] = "", code: Annotated[str, Form()] = ""
    ) -> Response:
        language = page_language(request, deps.default_language)
        answer = await deps.redeem(email, code, language, visitor_of(request))
        if isinstance(answer, RefusalAnswer):
            return _form(request, language, email=email, code=code, refusal=answer)
        known = "" if answer.created else "?known=1"
        return RedirectResponse(f"/r/{answer.reservation_id}{known}", 303, {"Cache-Control": "no-store"})

    return router


def _form(
    request: Request,
    language: Language,
    *,
    email: str = "",
    code: str = "",
    refusal: RefusalAnswer | None = None,
) -> Response:
    """The form with what was typed, bounded, and why it was refused."""
    return code_form(
        request,
        "invite.html",
        language,
        refusal,
        # Not no-store, as other pages: the back button then finds the form as it was left.
        cache="private, no-cache",
        email=email[:TYPED_LENGTH_MAX],
        code=code[:TYPED_LENGTH_MAX],
        about_email=" ".join(sorted(ABOUT_EMAIL)),
        about_code=" ".join(sorted(ABOUT_CODE)),
    )
