"""The SMTP channel: one letter, one recipient, and never a doubt that it does not admit.

The dialogue is stepped by hand: whatever goes wrong before the letter's content begins to leave is a
rejection, and from then on only a valid reply decides; anything else is uncertain (RFC 1047).
"""

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from smtplib import SMTPAuthenticationError, SMTPException

from domain.ports import Accepted, Letter, OnlyTold, Outcome, Rejected, Removal, RemovalOutcome, Uncertain
from domain.values import MalformedEmailError
from workers.channels.letters import letter_bytes
from workers.channels.replies import is_no, is_yes, refused_connection, refused_letter, refused_login
from workers.channels.sender import Sender, envelope_address
from workers.channels.server import MailServerAddress, Security
from workers.channels.wire import Wire, WireError

LETTERS_PER_CONNECTION_MAX = 100
IDLE_S_MAX = 15.0
"""How long a connection may rest between letters; servers may close after five minutes (RFC 5321 4.5.3.2)."""

PROBE_SHARE = 0.25
"""Part of a letter's time that a kept connection gets to prove that it still lives."""

ANSWER_SHARE = 0.25
"""Part of a letter's time that is kept for content and answer. A server that is slow before them costs a retry;
content sent with no time left for its answer would cost an uncertainty, which a person may have to settle."""

OPENING_MAX = 4
"""Connections that one process opens at a time. A backlog would make it open all at once, and a server whose queue of
new connections is full drops the rest without a word: letters waited for 1, 3, 7 and 15 seconds, the pauses of TCP
(measured 2026-11-25 with a listener's backlog of 5)."""

START_CONTENT = 354
CLOSING = 421


_opening = threading.BoundedSemaphore(OPENING_MAX)


class _RefusedError(Exception):
    """Surely not sent: carries the outcome out of the dialogue."""

    def __init__(self, outcome: Rejected) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class _StaleError(Exception):
    """A kept connection turned out to be dead before anything of the letter was said."""


@dataclass(frozen=True, slots=True)
class _Parcel:
    """A letter ready to be handed over."""

    recipient: str
    content: bytes

    @property
    def needs_utf8(self) -> bool:
        return not self.recipient.isascii()


