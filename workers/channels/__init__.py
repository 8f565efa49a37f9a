"""Channels: ways to send letters. This module picks one from a URL; what a letter says is in `letters`."""

import time
from collections.abc import Callable

from domain.ports import Channel, Rejected
from workers.channels.null import NullChannel
from workers.channels.smtp.addresses import MailFrom
from workers.channels.smtp.channel import SmtpChannel
from workers.channels.smtp.connect import Connector
from workers.channels.smtp.connection_pool import ConnectionPool
from workers.channels.smtp.server_url import SmtpServerUrl, is_null


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
    smtp_url: str, *, mail_from: str, timeout_s: float, connections: ConnectionPool | None = None
) -> Channel:
    """Make the channel that a URL names. Nothing is connected before the first letter.

    Args:
        smtp_url: smtp://, smtp+starttls:// or smtps://, each [user:password@]host[:port], or null://.
        mail_from: Sender of all letters: an address, or `Name <address>`.
        timeout_s: Longest time that one letter may take, connecting and login included, in seconds.
        connections: Those to the same server that it shares with other channels; else it has one of its own.

    Returns:
        A channel for one thread.

    Raises:
        ValueError: The URL or the sender can't be used; the message says what to write instead.
    """
    if is_null(smtp_url):
        return NullChannel()
    if timeout_s <= 0:
        raise ValueError("Give a letter a positive number of seconds (LEDGER_SMTP_TIMEOUT_S).")
    return SmtpChannel(
        SmtpServerUrl.parse(smtp_url),
        sender=MailFrom.parse(mail_from),
        timeout_s=timeout_s,
        connections=connections,
    )


__all__ = ["open_channel", "open_pool"]
