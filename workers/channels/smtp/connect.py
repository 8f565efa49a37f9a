"""Opens a connection to a mail server and gets it ready for a message: greeting, TLS, login.

All that goes wrong here is about the connection: it says nothing about the message, which keeps its attempt.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from smtplib import SMTPAuthenticationError, SMTPException

from domain.ports import Rejected
from workers.channels.smtp.connection import SmtpConnection, SmtpConnectionError
from workers.channels.smtp.reply_codes import is_positive, refused_connection, refused_encryption, refused_login
from workers.channels.smtp.server_url import Security, SmtpServerUrl


class RefusedError(Exception):
    """Surely not sent: carries the outcome out of the dialogue."""

    def __init__(self, outcome: Rejected) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Connector:
    """Opens connections to one server.

    Attributes:
        tls: For a server whose URL asks for TLS.
        clock: Monotonic seconds.
    """

    server: SmtpServerUrl
    tls: ssl.SSLContext | None
    clock: Callable[[], float]

    @classmethod
    def to(cls, server: SmtpServerUrl, clock: Callable[[], float]) -> "Connector":
        """Make one that checks certificates."""
        return cls(server, None if server.security is Security.NONE else ssl.create_default_context(), clock)

    def open(self, deadline: float) -> SmtpConnection:
        """Connect, greet, secure and log in.

        Raises:
            RefusedError: The server can't be reached or does not let us in; the outcome is about the connection.
        """
        connection = SmtpConnection(self.server, deadline, self.clock)
        try:
            connection.open()
            self._greet(connection)
            self._log_in(connection)
        except SmtpConnectionError as error:
            raise self.lost(error) from None
        except ssl.SSLError as error:
            connection.close()
            why = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else error.reason
            raise self.rejection("tls_failed", why) from None
        except BaseException:
            connection.close()
            raise
        return connection

    def lost(self, error: SmtpConnectionError) -> RefusedError:
        """Say that the connection broke before the message was spoken of."""
        return self.rejection("protocol_error" if error.failure == "bad_reply" else "unreachable")

    def rejection(self, reason: str, why: str | None = None) -> RefusedError:
        """Say that there is no connection, without a reply of the server's."""
        outcome = Rejected(server=str(self.server), reason=reason, final=False, about_connection=True, reply=why or "")
        return RefusedError(outcome)

    def _greet(self, connection: SmtpConnection) -> None:
        if self.tls is not None and self.server.security is Security.TLS:
            connection.secure(self.tls)
        self._expect_yes(connection.getreply())
        self._expect_yes(connection.ehlo())
        if self.tls is not None and self.server.security is Security.STARTTLS:
            if not connection.has_extn("starttls"):
                raise self.rejection("tls_failed", "STARTTLS was not offered")
            if not is_positive(reply := connection.docmd("STARTTLS")):
                raise RefusedError(refused_encryption(str(self.server), reply))
            connection.secure(self.tls)
            self._expect_yes(connection.ehlo())

    def _log_in(self, connection: SmtpConnection) -> None:
        if self.server.user is None:
            return
        try:
            connection.login(self.server.user, self.server.password)
        except SMTPAuthenticationError as error:
            text = error.smtp_error
            reply = error.smtp_code, text if isinstance(text, bytes) else text.encode()
            raise RefusedError(refused_login(str(self.server), reply)) from None
        except (SMTPException, ValueError):
            raise self.rejection("login_refused") from None

    def _expect_yes(self, reply: tuple[int, bytes]) -> None:
        if not is_positive(reply):
            raise RefusedError(refused_connection(str(self.server), reply))
