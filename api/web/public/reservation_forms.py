"""The two forms of a reservation's recipient: correct a mistyped email address, or move the access to another group."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import TheServices
from api.use_cases.redeem import Redemption, correct_own_recipient, rebind_own_access
from api.use_cases.services import Services
from api.web.errors import error_page
from api.web.forms import FormDep
from api.web.public.code_form import render_code_form
from api.web.public.status_view import find_status_view
from api.web.public.visitor import Visitor, find_token, get_visitor, remember_token
from api.web.rendering import choose_language, see_other
from domain.ports import Language
from domain.values.group_name import NAME_LENGTH_MAX

router = APIRouter(prefix="/r/{reservation_id}", route_class=BlockingRoute)


class _Submission(NamedTuple):
    """A form that was sent: about which reservation, what was typed, in which language, by whom."""

    reservation_id: UUID
    values: Mapping[str, str]
    language: Language
    visitor: Visitor


_Submit = Callable[[Services, _Submission], Awaitable[Redemption]]


async def _correct(services: Services, form: _Submission) -> Redemption:
    """Move a use to the right email address."""
    token = find_token(services, form.visitor, form.reservation_id)
    email, code = form.values.get("email", ""), form.values.get("code", "")
    return await correct_own_recipient(services, form.visitor.caller, form.reservation_id, email, code, token=token)


async def _rebind(services: Services, form: _Submission) -> Redemption:
    """Move the access of a reservation's recipient, who has to know the code."""
    addresses = await services.run_blocking(services.reader.find_email_addresses, [form.reservation_id])
    address = addresses.get(form.reservation_id)
    if address is None:
        raise ApplicationError("REBIND_NOT_POSSIBLE", why="nothing_sent")
    return await rebind_own_access(
        services,
        form.visitor.caller,
        address,
        form.values.get("code", ""),
        form.values.get("group", "")[:NAME_LENGTH_MAX],
        token=find_token(services, form.visitor, form.reservation_id),
        language=form.language,
    )


def _add_form(
    path: str, template: str, fields: Sequence[str], submit: Callable[[Services, _Submission], Awaitable[Redemption]]
) -> None:
    """Add the routes of a form.

    Args:
        path: Below the reservation's status page.
        template: File name of the page.
        fields: Names of the form's fields.
        submit: Does what the form asks for.
    """

    @router.get(path)
    def show_form(request: Request, services: TheServices, reservation_id: str) -> Response:
        language = choose_language(request, services.settings.default_language)
        view = find_status_view(services, reservation_id, language, get_visitor(request))
        if view is None:
            return error_page(request, 404, "NOT_FOUND", language)
        return render_code_form(request, template, language, None, view=view, **dict.fromkeys(fields, ""))

    @router.post(path)
    async def send_form(request: Request, services: TheServices, reservation_id: str, form: FormDep) -> Response:
        language, visitor = choose_language(request, services.settings.default_language), get_visitor(request)
        view = await services.run_blocking(find_status_view, services, reservation_id, language, visitor)
        if view is None:
            return error_page(request, 404, "NOT_FOUND", language)
        submission = _Submission(view.reservation_id, form.values, language, visitor)
        try:
            redemption = await submit(services, submission)
        except ApplicationError as error:
            typed = {name: form.values.get(name, "") for name in fields}
            return render_code_form(request, template, language, error, view=view, **typed)
        response = see_other(f"/r/{redemption.reservation.reservation_id}")
        remember_token(request, response, redemption.correction_token, services.settings.policy)
        return response


_add_form("/correct", "correct.html", ("email", "code"), _correct)
_add_form("/move", "rebind.html", ("code", "group"), _rebind)
