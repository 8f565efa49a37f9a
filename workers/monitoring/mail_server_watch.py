"""Checks whether the mail server can be reached: at a worker's start, and while it cannot or a connection failed.

A server that answers is not asked again: some count connections. What was found is a mark in the broker that expires,
which `/readyz`, the dashboard and the metrics show.
"""

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from typing import Final

from workers.channels.smtp.server_url import SmtpServerUrl
from workers.monitoring.broker_client import open_broker_client
from workers.monitoring.broker_state import BrokerUnavailableError

CHECK_INTERVAL_S: Final = 15.0
CONNECT_S: Final = 2.0

log = logging.getLogger(__name__)


def why_unreachable(server: SmtpServerUrl) -> str | None:
    """Connect once without sending anything; return None if that worked, else the system's reason."""
    try:
        socket.create_connection((server.host, server.port), CONNECT_S).close()
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__
    return None


def mark_missing(broker_url: str) -> Callable[[], None]:
    """Return a function that records, for `MAIL_MARK_S` seconds, that a connection to the mail server failed."""
    client = open_broker_client(broker_url)

    def mark() -> None:
        with contextlib.suppress(BrokerUnavailableError):  # `/readyz` says so
            client.mark_mail_server(is_missing=True)

    return mark


class MailServerWatch:
    """Checks the mail server in a thread until `close`.

    Args:
        broker_url: Where the result is stored.
        server: The mail server.
        look: Returns why a server can't be reached.
        wait: Waits so many seconds, or until the end.
    """

    def __init__(
        self,
        broker_url: str,
        server: SmtpServerUrl,
        *,
        look: Callable[[SmtpServerUrl], str | None] = why_unreachable,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self._client = open_broker_client(broker_url)
        self._mark = mark_missing(broker_url)
        self._server, self._look, self._wait = server, look, wait
        self._was_missing = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mail-server-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join(CONNECT_S * 2)

    def _run(self) -> None:
        self._check()
        while not self._wait(self._closing, CHECK_INTERVAL_S):
            if self._was_missing or self._is_marked():
                self._check()

    def _is_marked(self) -> bool:
        try:
            return self._client.is_mail_server_marked()
        except BrokerUnavailableError:
            return False

    def _check(self) -> None:
        reason = self._look(self._server)
        if reason is not None:
            self._mark()
            if not self._was_missing:
                log.error("mail server unavailable", extra={"server": str(self._server), "why": reason})
        else:
            with contextlib.suppress(BrokerUnavailableError):
                self._client.mark_mail_server(is_missing=False)
            if self._was_missing:
                log.warning("mail server available again", extra={"server": str(self._server)})
        self._was_missing = reason is not None
