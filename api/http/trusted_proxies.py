"""Whom we believe about where a request comes from: nobody, unless LEDGER_TRUSTED_PROXIES names their networks."""

from collections.abc import Sequence
from typing import Any, cast

from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


def behind_proxies(app: ASGIApp, trusted: Sequence[str]) -> ASGIApp:
    """The application, told the client's address and scheme by X-Forwarded-For and X-Forwarded-Proto of these peers.

    The address is the last one of the list that is no proxy of ours: whatever the client itself wrote stands before.
    uvicorn's own option stays off, since it believes every peer on loopback.

    Args:
        app: The application.
        trusted: Addresses and networks; with none, the headers mean nothing.
    """
    if not trusted:
        return app
    return cast("ASGIApp", ProxyHeadersMiddleware(cast("Any", app), list(trusted)))
