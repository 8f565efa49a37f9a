"""The page on which a code is redeemed, with and without JavaScript."""

from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, Response

from api.errors import ERROR_CODES, ApplicationError
from api.http.dependencies import TheServices
from api.http.problems import retry_headers, status_of
from api.use_cases.hand_outs.opened_forms import record_opened_form
from api.use_cases.redeem import redeem
from api.web.public.code_form import describe_refusal, may_wait, render_code_form
from api.web.public.typed_values import TypedAgain, explain_refusal, find_pasted_code, find_typed_again, read_address
from api.web.public.visitor import get_visitor, remember_token
from api.web.rendering import choose_language, see_other
from domain.errors import RedeemField
from domain.ports import Language

SCRIPT: Final = "application/json"
"""The Accept header of the form's own script; browsers send others with a form."""

router = APIRouter()


@router.get("/")
@router.get("/invite")
async def show_form(request: Request, services: TheServices, code: str = "", reservation: str = "") -> Response:
    """Show the form; a link may carry the code, or name the reservation after whose end the browser tries again."""
    language, typed = choose_language(request, services.settings.default_language), TypedAgain(code=code)
    if reservation:
        typed = await services.run_blocking(find_typed_again, services, get_visitor(request), reservation)
    return render_invite(request, language, email=typed.email, code=typed.code)


@router.post("/invite")
async def send_form(
    request: Request,
    services: TheServices,
    email: Annotated[str, Form()] = "",
    code: Annotated[str, Form()] = "",
    asked: Annotated[str, Form()] = "",
    choice: Annotated[str, Form()] = "",
    switch: Annotated[str, Form()] = "",
) -> Response:
    """Redeem the code, and redirect to the reservation's page.

    Before that, ask once about an address that looks mistyped. With `switch` the form comes back in another language.
    """
    language, visitor = choose_language(request, services.settings.default_language), get_visitor(request)
    if switch:
        return render_invite(request, language, email=email, code=code)
    address = read_address(email, asked, choice)
    if address.suggested is not None:
        if wants_json(request):
            return JSONResponse({"question": True})
        return render_invite(request, language, email=email, code=code, asked=email, suggested=address.suggested)
    try:
        text = await find_pasted_code(services, code)
        redemption = await redeem(services, visitor.caller, address.email, text, language=language)
    except ApplicationError as error:
        explained = explain_refusal(error, code)
        if wants_json(request) and not may_wait(explained):
            return _render_json(explained, language)
        return render_invite(request, language, email=address.email, code=code, asked=address.email, error=explained)
    path = f"/r/{redemption.reservation.reservation_id}" + ("" if redemption.created else "?known=1")
    response: Response = see_other(path)
    if wants_json(request):
        response = JSONResponse({"status_url": path})
    remember_token(request, response, redemption.correction_token, services.settings.policy)
    return response


@router.post("/invite/opened")
async def note_opened_form(services: TheServices, code: Annotated[str, Form()] = "") -> Response:
    """Record that a browser opened the form by a link with a code. The answer is the same for every code.

    The page's script sends it, since programs that check the links of emails ask by GET and run no script.
    """
    await record_opened_form(services, code)
    return Response(status_code=204)


def wants_json(request: Request) -> bool:
    """Return whether the form's script asks, which shows a refusal without reloading the page."""
    return request.headers.get("accept") == SCRIPT


def _render_json(error: ApplicationError, language: Language) -> Response:
    headers = {"Content-Language": language, **retry_headers(error.retry_after_s)}
    return JSONResponse({"code": error.code, **describe_refusal(error, language)}, status_of(error.code), headers)


def render_invite(
    request: Request,
    language: Language,
    *,
    email: str,
    code: str,
    asked: str = "",
    suggested: str = "",
    error: ApplicationError | None = None,
) -> Response:
    """Render the form with what was typed, and the refusal or the question if there is one."""
    return render_code_form(
        request,
        "invite.html",
        language,
        error,
        # Other pages are not stored: with this value, the back button shows the form as it was left.
        cache_control="private, no-cache",
        email=email,
        code=code,
        asked=asked,
        suggested=suggested,
        about_email=_list_codes("email"),
        about_code=_list_codes("code"),
    )


def _list_codes(field: RedeemField) -> str:
    """Return the codes of errors that are about a field, which the script marks."""
    return " ".join(code for code, error in ERROR_CODES.items() if error.field == field)
