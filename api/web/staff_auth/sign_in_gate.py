"""Refuses sign-ins and requests for a password before routing while no unknown browser may sign in.

So a flood does not delay redeems.

Routing, parsing the form and rendering a page take some ten times as long as this. Only whether the browser may be
known is checked here; the route decides about all other requests.
"""

from collections.abc import Callable

from fastapi import Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import ApplicationError
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.known_browsers import COOKIE_PREFIX
from api.web.staff_auth.rendering import get_language, render_refusal
from api.web.staff_auth.sessions import FORGOT_PASSWORD, SIGN_IN

_PREFIX = COOKIE_PREFIX.encode()


class SignInGate:
    """Refuses sign-ins of unknown browsers while the queue is full.

    Args:
        app: The application inside.
        get_support: Returns the context of the support pages, once the process is started.
    """

    def __init__(self, app: ASGIApp, get_support: Callable[[], SupportContext]) -> None:
        self._app = app
        self._get_support = get_support
        self._pages: dict[tuple[str, str], Response] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if (
            scope["type"] == "http"
            and scope["path"] in {SIGN_IN, FORGOT_PASSWORD}
            and scope["method"] == "POST"
            and not _may_be_known(scope)
        ):
            refusal = self._get_support().refuse_unknown_browser()
            if refusal is not None:
                scope["ledger_route"] = scope["path"]
                await self._page(refusal, scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _page(self, refusal: ApplicationError, scope: Scope) -> Response:
        """Return the page of a refusal, rendered once for each language, without anything of the request.

        It is a new response each time, because the layers around it add headers.
        """
        key = refusal.code, get_language(Request(scope))
        if key not in self._pages:
            bare_scope = {**scope, "query_string": b"", "headers": [(b"accept-language", key[1].encode())]}
            self._pages[key] = render_refusal(Request(bare_scope), refusal)
        page = self._pages[key]
        return Response(page.body, page.status_code, page.headers)


def _may_be_known(scope: Scope) -> bool:
    """Return whether the request has a cookie of a known browser; the route checks whether it is valid."""
    return any(_PREFIX in value for name, value in scope["headers"] if name == b"cookie")
