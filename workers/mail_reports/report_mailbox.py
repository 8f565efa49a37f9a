"""A mailbox of reports: messages one by one, each removed once it is done with.

A message is removed after what it reports is committed. A crash in between lets it come again, which changes nothing.
"""

import imaplib
import poplib
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, Final, Protocol, Self

from workers.mail_reports.report_mailbox_url import MailboxUrl
from workers.mail_reports.report_parser import REPORT_BYTES_MAX

TIMEOUT_S: Final = 20.0
"""Longest wait for one answer of the server."""
ASIDE: Final = "Unrecognized"
"""Folder of an IMAP server that gets the messages that are no reports about emails of this ledger."""
LINES_MAX: Final = 8000
"""Lines of a message that are read by POP3 besides its header."""
_LINE_TOO_LONG: Final = "line too long"


class MailboxError(Exception):
    """The mailbox can't be read now; the message says why, without the password."""


class Mailbox(Protocol):
    """An open mailbox."""

    def messages(self) -> Iterator[bytes]:
        """Yield the messages, oldest first. What a reader does next is about the last one."""

    def remove(self) -> None:
        """Remove the message."""

    def set_aside(self) -> None:
        """Remove the message, and keep a copy where a person can look at it, if the server has such a place."""


def open_mailbox(url: MailboxUrl) -> "_ImapMailbox | _PopMailbox":
    """Return the mailbox that a URL names; entering it connects and logs in."""
    return _PopMailbox(url) if url.scheme.startswith("pop3") else _ImapMailbox(url)


class _ImapMailbox(AbstractContextManager["_ImapMailbox"]):
    """IMAP4rev1 (RFC 3501)."""

    def __init__(self, url: MailboxUrl) -> None:
        self._url = url
        self._uid = b""
        self._has_folder = False

    def __enter__(self) -> Self:
        url = self._url
        try:
            if url.scheme == "imaps":
                context = ssl.create_default_context()
                self._server: imaplib.IMAP4 = imaplib.IMAP4_SSL(
                    url.host, url.port, ssl_context=context, timeout=TIMEOUT_S
                )
            else:
                self._server = imaplib.IMAP4(url.host, url.port, timeout=TIMEOUT_S)
            if url.scheme == "imap+starttls":
                self._server.starttls(ssl.create_default_context())
            self._server.login(url.user, url.password)
            self._call("select", _quoted(url.folder))
        except (OSError, imaplib.IMAP4.error) as error:
            raise MailboxError(_reason(error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError, imaplib.IMAP4.error):
            self._server.close()  # expunges
            self._server.logout()

    def messages(self) -> Iterator[bytes]:
        answer = self._call("uid", "SEARCH", "UNDELETED")
        for uid in (answer[0] or b"").split():
            self._uid = uid
            answer = self._call("uid", "FETCH", uid.decode(), f"(BODY.PEEK[]<0.{REPORT_BYTES_MAX}>)")
            content: bytes | None = next((part[1] for part in answer if isinstance(part, tuple)), None)
            if content is not None:  # another reader may have removed it
                yield content

    def remove(self) -> None:
        self._call("uid", "STORE", self._uid.decode(), "+FLAGS.SILENT", r"(\Deleted)")

    def set_aside(self) -> None:
        if not self._has_folder:
            with suppress(MailboxError):  # it exists
                self._call("create", ASIDE)
            self._has_folder = True
        self._call("uid", "COPY", self._uid.decode(), ASIDE)
        self.remove()

    def _call(self, method: str, *arguments: str) -> list[Any]:
        try:
            status, data = getattr(self._server, method)(*arguments)
        except (OSError, imaplib.IMAP4.error) as error:
            raise MailboxError(_reason(error)) from error
        if status != "OK":
            raise MailboxError(f"the server refused {arguments[0] if method == 'uid' else method.upper()}")
        return list(data)


class _PopMailbox(AbstractContextManager["_PopMailbox"]):
    """POP3 (RFC 1939). It has no folders: what is no report of this ledger is removed too."""

    def __init__(self, url: MailboxUrl) -> None:
        self._url = url
        self._number = 0

    def __enter__(self) -> Self:
        url = self._url
        try:
            if url.scheme == "pop3s":
                context = ssl.create_default_context()
                self._server: poplib.POP3 = poplib.POP3_SSL(url.host, url.port, timeout=TIMEOUT_S, context=context)
            else:
                self._server = poplib.POP3(url.host, url.port, timeout=TIMEOUT_S)
            self._server.user(url.user)
            self._server.pass_(url.password)
        except (OSError, poplib.error_proto) as error:
            raise MailboxError(_reason(error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError, poplib.error_proto):
            self._server.quit()  # only now are messages removed

    def messages(self) -> Iterator[bytes]:
        try:
            count, _ = self._server.stat()
            for self._number in range(1, count + 1):
                yield self._read()
        except (OSError, poplib.error_proto) as error:
            raise MailboxError(_reason(error)) from error

    def remove(self) -> None:
        try:
            self._server.dele(self._number)
        except (OSError, poplib.error_proto) as error:
            raise MailboxError(_reason(error)) from error

    def set_aside(self) -> None:
        self.remove()

    def _read(self) -> bytes:
        """Return a message; empty if it has a line that the library does not read, so that it can be removed."""
        try:
            lines = self._server.top(self._number, LINES_MAX)[1]
        except poplib.error_proto as error:
            if _LINE_TOO_LONG not in str(error):
                raise
            number = self._number
            with suppress(OSError, poplib.error_proto):
                self._server.close()  # in the middle of an answer: what was removed before comes again
            self.__enter__()
            self._number = number
            return b""
        return b"\r\n".join(lines)[:REPORT_BYTES_MAX]


def _quoted(folder: str) -> str:
    return '"' + folder.replace("\\", r"\\").replace('"', r"\"") + '"'


def _reason(error: Exception) -> str:
    """Return why a server could not be used, in a line; servers repeat no password in what they say."""
    text = str(error).removeprefix("b'").removesuffix("'") or type(error).__name__
    return text.splitlines()[0][:200]
