"""Any other address of the office, so that its fault is a page of the office. It is the last route."""

from fastapi import APIRouter
from fastapi.responses import Response

from api.problems import ProblemError
from api.support.access import Admin, SupportRoute

router = APIRouter(prefix="/admin", route_class=SupportRoute)


@router.get("/{_path:path}")
async def nowhere(_: Admin, _path: str) -> Response:
    """Not found."""
    raise ProblemError("NOT_FOUND")
