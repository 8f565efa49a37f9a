"""The SMTP channel: sends one message to one recipient, and reports an unknown outcome as unknown.

The dialogue with the server runs step by step: whatever goes wrong before the message's content begins to leave is a
rejection, and from then on only a valid reply decides; anything else is uncertain (RFC 1047). It waits for nothing
itself: it asks for a connection or a reply. `SmtpChannel.send` waits for them in the calling thread, and
`workers.channels.smtp.send_loop` for those of many messages in one thread.
"""

import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from domain.ports import (
    Accepted,
    NotifiedOnly,
    OutboundMessage,
    Outcome,
    OutcomeUnknown,
    Rejected,
    Removal,
    RemovalOutcome,
    SendTimes,
)
from workers.channels.mail_message import message_bytes
from workers.channels.smtp.addresses import MailFrom, MailTokens, xtext
from workers.channels.smtp.connect import Connector, RefusedError
from workers.channels.smtp.connection import Reply, SmtpConnection, SmtpConnectionError
from workers.channels.smtp.connection_pool import ConnectionPool
from workers.channels.smtp.late_replies import LateReplies
from workers.channels.smtp.reply_codes import is_negative, is_positive, refused_message
from workers.channels.smtp.server_url import SmtpServerUrl

PROBE_SHARE = 0.25
"""Part of a message's time that a kept connection gets to prove that it still lives."""

ANSWER_SHARE = 0.25
"""Part of a message's time that is kept for content and answer. A server that is slow before them costs a retry;
content sent with no time left for its answer would cost an uncertainty, which a person may have to settle."""

DATA = b"DATA"
START_CONTENT = 354
CLOSING = 421


class NeedsConnection(NamedTuple):
    """A step of a dialogue: a connection is lent to it, or `RefusedError` thrown into it.

    Attributes:
        deadline: When all waiting for one ends, by the channel's clock.
    """

    deadline: float


class NeedsReply(NamedTuple):
    """A step of a dialogue: what was begun is sent and the reply returned, or `SmtpConnectionError` thrown into it."""

    connection: SmtpConnection


Dialogue = Generator[NeedsConnection | NeedsReply, Any, Outcome]
"""One message's conversation with the server, with its outcome at the end."""


class _StaleConnectionError(Exception):
    """A reused connection turned out to be closed before the message was announced."""


@dataclass(frozen=True, slots=True)
class _Envelope:
    """A message ready to be sent. `token`: names it in reports of mail servers; empty if none are recognized."""

    message: OutboundMessage
    sender: str
    recipient: str
    content: bytes
    token: str = ""

    @property
    def needs_utf8(self) -> bool:
        return not self.recipient.isascii()


@dataclass(slots=True)
class _Progress:
    """When a message came how far, by the channel's clock."""

    connected: float | None = None
    content: float | None = None


