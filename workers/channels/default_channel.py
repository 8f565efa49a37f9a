"""The channel of groups that have none of their own: the mail server that LEDGER_SMTP_URL names, or `null://`."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future

from domain.ports import Accepted, Channel, NotifiedOnly, OutboundMessage, Outcome, Rejected, Removal, RemovalOutcome
from projections.config.settings import LedgerSettings
from workers.channels.group_router import InstrumentedChannel, report_sending
from workers.channels.smtp.addresses import MailFrom, MailTokens
from workers.channels.smtp.channel import SmtpChannel
from workers.channels.smtp.connect import Connector
from workers.channels.smtp.connection_pool import ConnectionPool
from workers.channels.smtp.late_replies import LateReplies
from workers.channels.smtp.send_loop import SmtpSendLoop
from workers.channels.smtp.server_url import SmtpServerUrl, is_null


class NullChannel:
    """Accepts every message and drops it, for load tests."""

    name = "null"

    def send(self, message: OutboundMessage) -> Outcome:  # noqa: ARG002 - the port's signature; here nothing is read
        """Accept and drop."""
        return Accepted(server=self.name)

    def revoke(self, removal: Removal) -> RemovalOutcome:  # noqa: ARG002 - as above
        """Remove nothing: there is no access."""
        return NotifiedOnly(server=self.name)

    def close(self) -> None:
        """Nothing is open."""


class NullSendLoop:
    """What `SmtpSendLoop` is for a mail server: accepts every message immediately and drops it, for load tests.

    Args:
        report: Receives each message, its outcome and its seconds.
    """

    def __init__(self, report: Callable[[OutboundMessage, Outcome, float], None]) -> None:
        self._report = report

    def submit(self, messages: Sequence[OutboundMessage]) -> list[Future[Outcome]]:
        """Accept and drop."""
        return [self._accept(message) for message in messages]

    def _accept(self, message: OutboundMessage) -> Future[Outcome]:
        outcome = Accepted(server=NullChannel.name)
        self._report(message, outcome, 0.0)
        future: Future[Outcome] = Future()
        future.set_result(outcome)
        return future

    def close(self) -> None:
        """Nothing is open."""


def open_pool(
    smtp_url: str,
    connections_max: int,
    report: Callable[[int, int], None],
    on_refusal: Callable[[Rejected], None],
) -> ConnectionPool | None:
    """Make the connections that channels of one process share; None where the URL names no server.

    Args:
        smtp_url: As of `open_channel`.
        connections_max: How many there are at most.
        report: Receives the numbers of connections allowed and open, whenever one of them changes.
        on_refusal: Receives each refused connection.

    Raises:
        ValueError: The URL can't be used; the message says what to write instead.
    """
    if is_null(smtp_url):
        return None
    connector = Connector.to(SmtpServerUrl.parse(smtp_url), time.monotonic)
    return ConnectionPool(connector, connections_max, report=report, on_refusal=on_refusal)


def open_channel(
    smtp_url: str,
    *,
    mail_from: str,
    timeout_s: float,
    connections: ConnectionPool | None = None,
    late: LateReplies | None = None,
    tokens: MailTokens | None = None,
) -> Channel:
    """Make the channel that a URL names. Nothing is connected before the first message.

    Args:
        smtp_url: smtp://, smtp+starttls:// or smtps://, each [user:password@]host[:port], or null://.
        mail_from: Sender of all messages: an address, or `Name <address>`.
        timeout_s: Longest time that one message may take, connecting and login included, in seconds.
        connections: Those to the same server that it shares with other channels; else it has one of its own.
        late: Waits for replies that come after a message's time, if they are recorded.
        tokens: Name each message, so that a report about it can be believed.

    Returns:
        A channel for one thread.

    Raises:
        ValueError: The URL or the sender can't be used; the message says what to write instead.
    """
    if is_null(smtp_url):
        return NullChannel()
    if timeout_s <= 0:
        raise ValueError("LEDGER_SMTP_TIMEOUT_S must be more than 0 seconds.")
    return SmtpChannel(
        SmtpServerUrl.parse(smtp_url),
        sender=MailFrom.parse(mail_from),
        timeout_s=timeout_s,
        connections=connections,
        late=late,
        tokens=tokens,
    )


def default_channel(
    settings: LedgerSettings, connections: ConnectionPool | None = None, late: LateReplies | None = None
) -> Channel:
    """Open the channel that the settings name, with its messages logged and counted.

    Args:
        settings: The mail server and its timeout.
        connections: Those to that server that it shares with other threads.
        late: As of `open_channel`.
    """
    return InstrumentedChannel(
        open_channel(
            settings.smtp_url.get_secret_value(),
            mail_from=settings.mail_from,
            timeout_s=settings.smtp_timeout_s,
            connections=connections,
            late=late,
            tokens=_tokens_of(settings),
        )
    )


def open_send_loop(
    settings: LedgerSettings, connections: ConnectionPool | None, openers: Executor, late: LateReplies | None = None
) -> SmtpSendLoop | NullSendLoop:
    """Open what sends many messages at a time by the channel that the settings name, logged and counted.

    Args:
        settings: The mail server and its timeout.
        connections: Those to that server; None where the settings name none.
        openers: Runs what waits for a connection.
        late: As of `open_channel`.
    """
    if connections is None:
        return NullSendLoop(report_sending)
    channel = SmtpChannel(
        SmtpServerUrl.parse(settings.smtp_url.get_secret_value()),
        sender=MailFrom.parse(settings.mail_from),
        timeout_s=settings.smtp_timeout_s,
        connections=connections,
        late=late,
        tokens=_tokens_of(settings),
    )
    return SmtpSendLoop(channel, connections, openers, report_sending)


def _tokens_of(settings: LedgerSettings) -> MailTokens | None:
    secret = settings.secret_key.get_secret_value().encode()
    return MailTokens.parse(secret, settings.bounce_address, settings.mail_provider)
