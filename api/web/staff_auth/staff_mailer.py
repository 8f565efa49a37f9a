"""Sends links to staff in separate threads, so that no page waits for a mail server, and none shows who has an account.

The answer to a forgotten password is the same, and comes as fast, whether or not there is an account: even the lookup
happens here.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDoneError
from contextlib import suppress
from typing import Final

from api.errors import ApplicationError
from api.use_cases.administration.staff_links import NewLink, request_password_link
from api.use_cases.administration.staff_mail import LinkMail, MailSender, send_link
from api.use_cases.services import Caller, Services
from domain.ports import Language
from domain.values.identifiers import EmailAddress
from projections.repositories.staff_sessions import StaffSessionRepository
from projections.telemetry.metrics import ERRORS

log = logging.getLogger(__name__)

THREADS: Final = 2
"""Emails that are sent concurrently; each ends within `LEDGER_SMTP_TIMEOUT_S`."""
WAITING_MAX: Final = 32
"""Emails that may be sent or wait; a further request is answered OVERLOADED."""
PAGE_WAIT_S: Final = 2.0
"""Seconds that an admin's page waits for the outcome; a later one is shown when the page is loaded again."""
RETRY_AFTER_S: Final = 30


class StaffMailer:
    """Sends links to staff.

    Args:
        services: The services of the process.
        sender: Sends single emails.
    """

    def __init__(self, services: Services, sender: MailSender) -> None:
        self._services = services
        self._sender = sender
        self._executor = ThreadPoolExecutor(THREADS, "staff-mail")
        self._slots = threading.BoundedSemaphore(WAITING_MAX)

    def send(self, link: NewLink, recipient: EmailAddress, language: Language) -> None:
        """Send a link, and wait a moment for the outcome, which is recorded.

        Raises:
            ApplicationError: OVERLOADED, too many emails wait; an admin sends this one again later.
        """
        future = self._submit(lambda: self._send(link, recipient, language))
        with suppress(NotDoneError):
            future.result(PAGE_WAIT_S)

    def send_forgotten(self, address: EmailAddress, language: Language) -> None:
        """Send the link for a forgotten password, if the email address is that of an account. Waits for nothing.

        Raises:
            ApplicationError: OVERLOADED, too many emails wait.
        """
        self._submit(lambda: self._send_forgotten(address, language))

    def close(self) -> None:
        """Wait for the emails that are being sent, and send no others."""
        self._executor.shutdown(cancel_futures=True)

    def _submit(self, job: Callable[[], None]) -> "Future[None]":
        if not self._slots.acquire(blocking=False):
            raise ApplicationError("OVERLOADED", retry_after_s=RETRY_AFTER_S)
        future = self._executor.submit(_run, job)
        future.add_done_callback(lambda _: self._slots.release())
        return future

    def _send(self, link: NewLink, recipient: EmailAddress, language: Language) -> None:
        services = self._services
        mail = LinkMail(link, recipient, language, services.new_id())
        send_link(services.storage, services.settings, self._sender, mail, services.now())

    def _send_forgotten(self, address: EmailAddress, language: Language) -> None:
        services = self._services
        account = StaffSessionRepository(services.storage).find_credentials(address)
        if account is None:
            return
        caller = Caller(actor="staff", actor_id=str(account.staff_id))
        link = request_password_link(services.open_audit_log(caller), account.staff_id)
        if link is not None:
            self._send(link, address, language)


def _run(job: Callable[[], None]) -> None:
    try:
        job()
    except Exception:
        ERRORS.labels("internal_error").inc()
        log.exception("sending a link to staff failed")