class SmtpChannel:
    """Sends messages to one mail server. For one thread.

    Args:
        server: The mail server.
        sender: The sender of messages.
        timeout_s: Longest time of one message, in seconds.
        clock: Monotonic seconds.
        connections: Those that it shares with other threads; without them it keeps one of its own.
        late: Waits for replies that come after a message's time; without it, their connections are closed.
        tokens: Name each message, so that a report about it can be believed; without them, no report is.
    """

    name = "smtp"

    def __init__(
        self,
        server: SmtpServerUrl,
        *,
        sender: MailFrom,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        connections: ConnectionPool | None = None,
        late: LateReplies | None = None,
        tokens: MailTokens | None = None,
    ) -> None:
        self._tokens = tokens
        self._server = server
        self._sender = sender
        self._timeout_s = timeout_s
        self._clock = clock
        self._late = late
        self._connections = connections or ConnectionPool(Connector.to(server, clock), 1)

    def send(self, message: OutboundMessage) -> Outcome:
        """Send one message within the channel's time, however the server behaves."""
        with closing(self.begin_dialogue(message)) as dialogue:
            advance: Callable[[], NeedsConnection | NeedsReply] = partial(next, dialogue)
            while True:
                try:
                    step = advance()
                except StopIteration as error:
                    outcome: Outcome = error.value
                    return outcome
                try:
                    advance = partial(dialogue.send, self._wait_for(step))
                except (RefusedError, SmtpConnectionError) as error:
                    advance = partial(dialogue.throw, error)

    def _wait_for(self, step: NeedsConnection | NeedsReply) -> SmtpConnection | Reply:
        """Wait in this thread for what a dialogue needs.

        Raises:
            RefusedError: There is no connection in time.
            SmtpConnectionError: No valid reply came.
        """
        if isinstance(step, NeedsConnection):
            return self._connections.borrow(step.deadline)
        step.connection.finish_send()
        return step.connection.getreply()

    def begin_dialogue(self, message: OutboundMessage) -> Dialogue:
        """Send one message within the channel's time, step by step, and say when it came how far."""
        begun, progress = self._clock(), _Progress()
        outcome: Outcome = yield from self._converse(message, begun, progress)
        return replace(outcome, times=SendTimes(begun, self._clock(), progress.connected, progress.content))

    def _converse(self, message: OutboundMessage, begun: float, progress: _Progress) -> Dialogue:
        # Of everything before the content; what content and answer have is added when they begin.
        deadline = begun + self._timeout_s * (1 - ANSWER_SHARE)
        try:
            envelope = self._envelope(message)
            connection: SmtpConnection = yield NeedsConnection(deadline)
            progress.connected = self._clock()
            try:
                return (yield from self._transmit(connection, envelope, deadline, progress, is_last_attempt=False))
            except _StaleConnectionError:
                self._connections.drop_idle()  # as old as that one, or older
            progress.connected = None
            connection = yield NeedsConnection(deadline)
            progress.connected = self._clock()
            return (yield from self._transmit(connection, envelope, deadline, progress, is_last_attempt=True))
        except RefusedError as error:
            return error.outcome

    def revoke(self, removal: Removal) -> RemovalOutcome:
        """Notify the recipient if there is a farewell: an email removes nothing, and an invalid address is skipped."""
        if removal.farewell is None:
            return NotifiedOnly(server=str(self._server))
        outcome = self.send(removal.farewell)
        if isinstance(outcome, Accepted) or (isinstance(outcome, Rejected) and outcome.about_address and outcome.final):
            return NotifiedOnly(server=outcome.server)
        return outcome

    def close(self) -> None:
        """Say goodbye to the server on connections that no thread uses."""
        self._connections.drop_idle()

    # --- One message ---

    def _transmit(
        self,
        connection: SmtpConnection,
        envelope: _Envelope,
        deadline: float,
        progress: _Progress,
        *,
        is_last_attempt: bool,
    ) -> Dialogue:
        """Send one message; the connection is kept for the next one if the server allows it, else closed."""
        may_be_stale = connection.messages > 0 and not is_last_attempt
        connection.messages += 1
        connection.content_begun = connection.mail_accepted = connection.is_out_of_step = False
        try:
            outcome: Outcome = yield from self._run_session(connection, envelope, deadline, progress)
        except SmtpConnectionError as error:
            if connection.content_begun:
                return self._await_late_reply(connection, envelope.message, progress, error)
            self._connections.drop(connection)
            if may_be_stale and self._clock() < deadline:
                raise _StaleConnectionError from None
            return self._record_refusal(connection, self._rejected_without_reply(connection, error))
        except BaseException:
            self._connections.drop(connection)
            raise
        if not _ends_connection(outcome) and not connection.is_out_of_step:
            connection.needs_reset = not isinstance(outcome, Accepted)
            self._connections.release(connection)
            return outcome
        self._connections.drop(connection)
        if may_be_stale and _is_closing(outcome) and not connection.content_begun:
            raise _StaleConnectionError
        return self._record_refusal(connection, outcome)

    def _await_late_reply(
        self, connection: SmtpConnection, message: OutboundMessage, progress: _Progress, error: SmtpConnectionError
    ) -> OutcomeUnknown:
        """Return the unknown outcome; after a timeout, have the reply awaited that may still come."""
        server, late, begun_at = str(self._server), self._late, progress.content
        if late is None or begun_at is None or error.failure != "timeout" or not connection.is_all_sent:
            connection.close()  # a goodbye would be content
            self._connections.drop(connection)
            return OutcomeUnknown(server=server, cause=error.failure)
        if late.keep(connection, message, server, begun_at):
            self._connections.part_with(connection)
        else:
            connection.close()
            self._connections.drop(connection)
        return OutcomeUnknown(server=server, cause=error.failure, retry_after_s=late.retry_after_s(begun_at))

    def _record_refusal(self, connection: SmtpConnection, outcome: Outcome) -> Outcome:
        """Return the outcome; one that is about the connection lowers the number of connections."""
        if isinstance(outcome, Rejected) and outcome.about_connection:
            self._connections.record_refusal(outcome, connection.begun_at)
        return outcome

    def _run_session(
        self, connection: SmtpConnection, envelope: _Envelope, deadline: float, progress: _Progress
    ) -> Dialogue:
        server = str(self._server)
        if envelope.needs_utf8 and not connection.has_extn("smtputf8"):
            return self._rejected_address()
        if connection.messages > 1:
            connection.deadline = min(deadline, self._clock() + self._timeout_s * PROBE_SHARE)
        if connection.needs_reset:
            yield from _ask(connection, b"RSET")
        mail = f"MAIL FROM:<{envelope.sender}>{_options(connection, envelope)}".encode("ascii")
        recipient = f"RCPT TO:<{envelope.recipient}>{_recipient_options(connection, envelope)}".encode()
        is_pipelined = connection.has_extn("pipelining")
        if is_pipelined:
            connection.begin_send(b"\r\n".join((mail, recipient, DATA, b"")))
        reply = yield from _ask(connection, mail, is_said=is_pipelined)
        connection.deadline = deadline
        if not is_positive(reply):
            # 421 may have been said before MAIL was: no server has to wait with it (RFC 5321 3.8).
            refused = refused_message(server, reply, about_connection=reply[0] == CLOSING)
            return (yield from _skip_replies(connection, refused, 2)) if is_pipelined else refused
        connection.mail_accepted = True
        reply = yield from _ask(connection, recipient, is_said=is_pipelined)
        if not is_positive(reply):
            refused = refused_message(server, reply, about_recipient=True)
            return (yield from _skip_replies(connection, refused, 1)) if is_pipelined else refused
        reply = yield from _ask(connection, DATA, is_said=is_pipelined)
        if reply[0] != START_CONTENT:
            return refused_message(server, reply)
        progress.content = self._clock()
        connection.deadline = deadline + self._timeout_s * ANSWER_SHARE
        connection.begin_send(_stuff_dots(envelope.content) + b".\r\n")
        connection.content_begun = True
        connection.may_reply_late = self._late is not None
        reply = yield NeedsReply(connection)
        connection.may_reply_late = False
        if is_positive(reply):
            return Accepted(server=server, reply_code=reply[0])
        if is_negative(reply):
            return refused_message(server, reply)
        return OutcomeUnknown(server=server, cause="bad_reply")

    def _envelope(self, message: OutboundMessage) -> _Envelope:
        header, sender, recipient = self._sender.header, self._sender.address, message.recipient.envelope
        if self._tokens is None:
            return _Envelope(message, sender, recipient, message_bytes(message, header))
        token = self._tokens.token_of(message)
        return_path = self._tokens.return_path(token)
        content = message_bytes(message, header, self._tokens.headers(token))
        return _Envelope(message, return_path or sender, recipient, content, token if return_path else "")

    # --- Outcomes without a reply ---

    def _rejected_without_reply(self, connection: SmtpConnection, error: SmtpConnectionError) -> Rejected:
        """No valid reply came before the content; before MAIL was answered that is about the connection."""
        return Rejected(
            server=str(self._server),
            reason="protocol_error" if error.failure == "bad_reply" else "unreachable",
            final=False,
            about_connection=not connection.mail_accepted,
        )

    def _rejected_address(self) -> Rejected:
        return Rejected(server=str(self._server), reason="bad_address", final=True, about_address=True)


