"""The pages of waiting lists: join one after a refusal, and the page of a place, which takes or declines an offer.

Opening the link of an email changes nothing, because mail gateways open every link.
"""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.dependencies import TheServices
from api.http.problems import status_of
from api.use_cases.waiting_lists.places import ShownPlace, find_shown_place, join, leave, take_offered_use
from api.web.masking import mask_if_known
from api.web.public.code_form import describe_refusal
from api.web.public.invite import render_invite
from api.web.public.typed_values import find_pasted_code
from api.web.public.visitor import find_token, get_visitor, has_joined, remember_token
from api.web.rendering import choose_language, page, see_other
from domain.values.link_token import joined_token

router = APIRouter(prefix="/waiting")


@router.post("")
async def join_on_page(
    request: Request,
    services: TheServices,
    email: Annotated[str, Form()] = "",
    code: Annotated[str, Form()] = "",
) -> Response:
    """Join the waiting list of the campaign of a code, and redirect to the page of the place."""
    language, visitor = choose_language(request, services.settings.default_language), get_visitor(request)
    try:
        text = await find_pasted_code(services, code)
        place = await join(services, visitor.caller, email, text, language=language)
    except ApplicationError as error:
        return render_invite(request, language, email=email, code=code, asked=email, error=error)
    if place.place_id is None:
        return _render(request, services, place)
    response = see_other(place.path)
    secret = services.settings.secret_key.get_secret_value().encode()
    remember_token(request, response, joined_token(secret, place.place_id), services.settings.policy)
    return response


@router.get("/{token}")
async def show_place(request: Request, services: TheServices, token: str) -> Response:
    """Show the place."""
    return _render(request, services, await services.run_blocking(find_shown_place, services, token))


@router.post("/{token}")
async def take_use(request: Request, services: TheServices, token: str) -> Response:
    """Redeem the code for the person who waits, and redirect to the page of the reservation."""
    language, visitor = choose_language(request, services.settings.default_language), get_visitor(request)
    try:
        redemption = await take_offered_use(services, visitor.caller, token, language=language)
    except ApplicationError as error:
        place = await services.run_blocking(find_shown_place, services, token)
        return _render(request, services, place, error)
    if redemption is None:
        return _render(request, services, await services.run_blocking(find_shown_place, services, token))
    response = see_other(f"/r/{redemption.reservation.reservation_id}")
    remember_token(request, response, redemption.correction_token, services.settings.policy)
    return response


@router.post("/{token}/leave")
async def leave_by_link(request: Request, services: TheServices, token: str) -> Response:
    """End the place. A repeat changes nothing."""
    place = await services.run_blocking(leave, services, get_visitor(request).caller, token)
    return _render(request, services, place)


def _render(
    request: Request, services: TheServices, place: ShownPlace, error: ApplicationError | None = None
) -> Response:
    language = choose_language(request, services.settings.default_language)
    # Those who have a place are not invited to join.
    refusal = None if error is None else describe_refusal(error, language, waiting_list=False)
    status = status_of(error.code) if error is not None else 404 if place.state == "invalid" else 200
    visitor, use = get_visitor(request), place.use
    is_own = place.place_id is not None and has_joined(services, visitor, place.place_id)
    is_own = is_own or (use is not None and find_token(services, visitor, use.reservation_id) is not None)
    email = place.email if is_own else mask_if_known(place.email)
    return page(
        request, "waiting.html", language, status=status, place=place, email=email, is_own=is_own, refusal=refusal
    )
