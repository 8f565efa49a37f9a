"""TLS and sign-in in front of a Kafka broker that has neither: SASL with PLAIN and SCRAM (RFC 4616, RFC 5802).

It answers as Kafka does, and passes on what follows a sign-in.
"""

import base64
import hashlib
import hmac
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support.servers.tls_front import HOST, exchange, listen, server_context

SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE = 17, 18, 36
"""Keys of the requests of Kafka's protocol that may come before a sign-in."""
UNSUPPORTED, FAILED = 33, 58
"""Kafka's error codes: a mechanism that is not offered, a wrong user or password."""
SALT: Final = b"salt of the tests"
ROUNDS: Final = 4096
HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
MECHANISMS: Final = ("PLAIN", *HASHES)


@dataclass
class Login:
    """The server's side of one sign-in."""

    mechanism: str
    passwords: dict[str, str]
    is_complete: bool = False
    _user: str = ""
    _spoken: list[str] = field(default_factory=list)

    def answer(self, message: bytes) -> bytes | None:
        """Return what the server says next; None if user or password is wrong."""
        if self.mechanism == "PLAIN":
            _, user, password = message.decode().split("\0")
            self.is_complete = self.passwords.get(user) == password
            return b"" if self.is_complete else None
        return self._end_scram(message.decode()) if self._spoken else self._begin_scram(message.decode())

    def _begin_scram(self, message: str) -> bytes:
        bare = message.removeprefix("n,,")
        fields = dict(part.split("=", 1) for part in bare.split(","))
        self._user = fields["n"]
        text = f"r={fields['r']}server,s={base64.b64encode(SALT).decode()},i={ROUNDS}"
        self._spoken += [bare, text]
        return text.encode()

    def _end_scram(self, message: str) -> bytes | None:
        unproven, _, proof = message.rpartition(",p=")
        signed = ",".join([*self._spoken, unproven]).encode()
        algorithm = HASHES[self.mechanism]

        def sign(key: bytes, text: bytes) -> bytes:
            return hmac.new(key, text, algorithm).digest()

        salted = hashlib.pbkdf2_hmac(algorithm, self.passwords.get(self._user, "").encode(), SALT, ROUNDS)
        client_key = sign(salted, b"Client Key")
        expected = sign(hashlib.new(algorithm, client_key).digest(), signed)
        shown = bytes(a ^ b for a, b in zip(expected, base64.b64decode(proof), strict=True))
        self.is_complete = shown == client_key and self._user in self.passwords
        return b"v=" + base64.b64encode(sign(sign(salted, b"Server Key"), signed)) if self.is_complete else None


@dataclass
class KafkaFront:
    """A listener in front of a broker on this host.

    Attributes:
        passwords: By user; a test may change them.
        mechanisms: Those that are offered.
        connections: How many there were, also those that ended before a sign-in.
    """

    server_port: int
    context: ssl.SSLContext
    passwords: dict[str, str]
    mechanisms: tuple[str, ...] = MECHANISMS
    connections: int = 0
    port: int = 0
    _open: list[socket.socket] = field(default_factory=list)

    def drop_connections(self) -> None:
        """End every connection, as a broker that restarts does."""
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def serve(self, client: socket.socket) -> None:
        self.connections += 1
        with suppress(OSError), client, self.context.wrap_socket(client, server_side=True) as inside:
            self._open.append(inside)
            with socket.create_connection((HOST, self.server_port)) as server:
                if self._admit(inside, server):
                    exchange(inside, server)

    def _admit(self, client: socket.socket, server: socket.socket) -> bool:
        login = Login("", self.passwords)
        while request := _read_frame(client):
            key, version, correlation, length = struct.unpack(">hhih", request[:10])
            body = request[10 + max(length, 0) :]  # after the name of the client
            if key == API_VERSIONS:
                _write_frame(server, request)
                _write_frame(client, _read_frame(server))
            elif key == SASL_HANDSHAKE:
                login = Login(body[2:].decode(), self.passwords)
                code = 0 if login.mechanism in self.mechanisms else UNSUPPORTED
                names = b"".join(_text(name) for name in self.mechanisms)
                _write_frame(client, struct.pack(">ihi", correlation, code, len(self.mechanisms)) + names)
            elif key == SASL_AUTHENTICATE:
                answer = login.answer(body[4:])
                code, why = (0, struct.pack(">h", -1)) if answer is not None else (FAILED, _text("invalid credentials"))
                lifetime = bytes(8) if version else b""
                said = struct.pack(">i", len(answer or b"")) + (answer or b"")
                _write_frame(client, struct.pack(">ih", correlation, code) + why + said + lifetime)
                if answer is None or login.is_complete:
                    return login.is_complete
            else:
                return False
        return False


@contextmanager
def kafka_front(server_port: int, certificate: Path, passwords: dict[str, str]) -> Iterator[KafkaFront]:
    front = KafkaFront(server_port, server_context(certificate), passwords)
    with listen(front.serve) as front.port:
        yield front


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _read_frame(stream: socket.socket) -> bytes:
    """Read one message of Kafka's protocol; empty at the end of the connection."""
    size = _read(stream, 4)
    return _read(stream, int.from_bytes(size, "big")) if size else b""


def _read(stream: socket.socket, size: int) -> bytes:
    """Read so many bytes: TLS has no flag that waits for them."""
    read = b""
    while len(read) < size:
        if not (part := stream.recv(size - len(read))):
            return b""
        read += part
    return read


def _write_frame(stream: socket.socket, message: bytes) -> None:
    stream.sendall(struct.pack(">i", len(message)) + message)
