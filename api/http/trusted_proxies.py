"""Which peers may say where a request comes from: none, unless LEDGER_TRUSTED_PROXIES names their networks."""

from collections.abc import Sequence
from typing import Any, cast

from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


def behind_proxies(app: ASGIApp, trusted: Sequence[str]) -> ASGIApp:
    """Return the application with the client's address and scheme from these peers' X-Forwarded headers.

    The address is the last one of the list that is not one of our proxies; what the client itself wrote comes before
    it. uvicorn's own option stays off, because it trusts every peer on loopback.

    Args:
        app: The application.
        trusted: Addresses and networks; with none, the headers mean nothing.
    """
    if not trusted:
        return app
    return cast("ASGIApp", ProxyHeadersMiddleware(cast("Any", app), list(trusted)))
