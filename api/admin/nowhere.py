"""Any other address of the office, so that its fault is a page of the office. It is the last route."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.methods import not_found
from api.support.access import Admin, SupportRoute

router = APIRouter(prefix="/admin", route_class=SupportRoute)


@router.get("/{_path:path}")
async def nowhere(request: Request, _: Admin, _path: str) -> Response:
    """Not found, or only for other methods."""
    raise not_found(request)
