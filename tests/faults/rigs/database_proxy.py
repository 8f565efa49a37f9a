"""A proxy before PostgreSQL that loses answers and resets connections on request.

with Proxy(url) as proxy:
    proxy.swallow_commit()      # the next redeem is committed, and its answer is lost
    proxy.reset_all()           # every open connection ends with a reset
    with proxy.unplugged(): ... # and no new one is taken
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: close at once, what was not sent is dropped, and the peer gets a reset."""
REDEEM = b"UseReserved:1"
COMMITTED = b"COMMIT\x00"
"""The server's word that a transaction is durable."""
CHUNK = 65536


class DatabaseProxy:
    """Listens on a port of its own. `url` is the database's, at that port."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        host = parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(parts._replace(netloc=f"{host}@127.0.0.1:{port}"))
        self.swallowed = 0
        self._to_swallow = 0
        self._unplug_after = False
        self._lock = threading.Lock()
        self._pairs: set[_ProxiedConnection] = set()
        self._is_unplugged = False
        self._start(self._listen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset_all()

    def swallow_commit(self, *, unplug: bool = False) -> None:
        """Lose the answer to the commit of the next redeem, and its connection; or all, until `plug_in`."""
        with self._lock:
            self._to_swallow += 1
            self._unplug_after = unplug

    def reset_all(self) -> None:
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.reset()

    def plug_in(self) -> None:
        self._is_unplugged = False

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        self._is_unplugged = True
        self.reset_all()
        try:
            yield
        finally:
            self.plug_in()

    def must_swallow(self) -> bool:
        """Asked by a connection that saw a redeem's commit; counts it."""
        with self._lock:
            if not self._to_swallow:
                return False
            self._to_swallow -= 1
            self.swallowed += 1
            if self._unplug_after:
                self._is_unplugged = True
                self._start(self.reset_all)
            return True

    def is_armed(self) -> bool:
        return self._to_swallow > 0

    def _start(self, target: object, *args: object) -> None:
        assert callable(target)
        threading.Thread(target=target, args=args, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_unplugged:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                client.close()
                continue
            self._start(self._join, client)

    def _join(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, 5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        pair = _ProxiedConnection(self, client, server)
        with self._lock:
            self._pairs.add(pair)
        self._start(pair.carry_answers)
        pair.carry_questions()
        with self._lock:
            self._pairs.discard(pair)


class _ProxiedConnection:
    def __init__(self, proxy: DatabaseProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._redeems = False
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def carry_questions(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(CHUNK):
                if self._proxy.is_armed() and REDEEM in data:
                    self._redeems = True
                self._server.sendall(data)
        self._end()

    def carry_answers(self) -> None:
        """From server to client, until either ends or an answer is lost."""
        with suppress(OSError):
            while data := self._server.recv(CHUNK):
                if self._redeems and COMMITTED in data and self._proxy.must_swallow():
                    self.reset()
                    return
                self._client.sendall(data)
        self._end()

    def reset(self) -> None:
        with suppress(OSError):
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._end()

    def _end(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
