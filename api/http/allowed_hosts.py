"""Which Host headers the API answers: one valid header, with a name that it answers for.

A web page whose name resolves to this machine must not read the ledger.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

PROBES: Final = ("/healthz", "/readyz", "/metrics")
"""Paths that orchestrators and Prometheus request by any name or address of the process."""
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%\x80-\xff-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
"""A host with an optional port (RFC 9110 7.2). Octets beyond ASCII are names of other scripts, as some clients send."""
KNOWN_MAX = 1_000
"""Host headers that are cached; a name repeats with each port that a tunnel gives it."""


class HostGuard:
    """Refuses requests for other host names, and those without exactly one valid Host header (RFC 9112 3.2).

    Only requests of HTTP/1.0 may have no Host header.

    Args:
        app: The application inside.
        names: The permitted names, as `host_name` gives them, and loopback names; None: every name is permitted.
        refuse: Answers requests for other names.
        refuse_invalid: Answers requests without exactly one valid header.
        probes: Paths that are answered for any name.
    """

    def __init__(
        self,
        app: ASGIApp,
        names: frozenset[str] | None,
        refuse: Callable[[Scope, Receive, Send], object],
        refuse_invalid: Callable[[Scope, Receive, Send], object],
        probes: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._names = names
        self._refuse = refuse
        self._refuse_invalid = refuse_invalid
        self._probes = frozenset(probes)
        self._known_hosts: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        answer: Callable[[Scope, Receive, Send], Any] = self._app
        if scope["type"] == "http":
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            if not all(map(self.permits, hosts)) and scope["path"] not in self._probes:
                answer = self._refuse
            is_old = scope.get("http_version", "1.0") == "1.0"
            if len(hosts) > 1 or (not hosts and not is_old) or not all(map(_is_valid, hosts)):
                answer = self._refuse_invalid
        await answer(scope, receive, send)

    def permits(self, header: bytes) -> bool:
        """Return whether requests with this Host header are answered."""
        return header in self._known_hosts or self._learn(header)

    def _learn(self, header: bytes) -> bool:
        """Return whether a new Host header is valid and permitted."""
        name = host_name(header.decode("latin-1"))
        if not _is_valid(header) or (self._names is not None and name not in self._names and not is_loopback(name)):
            return False
        if len(self._known_hosts) < KNOWN_MAX:
            self._known_hosts.add(header)
        return True


def _is_valid(header: bytes) -> bool:
    return _HOST.fullmatch(header) is not None


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
    app: ASGIApp,
    public_url: str,
    allowed: Sequence[str],
    refuse: Callable[[Scope, Receive, Send], object],
    refuse_invalid: Callable[[Scope, Receive, Send], object],
) -> HostGuard:
    """Return the application behind a guard, which permits every name if no setting says by which it is reached.

    Args:
        app: The application.
        public_url: LEDGER_PUBLIC_URL. A loopback one, which is the default, says nothing about other names.
        allowed: Further names. Naming some makes the guard strict: probes are answered for permitted names only.
        refuse: Answers requests for other names.
        refuse_invalid: Answers requests without exactly one valid Host header.
    """
    public = host_name(urlsplit(public_url).netloc.rpartition("@")[2])
    if not allowed and is_loopback(public):
        return HostGuard(app, None, refuse, refuse_invalid)
    names = frozenset({public, *map(host_name, allowed)})
    return HostGuard(app, names, refuse, refuse_invalid, () if allowed else PROBES)
