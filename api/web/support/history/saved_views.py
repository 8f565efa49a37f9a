"""Filters of the history that members of staff save under a name, each for themselves."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Query
from fastapi.responses import Response

from api.errors import ApplicationError
from api.web.rendering import see_other
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, ViewerWithForm
from api.web.support.statement_query import StatementParams
from projections.repositories import staff_accounts
from projections.repositories.staff_accounts import SavedView

NAME_LENGTH_MAX: Final = 40

router = APIRouter(prefix="/support/codes/{code_id}/views", route_class=SupportRoute)
Name = Annotated[str, Form(max_length=NAME_LENGTH_MAX)]


@router.post("")
def save_view(
    support: SupportContextDep,
    staff: ViewerWithForm,
    code_id: UUID,
    params: Annotated[StatementParams, Query()],
    name: Name = "",
) -> Response:
    """Save the filters of the page under a name; another code's page offers them too."""
    query = params.to_query(code_id)
    if not (name := name.strip()) or not name.isprintable():
        raise ApplicationError("MALFORMED")
    view = SavedView(name, query.filters())
    staff_accounts.save_view(support.services.storage, staff.staff_id, view, support.services.now())
    return see_other(f"/support/codes/{code_id}{query.url()}#lines")


@router.post("/remove")
def remove_view(
    support: SupportContextDep,
    staff: ViewerWithForm,
    code_id: UUID,
    params: Annotated[StatementParams, Query()],
    name: Name = "",
) -> Response:
    """Remove saved filters; the page keeps those that it has."""
    staff_accounts.remove_view(support.services.storage, staff.staff_id, name)
    return see_other(f"/support/codes/{code_id}{params.to_query(code_id).url()}#lines")
