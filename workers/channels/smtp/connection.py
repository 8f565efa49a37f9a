"""One SMTP connection with a deadline. Knows the protocol's lines, not what a reply means for a message.

smtplib bounds each wait of the socket, so a server that sends a byte now and then could hold a sender for
ever. Here every wait is cut to what is left until the deadline.
"""

import contextlib
import re
import smtplib
import socket
import ssl
from collections.abc import Callable
from typing import Literal

from workers.channels.smtp.server_url import SmtpServerUrl
from workers.http_client.dns import resolve

REPLY_LINE_MAX = 2048
REPLY_LINES_MAX = 128
"""Bounds of one reply, in octets and lines; RFC 5321 4.5.3.1.5 asks for 512 octets."""
RECEIVED_MAX = 2048
"""Octets that are read at a time."""
_NOT_READY = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)

_CODES = {str(code).encode(): code for code in range(200, 600)}
"""The codes of replies, nearly all of which have one line: a lookup costs a tenth of the pattern."""

_HOST_NAME = re.compile(r"[A-Za-z0-9.-]+")

Failure = Literal["connection_lost", "timeout", "bad_reply"]
Reply = tuple[int, bytes]


class SmtpConnectionError(Exception):
    """No valid reply came; the connection is closed. The only text is the kind of failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure: Failure = failure


class SmtpConnection(smtplib.SMTP):
    """A connection to one server.

    Attributes:
        deadline: When all waiting ends, by the clock given.
        begun_at: When it was begun, by the clock given.
        messages: How many messages were attempted on this connection.
        used_at: When the last one ended, by the clock given.
        needs_reset: The server may still hold the envelope of the last one.
        mail_accepted: The server accepted the sender of a message since this was last set to False.
        content_begun: Octets of a message's content may have left since this was last set to False.
        is_out_of_step: Whether replies are outstanding, or the server waits for content that it does not get.
        may_reply_late: Whether a timeout leaves the connection open, because a reply to the content may still come.
    """

    sock: socket.socket | None

    def __init__(self, server: SmtpServerUrl, deadline: float, clock: Callable[[], float]) -> None:
        super().__init__(local_hostname="localhost")  # a given name: without one smtplib would ask the DNS
        self.deadline = deadline
        self.messages = 0
        self.begun_at = self.used_at = clock()
        self.needs_reset = False
        self.mail_accepted = False
        self.content_begun = False
        self.is_out_of_step = False
        self.may_reply_late = False
        self._clock = clock
        self._server = server
        self._received = bytearray()
        self._unsent = memoryview(b"")
        self._reply: list[bytes] = []
        self._reply_code = b""

    def open(self) -> None:
        """Connect, without reading the greeting.

        Raises:
            SmtpConnectionError: No address of the server answered in time.
        """
        addresses = resolve(self._server.host, self._server.port, self._remaining_s())
        for number, (family, socket_type, protocol, _, address) in enumerate(addresses):
            try:
                self.sock = socket.socket(family, socket_type, protocol)
                # A dead address must leave time for the next one.
                self.sock.settimeout(self._remaining_s() / (len(addresses) - number))
                self.sock.connect(address)
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                self.close()
            else:
                self.local_hostname = _own_name(self.sock)
                return
        raise SmtpConnectionError("connection_lost")

    def secure(self, context: ssl.SSLContext) -> None:
        """Shake hands for TLS; the server's certificate must be for its name.

        Raises:
            ssl.SSLError: The certificate or the handshake is bad.
            SmtpConnectionError: The server did not answer or closed the connection.
        """
        if self.sock is None:
            raise SmtpConnectionError("connection_lost")
        # What came before the handshake was not protected, so none of it may count as an answer after it.
        self._received.clear()
        self.sock.settimeout(self._remaining_s())
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=self._server.host)
        except ssl.SSLError:
            self.close()
            raise
        except OSError as error:
            raise self._socket_failed(error) from None

    def send(self, s: bytes | str) -> None:  # type: ignore[override]  # bytes and str are all that smtplib sends
        """Send everything before the deadline.

        Raises:
            SmtpConnectionError: Part of it may have been sent.
        """
        self.begin_send(s.encode(self.command_encoding) if isinstance(s, str) else s)
        self.finish_send()

    def finish_send(self) -> None:
        """Send the rest of what was begun before the deadline.

        Raises:
            SmtpConnectionError: Part of it may have been sent.
        """
        try:
            while self._unsent:
                self._unsent = self._unsent[self._waiting().send(self._unsent) :]
        except OSError as error:
            raise self._socket_failed(error) from None

    def getreply(self) -> Reply:
        """Read one reply, strictly: a code from 200 to 599, the same on each of its lines.

        Raises:
            SmtpConnectionError: None came, or something else.
        """
        while (reply := self.take_reply()) is None:
            try:
                received = self._waiting().recv(RECEIVED_MAX)
            except OSError as error:
                raise self._socket_failed(error) from None
            self._add_received(received)
        return reply

    # --- For a thread that serves many connections: nothing here waits ---

    def begin_send(self, octets: bytes) -> None:
        """Take what is to be sent next.

        Raises:
            SmtpConnectionError: The server said something that it was not asked.
        """
        # A reply to something not yet said would be taken for the answer to what follows.
        if self._received:
            raise self._failed("bad_reply")
        self._unsent = memoryview(octets)

    def send_ready(self) -> bool:
        """Send what the socket takes now; return whether all has been sent.

        Raises:
            SmtpConnectionError: The connection broke.
        """
        try:
            while self._unsent:
                self._unsent = self._unsent[self._not_waiting().send(self._unsent) :]
        except _NOT_READY:
            return False
        except OSError as error:
            raise self._socket_failed(error) from None
        return True

    def receive_ready(self) -> Reply | None:
        """Read what has come; return the reply once it is whole.

        Raises:
            SmtpConnectionError: The connection broke, or what came is no reply.
        """
        while (reply := self.take_reply()) is None:
            try:
                received = self._not_waiting().recv(RECEIVED_MAX)
            except _NOT_READY:
                return None
            except OSError as error:
                raise self._socket_failed(error) from None
            self._add_received(received)
        return reply

    def take_reply(self) -> Reply | None:
        """Take the next reply from what has come; None until its last line is there.

        Raises:
            SmtpConnectionError: What came is no reply.
        """
        while (end := self._received.find(b"\n")) >= 0:
            line = bytes(self._received[:end]).removesuffix(b"\r")
            del self._received[: end + 1]
            if not self._reply and line[3:4] == b" " and (code := _CODES.get(line[:3])) is not None:
                return code, line[4:].strip()
            parsed = _REPLY_LINE.fullmatch(line)
            if parsed is None or (self._reply and parsed[1] != self._reply_code) or len(self._reply) >= REPLY_LINES_MAX:
                raise self._failed("bad_reply")
            self._reply_code = parsed[1]
            self._reply.append((parsed[3] or b"").strip())
            if parsed[2] != b"-":
                lines, self._reply = self._reply, []
                return int(parsed[1]), b"\n".join(lines)
        if len(self._received) > REPLY_LINE_MAX:
            raise self._failed("bad_reply")
        return None

    @property
    def is_all_sent(self) -> bool:
        """Whether everything that was begun has been sent, on a connection that is open."""
        return self.sock is not None and not self._unsent

    def expire(self) -> SmtpConnectionError:
        """End the waiting because its time is over; return the error for the dialogue that waits for a reply."""
        return self._failed("timeout")

    # --- Ending ---

    def close_politely(self) -> None:
        """Say goodbye without waiting for an answer, and close."""
        with contextlib.suppress(SmtpConnectionError, ValueError):
            self.deadline = min(self.deadline, self._clock() + 1)
            self.putcmd("QUIT")
        self.close()

    def close_answered(self, deadline: float) -> None:
        """Say goodbye, wait until the server has closed the connection, but no longer than a second, and close.

        Args:
            deadline: When all waiting ends, by the connection's clock.
        """
        self.deadline = min(deadline, self._clock() + 1)
        with contextlib.suppress(SmtpConnectionError, ValueError):
            self.putcmd("QUIT")
            while True:
                self.getreply()
        self.close()

    def close(self) -> None:
        """Close the socket; safe to call twice."""
        self._received.clear()
        self._reply.clear()
        open_socket, self.sock = self.sock, None
        if open_socket is not None:
            with contextlib.suppress(OSError):
                open_socket.close()

    def _add_received(self, octets: bytes) -> None:
        if not octets:
            raise self._failed("connection_lost")
        self._received += octets

    def _waiting(self) -> socket.socket:
        """Return the socket, with the time left as its timeout."""
        remaining = self._remaining_s()
        if self.sock is None:
            raise SmtpConnectionError("connection_lost")
        self.sock.settimeout(remaining)
        return self.sock

    def _not_waiting(self) -> socket.socket:
        """Return the socket, set so that it waits for nothing."""
        if self.sock is None:
            raise SmtpConnectionError("connection_lost")
        if self.sock.gettimeout() != 0.0:
            self.sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
        return self.sock

    def _remaining_s(self) -> float:
        remaining = self.deadline - self._clock()
        if remaining <= 0:
            raise self._failed("timeout")
        return remaining

    def _failed(self, failure: Failure) -> SmtpConnectionError:
        if failure != "timeout" or not self.may_reply_late:
            self.close()
        return SmtpConnectionError(failure)

    def _socket_failed(self, error: OSError) -> SmtpConnectionError:
        return self._failed("timeout" if isinstance(error, TimeoutError) else "connection_lost")


def _own_name(connected: socket.socket) -> str:
    """Return the name for EHLO: this host's full name if it knows one, else its IP address (RFC 5321 4.1.3)."""
    name = socket.gethostname()
    if "." in name and _HOST_NAME.fullmatch(name):
        return name
    address: str = connected.getsockname()[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
