"""One client's dialogue with the tests' mail server, and the ways in which it can go wrong."""

import base64
import binascii
import contextlib
import email
import email.policy
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import cached_property
from typing import Literal, Protocol

from tests.support.waiting import WAIT_S_MAX

Stage = Literal["banner", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "content", "dot", "rset", "quit"]


@dataclass(frozen=True, slots=True)
class ReplyWith:
    """Answer with this code. At `dot`, only a 2xx code takes the email; 421 also ends the connection."""

    code: int
    text: str = "as scripted"


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End the connection without an answer. `takes` is whether an email that is complete counts as received."""

    takes: bool = True


@dataclass(frozen=True, slots=True)
class Stall:
    """Say nothing until the client leaves; at `content`, read nothing either."""

    takes: bool = True


@dataclass(frozen=True, slots=True)
class SendOctets:
    """Send these octets instead of an answer."""

    octets: bytes = b"\x00\xffwhat?\r\n"
    takes: bool = True


@dataclass(frozen=True, slots=True)
class Trickle:
    """Send an answer that never ends, an octet at a time."""

    every_s: float = 0.02
    takes: bool = True


@dataclass(frozen=True, slots=True)
class DelayedReply:
    """Give the usual answer, but only after this time, or an event before; at `content`, read the email only then."""

    after_s: float = WAIT_S_MAX
    until: threading.Event = field(default_factory=threading.Event)


Answer = ReplyWith | Disconnect | Stall | SendOctets | Trickle
Behavior = Answer | DelayedReply


@dataclass(frozen=True)
class ReceivedMessage:
    """An email that the server took responsibility for."""

    sender: str
    recipient: str
    content: bytes
    options: str
    login: str | None
    encrypted: bool

    @cached_property
    def message(self) -> EmailMessage:
        """The email, parsed once: tests ask for it again and again."""
        return email.message_from_bytes(self.content, policy=email.policy.default)


class SessionScript(Protocol):
    security: str
    login: tuple[str, str] | None
    smtputf8: bool
    dsn: bool
    pipelining: bool
    tls: ssl.SSLContext | None
    commands: list[str]

    def is_stopping(self) -> bool: ...

    def rule(self, stage: Stage, recipient: str | None) -> Behavior | None: ...

    def take(self, message: ReceivedMessage) -> None: ...


class MailSession:
    def __init__(self, server: SessionScript, connection: socket.socket) -> None:
        self._server = server
        self._connection = connection
        self._connection.settimeout(WAIT_S_MAX)
        self._pending = b""
        self._login: str | None = None
        self._sender, self._options = "", ""
        self._recipient: str | None = None

    def run(self) -> None:
        """Greet, then answer until the client leaves or the script ends it."""
        if self._server.security == "smtps":
            self._secure()
        self._answer("banner", ReplyWith(220, "mail.example.test ready"))
        while (line := self._line()) is not None:
            verb, _, rest = line.partition(" ")
            verb = verb.upper()
            self._server.commands.append("AUTH" if verb == "AUTH" else line)
            if verb == "QUIT":
                self._answer("quit", ReplyWith(221, "bye"))
                return
            handler = {
                "EHLO": self._ehlo, "STARTTLS": self._starttls, "AUTH": self._auth, "MAIL": self._mail,
                "RCPT": self._rcpt, "DATA": self._data, "RSET": self._rset,
            }.get(verb)  # fmt: skip
            if handler is None:
                self._say(ReplyWith(500, "unknown command"))
            else:
                handler(rest)

    def close(self) -> None:
        """End the connection, which a handshake may have wrapped."""
        with contextlib.suppress(OSError):
            self._connection.close()

    def _ehlo(self, _: str) -> None:
        offers = ["mail.example.test", "SIZE 10000000", "8BITMIME"]
        offers += ["SMTPUTF8"] if self._server.smtputf8 else []
        offers += ["PIPELINING"] if self._server.pipelining else []
        offers += ["DSN"] if self._server.dsn else []
        encrypted = isinstance(self._connection, ssl.SSLSocket)
        offers += ["STARTTLS"] if self._server.security == "smtp+starttls" and not encrypted else []
        offers += ["AUTH PLAIN LOGIN"] if self._server.login else []
        self._answer("ehlo", ReplyWith(250, "\n".join(offers)))

    def _starttls(self, _: str) -> None:
        if self._answer("starttls", ReplyWith(220, "go ahead")):
            self._secure()

    def _auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        if mechanism.upper() == "PLAIN":
            credentials = self._secret(initial or self._ask("")).split("\0")[1:]
        else:
            user = self._secret(initial or self._ask("Username:"))
            credentials = [user, self._secret(self._ask("Password:"))]
        is_known = self._server.login is not None and credentials == list(self._server.login)
        usual = ReplyWith(235, "welcome") if is_known else ReplyWith(535, "5.7.8 wrong user or password")
        if self._answer("auth", usual) and is_known:
            self._login = credentials[0]

    def _ask(self, question: str) -> str:
        self._say(ReplyWith(334, base64.b64encode(question.encode()).decode()))
        return self._line() or ""

    @staticmethod
    def _secret(text: str) -> str:
        try:
            return base64.b64decode(text, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return ""

    def _mail(self, rest: str) -> None:
        if self._sender:
            self._say(ReplyWith(503, "nested MAIL"))
        elif self._server.login and self._login is None:
            self._say(ReplyWith(530, "5.7.0 log in first"))
        elif self._answer("mail", ReplyWith(250, "sender ok")):
            self._sender, self._options = _address(rest)

    def _rcpt(self, rest: str) -> None:
        recipient = _address(rest)[0]
        if not self._sender:
            self._say(ReplyWith(503, "MAIL first"))
        elif not recipient.isascii() and "SMTPUTF8" not in self._options:
            self._say(ReplyWith(553, "5.6.7 needs SMTPUTF8"))
        else:
            self._recipient = recipient
            if not self._answer("rcpt", ReplyWith(250, "recipient ok")):
                self._recipient = None

    def _data(self, _: str) -> None:
        if self._recipient is None:
            self._say(ReplyWith(503, "RCPT first"))
            return
        if not self._answer("data", ReplyWith(354, "go ahead")):
            return
        behavior = self._server.rule("content", self._recipient)
        if isinstance(behavior, DelayedReply):
            behavior.until.wait(behavior.after_s)
            behavior = None
        if behavior is not None:
            self._do(behavior)
        content = b"".join(self._content_lines())
        if behavior is not None:
            # The answer was given before the email was read; there is no second one.
            self._forget()
            return
        message = ReceivedMessage(
            sender=self._sender,
            recipient=self._recipient,
            content=content,
            options=self._options,
            login=self._login,
            encrypted=isinstance(self._connection, ssl.SSLSocket),
        )
        answer = self._usual_if_late(self._server.rule("dot", self._recipient), ReplyWith(250, "taken"))
        if answer.code // 100 == 2 if isinstance(answer, ReplyWith) else answer.takes:
            self._server.take(message)
        self._forget()
        self._do(answer)

    def _rset(self, _: str) -> None:
        if self._answer("rset", ReplyWith(250, "forgotten")):
            self._forget()

    def _forget(self) -> None:
        self._sender, self._options, self._recipient = "", "", None

    def _content_lines(self) -> Iterator[bytes]:
        while (line := self._raw_line()) != b".\r\n":
            if not line.endswith(b"\r\n"):
                raise EOFError
            yield line.removeprefix(b".")

    # --- Lines ---

    def _answer(self, stage: Stage, usual: ReplyWith) -> bool:
        """Do what the script says for this stage, else what is usual; whether the command was carried out."""
        behavior = self._usual_if_late(self._server.rule(stage, self._recipient), usual)
        self._do(behavior)
        return isinstance(behavior, ReplyWith) and behavior.code // 100 in {2, 3}

    @staticmethod
    def _usual_if_late(behavior: Behavior | None, usual: ReplyWith) -> Answer:
        if isinstance(behavior, DelayedReply):
            behavior.until.wait(behavior.after_s)
            return usual
        return behavior or usual

    def _do(self, behavior: Answer) -> None:
        match behavior:
            case ReplyWith():
                self._say(behavior)
                if behavior.code == 421:
                    raise EOFError
            case SendOctets():
                self._connection.sendall(behavior.octets)
            case Disconnect():
                raise EOFError
            case Stall():
                self._until_stopped(WAIT_S_MAX, b"")
            case Trickle():
                self._connection.sendall(b"250-")
                self._until_stopped(behavior.every_s, b"x")

    def _until_stopped(self, every_s: float, octet: bytes) -> None:
        """Send an octet now and then until the client or the server ends."""
        deadline = time.monotonic() + WAIT_S_MAX
        while time.monotonic() < deadline and not self._server.is_stopping():
            if octet:
                time.sleep(every_s)
                self._connection.sendall(octet)
            else:
                time.sleep(0.02)
                if self._has_left():
                    break
        raise EOFError

    def _has_left(self) -> bool:
        raw = self._connection
        raw.settimeout(0)
        try:
            return isinstance(raw, ssl.SSLSocket) or raw.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False

    def _say(self, answer: ReplyWith) -> None:
        *first, last = answer.text.split("\n")
        lines = [f"{answer.code}-{text}\r\n" for text in first] + [f"{answer.code} {last}\r\n"]
        self._connection.sendall("".join(lines).encode())

    def _secure(self) -> None:
        assert self._server.tls is not None, "give the server a certificate"
        self._pending = b""
        self._connection = self._server.tls.wrap_socket(self._connection, server_side=True)

    def _line(self) -> str | None:
        line = self._raw_line()
        return line.decode().removesuffix("\r\n") if line.endswith(b"\r\n") else None

    def _raw_line(self) -> bytes:
        while (end := self._pending.find(b"\n") + 1) == 0:
            more = self._connection.recv(65536)
            if not more:
                return b""
            self._pending += more
        line, self._pending = self._pending[:end], self._pending[end:]
        return line


def _address(rest: str) -> tuple[str, str]:
    """The address between angle brackets, and the parameters after it."""
    address, _, options = rest.partition("<")[2].partition(">")
    return address, options.strip()
