"""The only HTTP client: for webhooks, channels, certificates, and the identity provider of staff.

The host's name is resolved once, every resulting address must be permitted, and the connection goes to that address
with the name's certificate and Host header. So a name that changes its address in between reaches nothing else (SSRF).
Redirects are responses, not followed. Size and time of the response are bounded, however slowly it arrives.
"""

import contextlib
import http.client
import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, Literal, NamedTuple

from domain.webhooks.target_url import Network, Target, TargetError, may_reach
from workers.http_client.dns import AddressInfo, resolve

ANSWER_SHARE: Final = 0.5
"""Part of a message's time that is kept for its response: without it, the outcome of a late request is unknown."""
BODY_BYTES_MAX: Final = 16_384
"""Longest response that is read; longer ones have no meaning for us."""
USER_AGENT: Final = "redemption-ledger"

NotSentReason = Literal["target_refused", "unreachable", "tls_failed"]
UnknownOutcome = Literal["timeout", "connection_lost", "bad_reply"]
Method = Literal["GET", "POST"]
Resolve = Callable[[str, int, float], Sequence[AddressInfo]]


class NotSentError(Exception):
    """Nothing of the message was sent."""

    def __init__(self, reason: NotSentReason) -> None:
        super().__init__(reason)
        self.reason: NotSentReason = reason


class UnansweredError(Exception):
    """Part of the message was sent, and no valid response came: it may have been read."""

    def __init__(self, cause: UnknownOutcome) -> None:
        super().__init__(cause)
        self.cause: UnknownOutcome = cause


class HttpResponse(NamedTuple):
    """The response of the server."""

    status: int
    retry_after: str | None
    body: bytes


class PinnedHttpClient:
    """Posts messages and fetches pages, each over a separate connection. Thread-safe.

    Args:
        allowed: Networks that may be reached in addition to the public internet, by plain http too.
        timeout_s: Longest time of one message, from the lookup of its host's name to the last octet of the response.
        clock: Monotonic seconds.
        resolve: Looks a name up.
        body_bytes_max: Longest response that is read.
    """

    def __init__(
        self,
        allowed: Sequence[Network],
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        resolve: Resolve = resolve,
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._clock = clock
        self._resolve = resolve
        self._body_bytes_max = body_bytes_max
        self._tls = ssl.create_default_context()

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """Post one message.

        Raises:
            NotSentError: It was definitely not sent.
            UnansweredError: It may have been read.
        """
        return self._ask("POST", url, {"Content-Type": "application/json", **headers}, body)

    def fetch(self, url: str) -> bytes | None:
        """Return what is at a URL; None if it cannot be fetched."""
        response = self.exchange("GET", url, {}, None)
        return None if response is None or response.status != HTTPStatus.OK else response.body

    def exchange(self, method: Method, url: str, headers: Mapping[str, str], body: bytes | None) -> HttpResponse | None:
        """Return the response to one request; None if there is none, whatever the reason."""
        try:
            return self._ask(method, url, headers, body)
        except (NotSentError, UnansweredError):
            return None

    def _ask(self, method: Method, url: str, headers: Mapping[str, str], body: bytes | None) -> HttpResponse:
        begun = self._clock()
        try:
            target = Target.parse(url, self._allowed)
        except TargetError as error:
            raise NotSentError("target_refused") from error
        connection = self._connect(target, begun + self._timeout_s * (1 - ANSWER_SHARE))
        connection.deadline = begun + self._timeout_s
        try:
            return _exchange(target, connection, method, headers, body, self._body_bytes_max)
        finally:
            connection.end()

    def _connect(self, target: Target, deadline: float) -> "_DeadlineSocket":
        candidates = self._resolve(target.host, target.port, deadline - self._clock())
        addresses = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in candidates]
        if not all(may_reach(address, target.scheme, self._allowed) for address in addresses):
            raise NotSentError("target_refused")
        for number, (family, kind, protocol, _, address) in enumerate(candidates):
            # A dead address must leave time for the next one.
            remaining_s = (deadline - self._clock()) / (len(candidates) - number)
            if remaining_s <= 0:
                break
            connection = socket.socket(family, kind, protocol)
            connection.settimeout(remaining_s)
            try:
                connection.connect(address)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                connection.close()
            else:
                return _DeadlineSocket(self._secured(connection, target, deadline), self._clock)
        raise NotSentError("unreachable")

    def _secured(self, connection: socket.socket, target: Target, deadline: float) -> socket.socket:
        """Return the connection under TLS, with the certificate checked against the target's name."""
        if target.scheme != "https":
            return connection
        connection.settimeout(max(deadline - self._clock(), 0.001))
        try:
            return self._tls.wrap_socket(connection, server_hostname=target.host)
        except ssl.SSLError as error:
            connection.close()
            raise NotSentError("tls_failed") from error
        except (OSError, ValueError) as error:
            connection.close()
            raise NotSentError("unreachable") from error


