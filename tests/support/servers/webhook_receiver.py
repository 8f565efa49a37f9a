"""An external server as tests need it: it keeps what it receives and answers as a test sets, or not at all."""

import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import orjson
from trustme import LeafCert


@dataclass(frozen=True)
class ReceivedRequest:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = orjson.loads(self.body)
        return document


@dataclass
class ScriptedReply:
    """An answer: `raw` instead of all else, `first` before it (to wait, or to close), the rest as HTTP has it."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    first: Callable[[], object] = lambda: None
    trickle: float | None = None

    @classmethod
    def says(cls, code: int = 200, /, *, retry_after: str | None = None, **said: object) -> "ScriptedReply":
        return cls(code, orjson.dumps(said), {} if retry_after is None else {"Retry-After": retry_after})


class _Listener(ThreadingHTTPServer):
    """Takes many at once: the library's own five places would make a further caller wait for a second."""

    daemon_threads = True
    request_queue_size = 64


class WebhookReceiver:
    """A server on a free port of this machine.

    Attributes:
        received: Every request whose body came, oldest first.
        always: How it answers once the script is used up.
    """

    def __init__(self, certificate: LeafCert | None = None, host: str = "127.0.0.1") -> None:
        self.received: list[ReceivedRequest] = []
        self.always = ScriptedReply(204)
        self._script: deque[ScriptedReply] = deque()
        self._ending = threading.Event()
        self._http = _Listener((host, 0), self._handler())
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._http.shutdown()
        self._http.server_close()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/in?x=1"

    def then(self, *replies: ScriptedReply) -> None:
        self._script.extend(replies)

    def hang(self) -> None:
        """Wait until a test releases the server, or it ends."""
        self._ending.wait(60)

    def let_go(self) -> None:
        self._ending.set()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("content-length", 0))
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(ReceivedRequest(request.command, request.path, headers, request.rfile.read(length)))
        reply = self._script.popleft() if self._script else self.always
        reply.first()
        if reply.raw is not None:
            self._write(request, reply.raw, reply.trickle)
            return
        request.send_response(reply.status)
        for name, value in reply.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(reply.body)))
        request.end_headers()
        request.wfile.write(reply.body)

    def _write(self, request: BaseHTTPRequestHandler, octets: bytes, trickle: float | None) -> None:
        if trickle is None:
            request.wfile.write(octets)
            return
        for octet in octets:
            if self._ending.wait(trickle):
                return
            request.wfile.write(bytes([octet]))
            request.wfile.flush()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the class below has a self of its own
        class ScriptedHandler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                try:
                    server._answer(self)
                except (ConnectionError, ssl.SSLError):
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Tests say themselves what went wrong."""

        return ScriptedHandler
