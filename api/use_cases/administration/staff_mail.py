"""The emails with links by which staff choose a password, sent one by one without a worker."""

from datetime import datetime
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from api.use_cases.administration.staff_links import NewLink
from domain.ports import Accepted, Language, OutboundMessage, Outcome
from domain.values.identifiers import EmailAddress
from projections.config.settings import LedgerSettings
from projections.repositories.staff_links import MailState, StaffLinkRepository
from projections.storage.bootstrap import LedgerStore

NO_MAIL_SERVER: Final = "null"
"""The server that `null://` stands for: it accepts every email and drops it."""


class MailSender(Protocol):
    """Sends single emails."""

    def send(self, message: OutboundMessage) -> Outcome:
        """Send one email in the calling thread; returns within the channel's timeout."""


class LinkMail(NamedTuple):
    """A link on its way to the member of staff whom it is for."""

    link: NewLink
    recipient: EmailAddress
    language: Language
    message_id: UUID


def link_url(settings: LedgerSettings, link: NewLink) -> str:
    """Return the URL of a link."""
    return f"{settings.public_url.rstrip('/')}/support/set-password/{link.token}"


def send_link(
    storage: LedgerStore, settings: LedgerSettings, sender: MailSender, mail: LinkMail, now: datetime
) -> MailState:
    """Send a link and record what became of the email. An email that may not have arrived counts as failed.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    outcome = sender.send(_compose(settings, mail, now))
    is_sent = isinstance(outcome, Accepted) and outcome.server != NO_MAIL_SERVER
    state: MailState = "sent" if is_sent else "failed"
    StaffLinkRepository(storage).record_mail(mail.link.digest, state)
    return state


def _compose(settings: LedgerSettings, mail: LinkMail, now: datetime) -> OutboundMessage:
    domain = settings.mail_from.rpartition("@")[2].strip("> ") or "localhost"
    return OutboundMessage(
        reservation_id=mail.message_id,
        template="staff_invitation" if mail.link.purpose == "invitation" else "staff_password",
        message_id=f"<{mail.message_id}.staff@{domain}>",
        recipient=mail.recipient,
        language=mail.language,
        link=link_url(settings, mail.link),
        written_at=now,
        ends_at=mail.link.expires_at,
    )
