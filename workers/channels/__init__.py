"""Channels: ways to send letters. This module picks one from a URL; what a letter says is in `letters`."""

from domain.ports import Channel
from workers.channels.null import NullChannel
from workers.channels.sender import Sender
from workers.channels.server import MailServerAddress, is_null
from workers.channels.smtp import SmtpChannel


def open_channel(smtp_url: str, *, mail_from: str, timeout_s: float) -> Channel:
    """Make the channel that a URL names. Nothing is connected before the first letter.

    Args:
        smtp_url: smtp://, smtp+starttls:// or smtps://, each [user:password@]host[:port], or null://.
        mail_from: Sender of all letters: an address, or `Name <address>`.
        timeout_s: Longest time that one letter may take, connecting and login included, in seconds.

    Returns:
        A channel for one thread.

    Raises:
        ValueError: The URL or the sender can't be used; the message says what to write instead.
    """
    if is_null(smtp_url):
        return NullChannel()
    if timeout_s <= 0:
        raise ValueError("Give a letter a positive number of seconds (LEDGER_SMTP_TIMEOUT_S).")
    return SmtpChannel(MailServerAddress.parse(smtp_url), sender=Sender.parse(mail_from), timeout_s=timeout_s)


__all__ = ["open_channel"]
