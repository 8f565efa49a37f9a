"""The page behind the opt-out link of emails that are sent without a request: one button opts out.

Opening the link changes nothing, because mail gateways open every link. Mail programs that offer one click send the
POST themselves (RFC 8058), without a cookie and without a further page, so the token in the URL is all that it needs.
"""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.http.blocking_route import BlockingRoute
from api.http.dependencies import TheServices
from api.use_cases.privacy.opt_outs import OptOutLink, find_opt_out, opt_out
from api.web.rendering import choose_language, page

router = APIRouter(prefix="/opt-out", route_class=BlockingRoute)


@router.get("/{token}")
def show_opt_out(request: Request, services: TheServices, token: str) -> Response:
    """Show the button."""
    return _render(request, services, find_opt_out(services, token))


@router.post("/{token}")
def opt_out_by_link(request: Request, services: TheServices, token: str) -> Response:
    """Opt out. A repeat changes nothing."""
    return _render(request, services, opt_out(services, token))


def _render(request: Request, services: TheServices, link: OptOutLink) -> Response:
    return page(
        request,
        "opt_out.html",
        choose_language(request, services.settings.default_language),
        status=404 if link.state == "invalid" else 200,
        link=link,
    )
