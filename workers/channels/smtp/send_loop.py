"""Sends many messages at a time in one thread, which waits for the replies of all their connections together.

With a thread for each message, waking threads and passing the interpreter's lock between them took more CPU time than
the dialogues with the server. Here a reply costs one read and the next line one write.
"""

import math
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future

from domain.ports import OutboundMessage, Outcome
from workers.channels.smtp.channel import Dialogue, NeedsConnection, NeedsReply, SmtpChannel
from workers.channels.smtp.connection import Reply, SmtpConnection, SmtpConnectionError
from workers.channels.smtp.connection_pool import ConnectionPool

StepResult = SmtpConnection | Reply | Exception | None
"""What a dialogue is continued with; None begins it, and an exception is thrown into it."""
WAKE_UPS_MAX = 64
"""Octets of wake-ups that are read at a time; there is never more than one or two."""


class _Sending:
    """One message in progress.

    Attributes:
        connection: The connection whose reply it waits for; None before the first one.
        fd: The number of that connection's socket, also after it was closed; -1 while the loop does not watch it.
        is_writing: Whether the socket has not taken everything yet.
    """

    __slots__ = ("connection", "dialogue", "fd", "future", "is_writing", "message", "started_at")

    def __init__(self, message: OutboundMessage, dialogue: Dialogue, started_at: float) -> None:
        self.message = message
        self.dialogue = dialogue
        self.future: Future[Outcome] = Future()
        self.started_at = started_at
        self.connection: SmtpConnection | None = None
        self.fd = -1
        self.is_writing = False


