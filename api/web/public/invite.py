"""The page on which a person redeems a code, with and without JavaScript."""

from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from api.http.problems import status_of
from api.web.public.code_form import ABOUT_CODE, ABOUT_EMAIL, render_code_form
from api.web.public.ports import PageDeps, RefusalAnswer
from api.web.public.reservation_cookie import remember_token
from api.web.public.visitor import get_visitor
from api.web.rendering import choose_language
from domain.ports import Language
from domain.values.identifiers import TYPED_LENGTH_MAX

SCRIPT: Final = "application/json"
"""The Accept header of the form's own script; browsers send others with a form."""


def build_router(deps: PageDeps) -> APIRouter:
    """`/`, `/invite`, and the form's target."""
    router = APIRouter()

    @router.get("/")
    @router.get("/invite")
    async def form(request: Request, code: str = "") -> Response:
        return _form(request, choose_language(request, deps.default_language), code=code)

    @router.post("/invite")
    async def redeem(
        request: Request, email: Annotated[str, Form()] = "", code: Annotated[str, Form()] = ""
    ) -> Response:
        language = choose_language(request, deps.default_language)
        answer = await deps.redeem(email, code, language, get_visitor(request))
        if isinstance(answer, RefusalAnswer):
            if wants_json(request):
                return _told_script(answer, language)
            return _form(request, language, email=email, code=code, refusal=answer)
        path = f"/r/{answer.reservation_id}" + ("" if answer.created else "?known=1")
        headers = {"Cache-Control": "no-store"}
        response: Response = RedirectResponse(path, 303, headers)
        if wants_json(request):
            response = JSONResponse({"status_url": path}, headers=headers)
        remember_token(request, response, answer.correction_token, deps.kept_s)
        return response

    return router


def wants_json(request: Request) -> bool:
    """Whether the form's script asks, which shows a refusal without loading the page again."""
    return request.headers.get("accept") == SCRIPT


def _told_script(refusal: RefusalAnswer, language: Language) -> Response:
    headers = {"Cache-Control": "no-store", "Content-Language": language}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    content = {"code": refusal.code, "title": refusal.title, "detail": refusal.detail}
    return JSONResponse(content, status_of(refusal.code), headers)


def _form(
    request: Request,
    language: Language,
    *,
    email: str = "",
    code: str = "",
    refusal: RefusalAnswer | None = None,
) -> Response:
    """The form with what was typed, bounded, and why it was refused."""
    return render_code_form(
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
