"""Files that browsers and crawlers ask for by fixed addresses."""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, RedirectResponse

from api.web.static_files import asset

ROBOTS: Final = "User-agent: *\nAllow: /docs\nAllow: /llms.txt\nDisallow: /\n"
"""Pages are for people with a code or a link, and addresses of reservations belong into no index."""

router = APIRouter()


@router.get("/robots.txt")
async def show_robots() -> PlainTextResponse:
    """Ask crawlers to stay away."""
    return PlainTextResponse(ROBOTS)


@router.get("/favicon.ico")
async def show_icon() -> RedirectResponse:
    """Redirect to the icon, for what is not a page and names none."""
    return RedirectResponse(asset("seal.svg"))