class _DeadlineSocket:
    """A connection as `http.client` uses it, with each wait cut to the time until its deadline."""

    def __init__(self, connection: socket.socket, clock: Callable[[], float]) -> None:
        self.deadline = 0.0
        self._connection = connection
        self._clock = clock

    def sendall(self, octets: bytes) -> None:
        """Send everything in time.

        Raises:
            OSError: Part of it may have been sent.
        """
        self.wait().sendall(octets)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a reader of what is received."""
        return io.BufferedReader(_DeadlineReader(self))

    def wait(self) -> socket.socket:
        """Return the socket, with the time until the deadline as its timeout.

        Raises:
            TimeoutError: The deadline has passed.
        """
        remaining_s = self.deadline - self._clock()
        if remaining_s <= 0:
            raise TimeoutError
        self._connection.settimeout(remaining_s)
        return self._connection

    def close(self) -> None:
        """Keep the connection open: `http.client` calls this after sending, and the response is still to be read."""

    def end(self) -> None:
        """Close the connection; safe to call twice."""
        with contextlib.suppress(OSError):
            self._connection.close()


class _DeadlineReader(io.RawIOBase):
    """Reads octets of a connection, each read within its deadline."""

    def __init__(self, connection: _DeadlineSocket) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # whatever BufferedReader gives
        return self._connection.wait().recv_into(buffer)


class _SingleExchange(http.client.HTTPConnection):
    """One request over an open connection; it never opens one."""

    auto_open = 0

    def __init__(self, target: Target, connection: _DeadlineSocket) -> None:
        super().__init__(target.host, target.port)
        self.sock = connection


def _exchange(
    target: Target,
    connection: _DeadlineSocket,
    method: Method,
    headers: Mapping[str, str],
    body: bytes | None,
    body_bytes_max: int,
) -> HttpResponse:
    default_headers = {
        "Host": target.authority,
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    exchange = _SingleExchange(target, connection)
    try:
        exchange.request(method, target.path, body, {**default_headers, **headers})
        response = exchange.getresponse()
        read = response.read(body_bytes_max + 1)
    except TimeoutError as error:
        raise UnansweredError("timeout") from error
    except (OSError, http.client.IncompleteRead) as error:
        raise UnansweredError("connection_lost") from error
    except (http.client.HTTPException, ValueError) as error:
        raise UnansweredError("bad_reply") from error
    if len(read) > body_bytes_max:
        raise UnansweredError("bad_reply")
    if response.length:  # the library takes what is there for all of it
        raise UnansweredError("connection_lost")
    return HttpResponse(response.status, response.getheader("Retry-After"), read)


def parse_retry_after(retry_after: str | None, now: datetime) -> float | None:
    """Return the seconds of a Retry-After (RFC 9110 10.2.3: a number, or a date); None if it is malformed."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return (parsedate_to_datetime(text) - now).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