class SmtpSendLoop:
    """Sends the messages of one process to one mail server. `submit` and `close` are for any thread.

    Args:
        channel: Holds the dialogues.
        connections: The channel's connections.
        openers: Runs what waits for a connection: opening one may take seconds.
        report: Receives each message, its outcome and its seconds, before the outcome is returned.
        clock: Monotonic seconds, the same as the connections'.
    """

    def __init__(
        self,
        channel: SmtpChannel,
        connections: ConnectionPool,
        openers: Executor,
        report: Callable[[OutboundMessage, Outcome, float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel, self._connections, self._openers = channel, connections, openers
        self._report, self._clock = report, clock
        self._inbox: deque[tuple[_Sending, StepResult]] = deque()
        self._awaiting_reply: dict[int, _Sending] = {}
        self._unfinished = 0
        self._is_closing = False
        self._is_woken = False
        self._earliest_deadline = math.inf
        self._wake_reader, self._waker = socket.socketpair()
        self._poller = select.poll()
        self._poller.register(self._wake_reader, select.POLLIN)
        self._thread = threading.Thread(target=self._run, name="smtp-send-loop", daemon=True)
        self._thread.start()

    def submit(self, messages: Sequence[OutboundMessage]) -> list[Future[Outcome]]:
        """Begin to send messages; the future of each is resolved within the channel's time.

        The loop is woken once for all of them: each time costs three system calls and two switches between threads.

        Raises:
            RuntimeError: The loop was closed.
        """
        if self._is_closing:
            raise RuntimeError("no message can be sent after the send loop was closed")
        started_at = self._clock()
        sendings = [_Sending(message, self._channel.begin_dialogue(message), started_at) for message in messages]
        self._inbox.extend([(sending, None) for sending in sendings])
        self._wake()
        return [sending.future for sending in sendings]

    def close(self) -> None:
        """Finish what was submitted, and end the thread. Safe to call twice."""
        if not self._is_closing:
            self._is_closing = True
            self._wake()
        self._thread.join()
        # Not by the thread: it may end between the two lines that tell it to.
        self._wake_reader.close()
        self._waker.close()

    # --- In any thread ---

    def _post(self, sending: _Sending, step_result: StepResult) -> None:
        self._inbox.append((sending, step_result))
        self._wake()

    def _wake(self) -> None:
        # The flag is cleared before the inbox is emptied, so nothing that was added before is left there.
        if not self._is_woken:
            self._is_woken = True
            self._waker.send(b"\0")

    def _open(self, sending: _Sending, deadline: float) -> None:
        """Wait for a connection, in a thread of the openers."""
        step_result: StepResult
        try:
            step_result = self._connections.borrow(deadline)
        except Exception as error:  # noqa: BLE001 - RefusedError or a bug: the dialogue decides
            step_result = error
        self._post(sending, step_result)

    # --- In the loop's thread ---

    def _run(self) -> None:
        while not (self._is_closing and not self._inbox and not self._unfinished):
            for fd, _ in self._poller.poll(self._wait_ms()):
                if (sending := self._awaiting_reply.get(fd)) is not None:
                    self._continue_exchange(sending)
                elif fd == self._wake_reader.fileno():
                    self._wake_reader.recv(WAKE_UPS_MAX)
                    self._is_woken = False
            self._expire()
            while self._inbox:
                sending, step_result = self._inbox.popleft()
                if step_result is None:
                    self._unfinished += 1
                self._advance(sending, step_result)

    def _advance(self, sending: _Sending, step_result: StepResult) -> None:
        """Continue a dialogue with what it asked for, until it has to wait again or ends."""
        dialogue = sending.dialogue
        try:
            while True:
                step = dialogue.throw(step_result) if isinstance(step_result, Exception) else dialogue.send(step_result)
                step_result = self._take_step(sending, step)
                if step_result is None:
                    return
        except StopIteration as error:
            self._finish(sending, error.value)
        except Exception as error:  # noqa: BLE001 - a bug fails its own message alone; the others continue
            self._fail(sending, error)

    def _take_step(self, sending: _Sending, step: NeedsConnection | NeedsReply) -> StepResult:
        """Return what a dialogue asks for, or None if it has to wait."""
        if isinstance(step, NeedsReply):
            return self._begin_exchange(sending, step.connection)
        self._stop_watching(sending)
        connection = self._connections.borrow_idle(step.deadline)
        if connection is None:
            self._openers.submit(self._open, sending, step.deadline)
        return connection

    def _begin_exchange(self, sending: _Sending, connection: SmtpConnection) -> StepResult:
        """Send what the socket takes, and wait for the reply; return one that has come already, or an error."""
        sending.connection = connection
        try:
            if (reply := connection.take_reply()) is not None:
                return reply
            is_sent = connection.send_ready()
        except SmtpConnectionError as error:
            return error
        self._earliest_deadline = min(self._earliest_deadline, connection.deadline)
        self._watch(sending, connection, is_sent=is_sent)
        return None

    def _continue_exchange(self, sending: _Sending) -> None:
        """Send what is left, or read what has come; continue the dialogue with a whole reply or an error."""
        connection = sending.connection
        if connection is None:
            return
        step_result: StepResult = None
        try:
            if sending.is_writing:
                self._watch(sending, connection, is_sent=connection.send_ready())
            else:
                step_result = connection.receive_ready()
        except SmtpConnectionError as error:
            step_result = error
        if step_result is not None:
            self._advance(sending, step_result)

    def _watch(self, sending: _Sending, connection: SmtpConnection, *, is_sent: bool) -> None:
        """Have the loop woken when the reply comes; before that, when the socket takes more."""
        if connection.sock is None:
            raise AssertionError("only an open connection is watched")
        fd = connection.sock.fileno()
        if fd != sending.fd or sending.is_writing is is_sent:
            sending.fd, sending.is_writing = fd, not is_sent
            self._awaiting_reply[fd] = sending
            self._poller.register(fd, select.POLLIN if is_sent else select.POLLIN | select.POLLOUT)

    def _stop_watching(self, sending: _Sending) -> None:
        if sending.fd >= 0:
            self._poller.unregister(sending.fd)
            del self._awaiting_reply[sending.fd]
            sending.fd = -1

    def _finish(self, sending: _Sending, outcome: Outcome) -> None:
        try:
            self._report(sending.message, outcome, self._clock() - sending.started_at)
        except Exception as error:  # noqa: BLE001 - as in `_advance`
            self._fail(sending, error)
            return
        self._stop_watching(sending)
        self._unfinished -= 1
        sending.future.set_result(outcome)

    def _fail(self, sending: _Sending, error: Exception) -> None:
        self._stop_watching(sending)
        self._unfinished -= 1
        sending.future.set_exception(error)

    def _wait_ms(self) -> int | None:
        """Milliseconds until a deadline may have passed; None if nothing waits for a reply."""
        if math.isinf(self._earliest_deadline):
            return None
        return max(0, math.ceil((self._earliest_deadline - self._clock()) * 1000))

    def _expire(self) -> None:
        """End the dialogues whose time is over. Nothing is searched before the earliest deadline that was seen."""
        now = self._clock()
        if now < self._earliest_deadline:
            return
        for sending in list(self._awaiting_reply.values()):
            if sending.connection is not None and sending.connection.deadline <= now:
                self._advance(sending, sending.connection.expire())
        waiting = (each.connection.deadline for each in self._awaiting_reply.values() if each.connection is not None)
        self._earliest_deadline = min(waiting, default=math.inf)
