"""Which host names the API answers for: a web page whose name resolves to this machine must not read the ledger."""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

PROBES: Final = ("/healthz", "/readyz", "/metrics")
"""Paths that orchestrators and Prometheus request by any name or address of the process."""
KNOWN_MAX = 1_000
"""Host headers that are cached; a name repeats with each port that a tunnel gives it."""


class HostGuard:
    """Answers requests for other host names with a refusal. A request without a Host header passes.

    Args:
        app: The application inside.
        names: The permitted names, as `host_name` gives them; loopback names are permitted in any case.
        refuse: Answers the others.
        probes: Paths that are answered for any name.
    """

    def __init__(
        self,
        app: ASGIApp,
        names: frozenset[str],
        refuse: Callable[[Scope, Receive, Send], object],
        probes: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._names = names
        self._refuse = refuse
        self._probes = frozenset(probes)
        self._known_hosts: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and not self._is_permitted(scope):
            await self._refuse(scope, receive, send)  # type: ignore[misc]  # an async function, typed as any callable
            return
        await self._app(scope, receive, send)

    def permits(self, header: bytes) -> bool:
        """Return whether requests with this Host header are answered."""
        return header in self._known_hosts or self._learn(header)

    def _is_permitted(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name == b"host" and not self.permits(value):
                return scope["path"] in self._probes
        return True

    def _learn(self, header: bytes) -> bool:
        """Return whether a new Host header is permitted."""
        name = host_name(header.decode("latin-1"))
        if name not in self._names and not is_loopback(name):
            return False
        if len(self._known_hosts) < KNOWN_MAX:
            self._known_hosts.add(header)
        return True


def host_name(host: str) -> str:
    """Return the name or address in a Host header or setting: without its port, in lower case, as an A-label."""
    name = host.strip().lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    name = name.removesuffix(".")
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return name


def is_loopback(name: str) -> bool:
    """Return whether a host name always means the client's own machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def guarded_hosts(
    app: ASGIApp, public_url: str, allowed: Sequence[str], refuse: Callable[[Scope, Receive, Send], object]
) -> ASGIApp:
    """Return the application behind a guard, unless no setting says by which names it is reached.

    Args:
        app: The application.
        public_url: LEDGER_PUBLIC_URL. A loopback one, which is the default, says nothing about other names.
        allowed: Further names. Naming some makes the guard strict: probes are answered for permitted names only.
        refuse: Answers requests for other names.
    """
    public = host_name(urlsplit(public_url).netloc.rpartition("@")[2])
    if not allowed and is_loopback(public):
        return app
    names = frozenset({public, *map(host_name, allowed)})
    return HostGuard(app, names, refuse, () if allowed else PROBES)
