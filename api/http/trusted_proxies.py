"""Which peers may say where a request comes from: none, unless LEDGER_TRUSTED_PROXIES names their networks."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
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


def forwarded_reader(trusted: Sequence[str]) -> Callable[[Scope], None] | None:
    """Return a function that sets address and scheme in the scope of one request; None without trusted proxies.

    Args:
        trusted: As for `behind_proxies`.
    """
    if not trusted:
        return None
    middleware = cast("Any", behind_proxies(_do_nothing, trusted))

    def read_forwarded(scope: Scope) -> None:
        # The middleware awaits nothing but the application inside, which awaits nothing either.
        for _ in middleware(scope, None, None).__await__():
            raise AssertionError("the headers of proxies are read without waiting")

    return read_forwarded


async def _do_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand for the application: only the scope is of interest."""