def _ask(connection: SmtpConnection, command: bytes, *, is_said: bool = False) -> Generator[NeedsReply, Any, Reply]:
    """Say one line, unless it was said with the one before, and return the reply."""
    if not is_said:
        connection.begin_send(command + b"\r\n")
    elif (early := connection.take_reply()) is not None:
        return early  # it came with the reply to the line before
    reply: Reply = yield NeedsReply(connection)
    return reply


def _skip_replies(connection: SmtpConnection, refused: Rejected, count: int) -> Generator[NeedsReply, Any, Rejected]:
    """Read the replies to lines that were said with a refused one, and return the outcome that this one has.

    A server may wait for content although it accepted no recipient (RFC 2920 3.1). It gets none: the connection ends.
    """
    if _ends_connection(refused):
        return refused
    connection.is_out_of_step = True
    with suppress(SmtpConnectionError):
        for _ in range(count):
            reply: Reply = yield NeedsReply(connection)
        connection.is_out_of_step = reply[0] == START_CONTENT
    if connection.is_out_of_step:
        connection.close()  # a goodbye would be content
    return refused


def _stuff_dots(content: bytes) -> bytes:
    """Double the dot of each line that begins with one (RFC 5321 4.5.2)."""
    stuffed = content.replace(b"\n.", b"\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def _is_closing(outcome: Outcome) -> bool:
    return isinstance(outcome, Rejected) and outcome.reply_code == CLOSING


def _ends_connection(outcome: Outcome) -> bool:
    """Return whether the connection cannot be used again: closed, out of step, or unwanted by the server."""
    if isinstance(outcome, Rejected):
        return _is_closing(outcome) or outcome.about_connection or outcome.reason == "protocol_error"
    return isinstance(outcome, OutcomeUnknown)


def _options(connection: SmtpConnection, envelope: _Envelope) -> str:
    """Parameters of MAIL, each only if the server offers it (RFC 1870, RFC 3461, RFC 6531)."""
    options = [f"SIZE={len(envelope.content)}"] if connection.has_extn("size") else []
    if envelope.needs_utf8:
        options += ["SMTPUTF8"]
        options += ["BODY=8BITMIME"] if connection.has_extn("8bitmime") else []
    if envelope.token and connection.has_extn("dsn"):
        options += ["RET=HDRS", f"ENVID={envelope.token}"]
    return "".join(f" {option}" for option in options)


def _recipient_options(connection: SmtpConnection, envelope: _Envelope) -> str:
    """Parameters of RCPT, if the server sends delivery status notifications (RFC 3461, 4): of failures and delays."""
    if not envelope.token or not connection.has_extn("dsn"):
        return ""
    original = "" if envelope.needs_utf8 else f" ORCPT=rfc822;{xtext(envelope.recipient)}"
    return f" NOTIFY=FAILURE,DELAY{original}"
