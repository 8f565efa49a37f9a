"""The page on which a person corrects a mistyped email address before the invitation is accepted."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from api.web.errors import error_page
from api.web.public.code_form import render_code_form
from api.web.public.ports import PageDeps, RefusalAnswer, StatusView
from api.web.public.reservation_cookie import remember_token
from api.web.public.visitor import get_visitor
from api.web.rendering import choose_language, see_other
from domain.ports import Language
from domain.values.identifiers import TYPED_LENGTH_MAX


def build_router(deps: PageDeps) -> APIRouter:
    """`/r/{reservation_id}/correct`."""
    router = APIRouter()

    async def found(request: Request, reservation_id: str, language: Language) -> StatusView | None:
        try:
            return await deps.status(UUID(reservation_id), language, get_visitor(request))
        except ValueError:
            return None

    @router.get("/r/{reservation_id}/correct")
    async def form(request: Request, reservation_id: str) -> Response:
        language = choose_language(request, deps.default_language)
        view = await found(request, reservation_id, language)
        if view is None:
            return error_page(request, 404, "NOT_FOUND", language)
        return _form(request, language, view)

    @router.post("/r/{reservation_id}/correct")
    async def correct(
        request: Request,
        reservation_id: str,
        email: Annotated[str, Form()] = "",
        code: Annotated[str, Form()] = "",
    ) -> Response:
        language = choose_language(request, deps.default_language)
        view = await found(request, reservation_id, language)
        if view is None:
            return error_page(request, 404, "NOT_FOUND", language)
        answer = await deps.correct(view.reservation_id, email, code, language, get_visitor(request))
        if isinstance(answer, RefusalAnswer):
            return _form(request, language, view, email=email, code=code, refusal=answer)
        response = see_other(f"/r/{answer.reservation_id}")
        remember_token(request, response, answer.correction_token, deps.kept_s)
        return response

    return router


def _form(
    request: Request,
    language: Language,
    view: StatusView,
    *,
    email: str = "",
    code: str = "",
    refusal: RefusalAnswer | None = None,
) -> Response:
    return render_code_form(
        request,
        "correct.html",
        language,
        refusal,
        view=view,
        email=email[:TYPED_LENGTH_MAX],
        code=code[:TYPED_LENGTH_MAX],
    )
