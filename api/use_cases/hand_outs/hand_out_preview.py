"""What an email of a hand-out looks like, with example values, and one such email that is sent as a test."""

from typing import Protocol
from uuid import UUID

from api.schemas.parsing import parse_email
from api.use_cases.hand_outs.hand_out_actions import find_details
from api.use_cases.services import Caller, LedgerServices
from domain.commands.code.issue import end_after, find_valid_days
from domain.model.hand_out import HandOutText
from domain.ports import Accepted, Language, OutboundMessage, Outcome, Rejected, outcome_label
from domain.values.email_branding import DEFAULT_BRANDING
from domain.values.identifiers import EmailAddress
from domain.values.redeem_window import RedeemWindow
from domain.values.text_variables import fill_variables, find_variables
from projections.config.settings import LedgerSettings
from projections.hand_outs.hand_out_reader import HandOutReader
from projections.repositories.audit_log import describe_values
from projections.repositories.groups import GroupRepository

EXAMPLE_CODE = "MCM1-PRY5-KC9W-VE1A-S4PD"
EXAMPLE_RECIPIENT = parse_email("recipient@example.com")


class RenderedMail(Protocol):
    """An email as it would arrive."""

    @property
    def subject(self) -> str:
        """The subject."""

    @property
    def text(self) -> str:
        """The text part."""

    @property
    def html(self) -> str:
        """The HTML part, as a complete page."""


class MailPreview(Protocol):
    """Renders emails, and sends single ones."""

    def preview(self, message: OutboundMessage) -> RenderedMail:
        """Render an email as its recipient would see it."""

    def send(self, message: OutboundMessage) -> Outcome:
        """Send one email in the calling thread."""


def preview_hand_out(
    services: LedgerServices, settings: LedgerSettings, mail: MailPreview, hand_out_id: UUID, language: Language
) -> RenderedMail:
    """Return the email of a hand-out in a language, with an example code; a variable shows its own name.

    Raises:
        ApplicationError: HAND_OUT_NOT_FOUND.
    """
    return mail.preview(_example(services, settings, hand_out_id, language, EXAMPLE_RECIPIENT))


def send_hand_out_test(
    services: LedgerServices,
    settings: LedgerSettings,
    mail: MailPreview,
    caller: Caller,
    hand_out_id: UUID,
    language: Language,
    recipient: EmailAddress,
) -> tuple[str, str]:
    """Send that email to one address now, by the channel of the hand-out's group; return its outcome and why.

    The code in it does not exist. The test is recorded in the audit log, without the address.

    Raises:
        ApplicationError: HAND_OUT_NOT_FOUND; RATE_LIMITED.
    """
    message = _example(services, settings, hand_out_id, language, recipient)
    services.limit_test_messages(caller)
    outcome = mail.send(message)
    label = outcome_label(outcome)
    services.open_audit_log(caller).record("sent_hand_out_test", hand_out_id, describe_values(outcome=label))
    return label, "" if isinstance(outcome, Accepted) else outcome.reason if isinstance(outcome, Rejected) else label


def _example(
    services: LedgerServices, settings: LedgerSettings, hand_out_id: UUID, language: Language, recipient: EmailAddress
) -> OutboundMessage:
    details, campaign = find_details(services, hand_out_id)
    (texts,) = HandOutReader(services.storage).find_texts([hand_out_id])
    own = texts.get(language, HandOutText())
    names = find_variables(own.subject) + find_variables(own.body)
    values = {name: f"[{name}]" for name in names} | {"code": EXAMPLE_CODE, "group": "{group}"}
    terms, group, now = details.created.terms, details.created.group, services.now()
    days = None if details.created.existing_codes else find_valid_days(details.created.valid_for_days, terms, campaign)
    ends_at = terms.expires_at if days is None else end_after(days, terms, now)
    window = RedeemWindow(terms.starts_at, ends_at).intersect(
        RedeemWindow(campaign.terms.starts_at, campaign.terms.ends_at)
    )
    message_id, url = services.new_id(), settings.public_url.rstrip("/")
    domain = settings.mail_from.rpartition("@")[2].strip("> ") or "localhost"
    return OutboundMessage(
        reservation_id=message_id,
        template="hand_out",
        message_id=f"<{message_id}.test@{domain}>",
        recipient=recipient,
        language=language,
        link=f"{url}/invite",
        written_at=now,
        group=group,
        subject=fill_variables(own.subject, values),
        text=fill_variables(own.body, values),
        branding=DEFAULT_BRANDING if group is None else GroupRepository(services.storage).find_branding(group),
        is_test=True,
        starts_at=window.without_past_start(now).starts_at,
        ends_at=window.ends_at,
        opt_out_link=f"{url}/opt-out/test",
        code=EXAMPLE_CODE,
    )
