"""TLS in front of a server that speaks PostgreSQL's protocol in plain text: the binaries of the tests have none."""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
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
    """Listens with a certificate and passes everything on to a port of this host; gives its own port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server((HOST, 0)) as front:
        threading.Thread(target=_accept, args=(front, context, port), daemon=True).start()
        yield front.getsockname()[1]


def _accept(front: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with suppress(OSError):
        while True:
            client, _ = front.accept()
            threading.Thread(target=_serve, args=(client, context, port), daemon=True).start()


def _serve(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """Anyone who does not ask for TLS is sent away."""
    with suppress(OSError), client:
        if client.recv(len(SSL_REQUEST), socket.MSG_WAITALL) != SSL_REQUEST:
            return
        client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as inside, socket.create_connection((HOST, port)) as server:
            threading.Thread(target=_pump, args=(server, inside), daemon=True).start()
            _pump(inside, server)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
