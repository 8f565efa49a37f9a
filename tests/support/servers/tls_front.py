"""TLS in front of a server that has none: one that speaks PostgreSQL's protocol, or a Kafka broker."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trustme

SSL_REQUEST = struct.pack(">ii", 8, 80877103)
"""PostgreSQL's protocol, "SSLRequest": the client asks before it says anything else."""
HOST = "127.0.0.1"


def make_authority(folder: Path, name: str) -> Path:
    """A private authority, and its certificate for 127.0.0.1 in NAME-server.pem; the authority's file."""
    authority = trustme.CA()
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}-server.pem"))
    authority.cert_pem.write_to_path(str(path := folder / f"{name}.pem"))
    return path


@contextmanager
def tls_front(port: int, certificate: Path) -> Iterator[int]:
    """Listens with a certificate and passes everything on to a PostgreSQL port of this host; gives its own port."""
    context = server_context(certificate)
    with listen(lambda client: _serve(client, context, port)) as own:
        yield own


def server_context(certificate: Path) -> ssl.SSLContext:
    """What a server needs for TLS with a certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@contextmanager
def listen(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serves each connection in a thread; gives the port."""
    with socket.create_server((HOST, 0)) as front:
        threading.Thread(target=_accept, args=(front, serve), daemon=True).start()
        yield front.getsockname()[1]


def exchange(client: socket.socket, server: socket.socket) -> None:
    """Pass everything on in both directions until one side ends."""
    threading.Thread(target=_pump, args=(server, client), daemon=True).start()
    _pump(client, server)


def _accept(front: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    with suppress(OSError):
        while True:
            client, _ = front.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()


def _serve(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """Anyone who does not ask for TLS is sent away."""
    with suppress(OSError), client:
        if client.recv(len(SSL_REQUEST), socket.MSG_WAITALL) != SSL_REQUEST:
            return
        client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as inside, socket.create_connection((HOST, port)) as server:
            exchange(inside, server)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
