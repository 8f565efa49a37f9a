"""The two forms of a reservation's recipient: correct a mistyped email address, or move the access to another group."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import TheServices
from api.schemas.parsing import InvalidInputError, parse_id
from api.use_cases.redeem import Redemption, correct_own_recipient, rebind_own_access
from api.use_cases.services import Services
from api.web.errors import error_page
from api.web.forms import FormDep
from api.web.public.code_form import render_code_form
from api.web.public.status_view import StatusView, find_status_view
from api.web.public.typed_values import find_pasted_code, read_address
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
    email, code = form.values["email"], await find_pasted_code(services, form.values["code"])
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
        await find_pasted_code(services, form.values["code"]),
        form.values["group"][:NAME_LENGTH_MAX],
        token=find_token(services, form.visitor, form.reservation_id),
        language=form.language,
    )


def _for_this_reservation(error: ApplicationError) -> ApplicationError:
    """Return the error of a form about one reservation: a code that is not its own may exist."""
    return ApplicationError("CODE_INVALID", why="of_another") if error.code == "CODE_INVALID" else error


def _view_without_database(typed_id: str, values: Mapping[str, str]) -> StatusView | None:
    """Return a view that shows a form with what was typed into it; None if the reservation cannot exist."""
    try:
        reservation_id = parse_id("reservation_id", typed_id)
    except InvalidInputError:
        return None
    groups = (values["group"],) if values.get("group") else ()
    return StatusView(reservation_id=reservation_id, state="reserved", message="", may_correct=True, groups=groups)


class _Form(NamedTuple):
    """A form below a reservation's status page.

    Attributes:
        template: File name of the page.
        fields: Names of the form's fields.
        submit: Does what the form asks for.
    """

    template: str
    fields: Sequence[str]
    submit: _Submit

    def render(
        self,
        request: Request,
        language: Language,
        view: StatusView,
        typed: Mapping[str, str],
        error: ApplicationError | None = None,
    ) -> Response:
        """Render the form with what was typed, and the refusal or the question if there is one."""
        values = {"asked": "", "suggested": "", **dict.fromkeys(self.fields, ""), **typed}
        return render_code_form(request, self.template, language, error, view=view, **values)

    async def send(self, request: Request, services: Services, typed_id: str, values: Mapping[str, str]) -> Response:
        """Do what the form asks for. It comes back for a question, in another language, or if it is refused."""
        language, visitor = choose_language(request, services.settings.default_language), get_visitor(request)
        typed = {name: values.get(name, "") for name in (*self.fields, "asked")}
        try:
            view = await services.run_blocking(find_status_view, services, typed_id, language, visitor)
        except ApplicationError as error:
            if (view := _view_without_database(typed_id, typed)) is None:
                raise
            return self.render(request, language, view, typed, error)
        if view is None:
            return error_page(request, 404, "NOT_FOUND", language)
        if values.get("switch"):
            return self.render(request, language, view, {**typed, "asked": ""})
        if "email" in typed:
            address = read_address(typed["email"], typed["asked"], values.get("choice", ""))
            typed["asked"] = typed["email"] = address.email
            if address.suggested is not None:
                return self.render(request, language, view, {**typed, "suggested": address.suggested})
        try:
            redemption = await self.submit(services, _Submission(view.reservation_id, typed, language, visitor))
        except ApplicationError as error:
            return self.render(request, language, view, typed, _for_this_reservation(error))
        response = see_other(f"/r/{redemption.reservation.reservation_id}")
        remember_token(request, response, redemption.correction_token, services.settings.policy)
        return response


def _add_form(path: str, form: _Form) -> None:
    """Add the routes of a form at a path below the reservation's status page."""

    @router.get(path)
    def show_form(request: Request, services: TheServices, reservation_id: str) -> Response:
        language = choose_language(request, services.settings.default_language)
        view = find_status_view(services, reservation_id, language, get_visitor(request))
        if view is None:
            return error_page(request, 404, "NOT_FOUND", language)
        return form.render(request, language, view, {})

    @router.post(path)
    async def send_form(request: Request, services: TheServices, reservation_id: str, sent: FormDep) -> Response:
        return await form.send(request, services, reservation_id, sent.values)


_add_form("/correct", _Form("correct.html", ("email", "code"), _correct))
_add_form("/move", _Form("rebind.html", ("code", "group"), _rebind))
