"""How the emails of a group look: its logo and its color."""

from typing import Annotated, Final

from fastapi import APIRouter, Query

from api.http.blocking_route import BlockingRoute
from api.http.dependencies import Admin, TheServices
from api.http.openapi import PROTECTED
from api.schemas.groups import BrandingRequest, BrandingView, view_of_branding
from api.schemas.resources import PRINTABLE
from api.use_cases.administration.group_branding import change_branding
from domain.values.group_name import NAME_LENGTH_MAX
from projections.repositories.groups import GroupRepository

PATH: Final = "/api/v1/groups/branding"

router = APIRouter(route_class=BlockingRoute, tags=["groups"], responses=PROTECTED)


@router.get(PATH, summary="Get the logo and the color of a group's emails")
def get_branding(
    services: TheServices,
    _: Admin,
    group: Annotated[str, Query(min_length=1, max_length=NAME_LENGTH_MAX, pattern=PRINTABLE)],
) -> BrandingView:
    """Returns null for what is as in all emails. A group without settings has no branding."""
    return view_of_branding(group, GroupRepository(services.storage).find_branding(group))


@router.patch(PATH, summary="Change the logo or the color of a group's emails")
def change_group_branding(body: BrandingRequest, services: TheServices, caller: Admin) -> BrandingView:
    """Fields that the request leaves out stay. Within 10 seconds, workers use the change in all emails of the group."""
    audit_log = services.open_audit_log(caller)
    return view_of_branding(body.group, change_branding(audit_log, body.group, body.changes()))