class SmtpChannel:
    """Sends letters to one mail server and keeps the connection between them. For one thread."""

    name = "smtp"

    def __init__(
        self,
        server: MailServerAddress,
        *,
        sender: Sender,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._sender = sender
        self._timeout_s = timeout_s
        self._clock = clock
        self._kept: Wire | None = None
        self._tls = None if server.security is Security.NONE else ssl.create_default_context()

    def send(self, letter: Letter) -> Outcome:
        """Send one letter within the channel's time, however the server behaves."""
        # Of everything before the content; what content and answer have is added when they begin.
        deadline = self._clock() + self._timeout_s * (1 - ANSWER_SHARE)
        try:
            parcel = self._parcel(letter)
            wire = self._take(deadline)
            if wire is not None:
                try:
                    return self._hand_over(wire, parcel, deadline)
                except _StaleError:
                    pass
            return self._hand_over(self._open(deadline), parcel, deadline)
        except _RefusedError as refused:
            return refused.outcome

    def revoke(self, removal: Removal) -> RemovalOutcome:
        """Tell the person, if there is something to tell: a letter takes nothing away. A dead address can't be told."""
        if removal.farewell is None:
            return OnlyTold(server=str(self._server))
        outcome = self.send(removal.farewell)
        if isinstance(outcome, Accepted) or (isinstance(outcome, Rejected) and outcome.about_address and outcome.final):
            return OnlyTold(server=outcome.server)
        return outcome

    def close(self) -> None:
        """Say goodbye to the server, if a connection is open."""
        wire, self._kept = self._kept, None
        if wire is not None:
            wire.deadline = self._clock() + 1
            wire.leave()

    def _parcel(self, letter: Letter) -> _Parcel:
        try:
            recipient = envelope_address(letter.recipient)
        except MalformedEmailError:
            raise _RefusedError(self._bad_address()) from None
        return _Parcel(recipient, letter_bytes(letter, self._sender.header, recipient))

    def _take(self, deadline: float) -> Wire | None:
        """The kept connection, if it may be used once more. It is kept again only after a clean end."""
        wire, self._kept = self._kept, None
        if wire is None:
            return None
        wire.deadline = deadline
        if self._clock() - wire.used_at > IDLE_S_MAX:
            wire.leave()
            return None
        return wire

    # --- Opening ---

    def _open(self, deadline: float) -> Wire:
        if not _opening.acquire(timeout=max(deadline - self._clock(), 0)):
            raise self._unreachable(WireError("timeout"))
        try:
            return self._opened(deadline)
        finally:
            _opening.release()

    def _opened(self, deadline: float) -> Wire:
        wire = Wire(self._server, deadline, self._clock)
        try:
            wire.open()
            self._greet(wire)
            self._log_in(wire)
        except WireError as error:
            raise self._unreachable(error) from None
        except ssl.SSLError as error:
            wire.close()
            why = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else error.reason
            raise _RefusedError(self._rejected("tls_failed", why)) from None
        except BaseException:
            wire.close()
            raise
        return wire

    def _greet(self, wire: Wire) -> None:
        if self._tls is not None and self._server.security is Security.TLS:
            wire.secure(self._tls)
        self._expect_yes(wire.getreply())
        self._expect_yes(wire.ehlo())
        if self._tls is not None and self._server.security is Security.STARTTLS:
            if not wire.has_extn("starttls") or not is_yes(wire.docmd("STARTTLS")):
                raise _RefusedError(self._rejected("tls_failed", "STARTTLS was not offered or refused"))
            wire.secure(self._tls)
            self._expect_yes(wire.ehlo())

    def _log_in(self, wire: Wire) -> None:
        if self._server.user is None:
            return
        try:
            wire.login(self._server.user, self._server.password)
        except SMTPAuthenticationError as error:
            text = error.smtp_error
            reply = error.smtp_code, text if isinstance(text, bytes) else text.encode()
            raise _RefusedError(refused_login(str(self._server), reply)) from None
        except (SMTPException, ValueError):
            raise _RefusedError(self._rejected("login_refused")) from None

    def _expect_yes(self, reply: tuple[int, bytes]) -> None:
        if not is_yes(reply):
            raise _RefusedError(refused_connection(str(self._server), reply))

    # --- One letter ---

    def _hand_over(self, wire: Wire, parcel: _Parcel, deadline: float) -> Outcome:
        """Hand over one letter; the connection is kept if it rests between two letters, else closed."""
        reused = wire.letters > 0
        wire.letters += 1
        wire.content_begun = False
        try:
            outcome = self._dialogue(wire, parcel, deadline, reused=reused)
        except WireError as error:
            if wire.content_begun:
                return Uncertain(server=str(self._server), cause=error.failure)
            if reused and self._clock() < deadline:
                raise _StaleError from None
            raise self._unreachable(error) from None
        except BaseException:
            wire.close()
            raise
        if isinstance(outcome, Rejected) and outcome.reply_code == CLOSING:
            wire.close()
            if reused and not wire.content_begun:
                raise _StaleError
        self._keep(wire, outcome)
        return outcome

    def _dialogue(self, wire: Wire, parcel: _Parcel, deadline: float, *, reused: bool) -> Outcome:
        server = str(self._server)
        if parcel.needs_utf8 and not wire.has_extn("smtputf8"):
            return self._bad_address()
        if reused:
            wire.deadline = min(deadline, self._clock() + self._timeout_s * PROBE_SHARE)
        if wire.needs_reset:
            wire.docmd("RSET")
        reply = wire.docmd("MAIL", f"FROM:<{self._sender.address}>{_options(wire, parcel)}")
        wire.deadline = deadline
        if not is_yes(reply):
            return refused_letter(server, reply)
        wire.command_encoding = "utf-8" if parcel.needs_utf8 else "ascii"
        reply = wire.docmd("RCPT", f"TO:<{parcel.recipient}>")
        if not is_yes(reply):
            return refused_letter(server, reply, about_recipient=True)
        reply = wire.docmd("DATA")
        if reply[0] != START_CONTENT:
            return refused_letter(server, reply)
        wire.deadline = deadline + self._timeout_s * ANSWER_SHARE
        reply = wire.send_content(parcel.content)
        if is_yes(reply):
            return Accepted(server=server, reply_code=reply[0])
        if is_no(reply):
            return refused_letter(server, reply)
        return Uncertain(server=server, cause="bad_reply")

    def _keep(self, wire: Wire, outcome: Outcome) -> None:
        """Keep the connection for the next letter, unless it is worn out or out of step."""
        out_of_step = isinstance(outcome, Uncertain) or (
            isinstance(outcome, Rejected) and outcome.reason == "protocol_error"
        )
        if wire.sock is None or out_of_step or wire.letters >= LETTERS_PER_CONNECTION_MAX:
            wire.leave()
            return
        wire.needs_reset = not isinstance(outcome, Accepted)
        wire.used_at = self._clock()
        self._kept = wire

    # --- Outcomes without a reply ---

    def _unreachable(self, error: WireError) -> _RefusedError:
        bad = error.failure == "bad_reply"
        return _RefusedError(self._rejected("protocol_error" if bad else "unreachable"))

    def _rejected(self, reason: str, why: str | None = None) -> Rejected:
        return Rejected(server=str(self._server), reason=reason, final=False, reply=why or "")

    def _bad_address(self) -> Rejected:
        return Rejected(server=str(self._server), reason="bad_address", final=True, about_address=True)


def _options(wire: Wire, parcel: _Parcel) -> str:
    """Parameters of MAIL, each only if the server offers it (RFC 1870, RFC 6531)."""
    options = [f"SIZE={len(parcel.content)}"] if wire.has_extn("size") else []
    if parcel.needs_utf8:
        options += ["SMTPUTF8"]
        options += ["BODY=8BITMIME"] if wire.has_extn("8bitmime") else []
    return "".join(f" {option}" for option in options)
