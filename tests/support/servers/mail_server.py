"""A real SMTP server on loopback that misbehaves on request. For every test that needs a mail server.

    with MailServer() as server:
        server.at("rcpt", Say(550, "no such user"), recipient="unknown@example.com")
        server.at("dot", Close(), times=1)          # took the email, never said so
        channel = open_channel(server.url, ...)
        assert server.message_ids() == [...]

Own code, since a library's server can't be made to break the protocol. It knows nothing of the ledger.
"""

import contextlib
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import quote

from trustme import LeafCert

from tests.support.servers.mail_session import (
    Behavior,
    DelayedReply,
    Disconnect,
    MailSession,
    ReceivedMessage,
    ReplyWith,
    SendOctets,
    Stage,
    Stall,
    Trickle,
)
from tests.support.waiting import WAIT_S_MAX

Security = Literal["smtp", "smtp+starttls", "smtps"]


@dataclass(slots=True)
class _Rule:
    stage: Stage
    behavior: Behavior
    recipient: str | None
    left: int | None


class MailServer:
    """Listens from the start; use as a context manager or call `stop`.

    Args:
        security: Scheme of the URL: smtp, smtp+starttls or smtps; the latter two need a certificate.
        certificate: What trustme issued for the server.
        login: User and password that are required before MAIL, if any.
        smtputf8: Offer SMTPUTF8.
        port: Port to listen on, for a server that comes back; 0 for a free one.
        listener: What to listen on instead, such as a socket of another machine.
        connections_max: How many connections it serves at a time; further ones get 421 for a greeting.
        connections_rate: How many it serves within how many seconds, refused ones included; further ones get 421.

    Attributes:
        pipelining: Offer PIPELINING.
        dsn: Offer DSN.
        commands: Every line that clients sent outside an email's content, but for what follows AUTH.
        connections: How many were accepted so far.
        refused: How many of them got 421 for one of the limits.
        most_at_once: The highest number of connections that were served at a time.
    """

    pipelining: bool = False
    dsn: bool = False

    def __init__(
        self,
        security: Security = "smtp",
        *,
        certificate: LeafCert | None = None,
        login: tuple[str, str] | None = None,
        smtputf8: bool = True,
        port: int = 0,
        listener: socket.socket | None = None,
        connections_max: int | None = None,
        connections_rate: tuple[int, float] | None = None,
    ) -> None:
        self.security: str = security
        self.login = login
        self.smtputf8 = smtputf8
        self.tls: ssl.SSLContext | None = None
        if certificate is not None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(self.tls)
        self.commands: list[str] = []
        self.connections = self.refused = self.most_at_once = 0
        self._connections_max, self._connections_rate = connections_max, connections_rate
        self._accepted_at: list[float] = []
        self._received: list[ReceivedMessage] = []
        self._rules: list[_Rule] = []
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._listener = listener or socket.create_server(("127.0.0.1", port))
        self.host, self.port = self._listener.getsockname()
        self._start(self._listen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """For LEDGER_SMTP_URL, login included."""
        login = f"{quote(self.login[0], '')}:{quote(self.login[1], '')}@" if self.login else ""
        return f"{self.security}://{login}{self.address}"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def received(self) -> list[ReceivedMessage]:
        with self._changed:
            return list(self._received)

    def message_ids(self) -> list[str]:
        """Message-IDs of the emails taken so far, oldest first, doubles included."""
        return [str(received.message["Message-ID"]) for received in self.received]

    def wait_for(self, count: int) -> list[ReceivedMessage]:
        """Wait until at least `count` emails were taken.

        Raises:
            AssertionError: They did not come in time.
        """
        with self._changed:
            came = self._changed.wait_for(lambda: len(self._received) >= count, WAIT_S_MAX)
            assert came, f"{len(self._received)} of {count} letters after {WAIT_S_MAX} s"
            return list(self._received)

    def at(
        self,
        stage: Stage,
        behavior: Behavior,
        *,
        recipient: str | None = None,
        times: int | None = None,
    ) -> None:
        """Behave so at a stage, from now on. A later rule goes before an earlier one.

        Args:
            stage: `content` is after 354 and before the email was read, `dot` after it was read.
            behavior: What to do instead of the usual answer.
            recipient: Only for emails to this address; for stages from `rcpt` on.
            times: How often before the rule is used up; None forever.
        """
        with self._changed:
            self._rules.insert(0, _Rule(stage, behavior, recipient, times))

    def behave(self) -> None:
        with self._changed:
            self._rules.clear()

    def drop_connections(self) -> None:
        """End every open connection now; the server continues listening."""
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """End everything; safe to call twice."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()
        for thread in self._threads:
            thread.join(5)

    # --- For the sessions ---

    def rule(self, stage: Stage, recipient: str | None) -> Behavior | None:
        """The behavior scripted for this stage, used up by one; None for the usual one."""
        with self._changed:
            for rule in self._rules:
                if rule.stage == stage and rule.recipient in {None, recipient} and rule.left != 0:
                    rule.left = None if rule.left is None else rule.left - 1
                    return rule.behavior
        return None

    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def take(self, message: ReceivedMessage) -> None:
        with self._changed:
            self._received.append(message)
            self._changed.notify_all()

    def _start(self, target: object, *args: object) -> None:
        assert callable(target)
        thread = threading.Thread(target=target, args=args, name=f"mailserver-{self.port}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self.connections += 1
                self._accepted_at.append(time.monotonic())
                if self._is_over_a_limit():
                    self.refused += 1
                    with contextlib.suppress(OSError), connection:
                        connection.sendall(b"421 4.7.0 mail.example.test Error: too many connections\r\n")
                    continue
                self._open.add(connection)
                self.most_at_once = max(self.most_at_once, len(self._open))
            self._start(self._serve, connection)

    def _is_over_a_limit(self) -> bool:
        if self._connections_max is not None and len(self._open) >= self._connections_max:
            return True
        if self._connections_rate is None:
            return False
        most, seconds = self._connections_rate
        return sum(at > time.monotonic() - seconds for at in self._accepted_at) > most

    def _serve(self, connection: socket.socket) -> None:
        session = MailSession(self, connection)
        try:
            # ValueError: a file read after it was closed; UnicodeError is one too.
            with contextlib.suppress(OSError, EOFError, ValueError):
                session.run()
        finally:
            with self._changed:
                self._open.discard(connection)
            with contextlib.suppress(OSError):  # a peer that is gone takes no last words
                session.close()
            connection.close()


__all__ = [
    "Behavior",
    "DelayedReply",
    "Disconnect",
    "MailServer",
    "ReceivedMessage",
    "ReplyWith",
    "Security",
    "SendOctets",
    "Stage",
    "Stall",
    "Trickle",
]
