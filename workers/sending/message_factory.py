"""Makes the messages of a reservation: address, links and ids, the same on every attempt."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from domain.model.reservation import Reservation
from domain.model.waiting_list import WaitingPlace
from domain.ports import CODES_FILE, Language, ListedCode, OutboundMessage, Template
from domain.values.email_branding import DEFAULT_BRANDING, EmailBranding
from domain.values.identifiers import EmailAddress
from domain.values.link_token import (
    DeliveryRef,
    OptOutRef,
    PlaceRef,
    invitation_url,
    opt_out_token,
    waiting_url,
)
from domain.values.message_id import message_id
from domain.values.redeem_window import RedeemWindow
from domain.values.text_variables import fill_variables
from domain.values.trace_ids import is_trace_id

GROUP: Final = "{group}"
"""The channel replaces it with the name of the group."""
GroupTexts = Callable[[str, Language], tuple[str, str]]
"""Returns subject and text of a group's messages in a language; empty ones for the defaults."""


def default_texts(_group: str, _language: Language) -> tuple[str, str]:
    """Return the default texts for every group."""
    return "", ""


FindBranding = Callable[[str], EmailBranding]
"""Returns how the emails of a group look."""


def default_branding(_group: str) -> EmailBranding:
    """Return the default look for every group."""
    return DEFAULT_BRANDING


_SHARED: Final = tuple(OutboundMessage.__dataclass_fields__.keys() & set(Reservation.__struct_fields__))


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOutMail:
    """What an email with a handed-out code is made of.

    Attributes:
        number: Of the email, from 1; the Message-ID names it.
        code: As users read it.
        window: When the code can be redeemed; a reminder needs its end.
        subject: The hand-out's own subject, with `{name}` for a variable; empty for the default.
        text: Likewise.
        variables: Values by the names that the texts use; others are replaced with nothing.
        codes: The codes of a line that has several, as far as they are sent, with their ends.
        total: How many codes the line has.
    """

    code_id: UUID
    recipient_id: UUID
    number: int
    code: str
    language: Language
    group: str | None
    written_at: datetime
    window: RedeemWindow = field(default_factory=RedeemWindow)
    subject: str = ""
    text: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    is_reminder: bool = False
    codes: Sequence[tuple[str, datetime | None]] = ()
    total: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferMail:
    """What the email of an offer is made of: place, campaign, group and last characters of the code, and deadline."""

    campaign_id: UUID
    place: WaitingPlace
    group: str | None
    code_suffix: str
    until: datetime
    written_at: datetime


@dataclass(frozen=True, slots=True)
class MessageFactory:
    """Creates messages from reservations.

    Attributes:
        secret: Key of the link tokens.
        public_url: Base of links, without a trailing slash.
        mail_domain: Right side of Message-IDs.
        words: Returns the texts of a group's invitation.
        find_branding: Returns how a group's emails look. Each message of the group asks.
    """

    secret: bytes
    public_url: str
    mail_domain: str
    words: GroupTexts = default_texts
    find_branding: FindBranding = default_branding

    def invitation(self, reservation: Reservation, recipient: EmailAddress) -> OutboundMessage:
        """Return the invitation of a reservation's newest delivery."""
        delivery = DeliveryRef(reservation.reservation_id, reservation.delivery)
        subject, text = self.words(reservation.group, reservation.language) if reservation.group else ("", "")
        return OutboundMessage(
            **self._describe(reservation),
            template="invite",
            message_id=message_id(delivery, self.mail_domain),
            recipient=recipient,
            link=invitation_url(self.public_url, self.secret, delivery),
            written_at=reservation.delivery_at,
            subject=subject,
            text=text,
            attempt=reservation.last_attempt,
        )

    def ends_soon(
        self, reservation: Reservation, recipient: EmailAddress, days: int, written_at: datetime
    ) -> OutboundMessage:
        """Return the warning, so many days before, that the access expires."""
        return OutboundMessage(
            **self._describe(reservation),
            template="ends_soon",
            message_id=f"<{reservation.reservation_id}.ends-in-{days}@{self.mail_domain}>",
            recipient=recipient,
            link=f"{self.public_url}/r/{reservation.reservation_id}",
            written_at=written_at,
            ends_at=reservation.access_ends_at,
            opt_out_link=self.opt_out_link(OptOutRef(reservation.recipient_id, reservation.group)),
        )

    def reminder(self, reservation: Reservation, recipient: EmailAddress, written_at: datetime) -> OutboundMessage:
        """Return the reminder to accept an invitation: it has the link of the newest delivery."""
        delivery = DeliveryRef(reservation.reservation_id, reservation.delivery)
        return OutboundMessage(
            **self._describe(reservation),
            template="invite_reminder",
            message_id=f"<{reservation.reservation_id}.reminder@{self.mail_domain}>",
            recipient=recipient,
            link=invitation_url(self.public_url, self.secret, delivery),
            written_at=written_at,
            ends_at=reservation.access_ends_at,
            opt_out_link=self.opt_out_link(OptOutRef(reservation.recipient_id, reservation.group)),
        )

    def handed_out_code(self, mail: HandOutMail, recipient: EmailAddress) -> OutboundMessage:
        """Return the email with a code that a hand-out issued, or with the codes of a line, or the reminder of it."""
        codes = tuple(ListedCode(code, self._redeem_link(code), ends_at) for code, ends_at in mail.codes)
        ends = {listed.ends_at for listed in codes}

        def fill(text: str) -> str:
            shown = CODES_FILE if codes else mail.code
            values = {**mail.variables, "code": shown, "count": str(len(codes) or 1), "group": GROUP}
            return fill_variables(text, values)

        return OutboundMessage(
            reservation_id=mail.code_id,
            template="hand_out_reminder" if mail.is_reminder else "hand_out",
            message_id=f"<{mail.code_id}.code-{mail.number}@{self.mail_domain}>",
            recipient=recipient,
            language=mail.language,
            link=f"{self.public_url}/invite" if codes else self._redeem_link(mail.code),
            written_at=mail.written_at,
            group=mail.group,
            branding=self._branding(mail.group),
            subject="" if mail.is_reminder else fill(mail.subject),
            text="" if mail.is_reminder else fill(mail.text),
            ends_at=mail.window.ends_at,
            starts_at=mail.window.without_past_start(mail.written_at).starts_at,
            opt_out_link=self.opt_out_link(OptOutRef(mail.recipient_id, mail.group)),
            code=mail.code,
            codes=codes,
            total=mail.total if codes else None,
            various_ends=len(ends) if len(ends) > 1 else None,
            attempt=mail.number,
        )

    def waiting_offer(self, offer: OfferMail, recipient: EmailAddress) -> OutboundMessage:
        """Return the email by which a use is offered to a person on a waiting list."""
        place = offer.place
        return OutboundMessage(
            reservation_id=place.place_id,
            template="waiting_offer",
            message_id=f"<{place.place_id}.offer-{offer.written_at:%Y%m%dT%H%M%S}@{self.mail_domain}>",
            recipient=recipient,
            language=place.language,
            link=waiting_url(self.public_url, self.secret, PlaceRef(offer.campaign_id, place.place_id)),
            written_at=offer.written_at,
            group=offer.group,
            branding=self._branding(offer.group),
            ends_at=offer.until,
            code_suffix=offer.code_suffix,
            opt_out_link=self.opt_out_link(OptOutRef(place.recipient_id, offer.group)),
        )

    def _redeem_link(self, code: str) -> str:
        return f"{self.public_url}/invite?code={quote(code)}"

    def opt_out_link(self, ref: OptOutRef) -> str:
        """Return the link by which a recipient opts out of a group's emails that are sent without a request."""
        return f"{self.public_url}/opt-out/{opt_out_token(self.secret, ref)}"

    def farewell(self, reservation: Reservation, recipient: EmailAddress) -> OutboundMessage:
        """Return the notice that the access has ended."""
        ended_at = reservation.access.ended_at if reservation.access else None
        return OutboundMessage(
            **self._describe(reservation),
            template="farewell",
            message_id=f"<{reservation.reservation_id}.ended@{self.mail_domain}>",
            recipient=recipient,
            link=f"{self.public_url}/r/{reservation.reservation_id}",
            written_at=ended_at or reservation.reserved_at,
            ends_at=reservation.access_ends_at,
        )

    def refund_notice(self, reservation: Reservation, recipient: EmailAddress, written_at: datetime) -> OutboundMessage:
        """Return the notice that nothing was sent and no use was taken.

        For a rebind, that the access stays as it is.
        """
        return OutboundMessage(
            **self._describe(reservation),
            template="refund_notice" if reservation.is_use else "rebind_notice",
            message_id=f"<{reservation.reservation_id}.refund@{self.mail_domain}>",
            recipient=recipient,
            link=f"{self.public_url}/invite" if reservation.is_use else f"{self.public_url}/r/{reservation.follows}",
            written_at=written_at,
        )

    def correction_notice(
        self, reservation: Reservation, recipient: EmailAddress, written_at: datetime
    ) -> OutboundMessage:
        """Return the notice to the old address that its invitation was moved to another one."""
        return self._notice(reservation, recipient, written_at, "correction_notice", "corrected")

    def move_notice(self, reservation: Reservation, recipient: EmailAddress, written_at: datetime) -> OutboundMessage:
        """Return the notice that the access of this reservation was moved to another group."""
        return self._notice(reservation, recipient, written_at, "move_notice", "moved")

    def _describe(self, reservation: Reservation) -> dict[str, Any]:
        """Return what its messages say about a reservation, and how those of its group look.

        They say the fields that both have. A request id that a caller of an earlier version made up is not one of them.
        """
        shared = {name: getattr(reservation, name) for name in _SHARED}
        if not is_trace_id(reservation.request_id or ""):
            shared["request_id"] = None
        return {**shared, "branding": self._branding(reservation.group)}

    def _branding(self, group: str | None) -> EmailBranding:
        return DEFAULT_BRANDING if group is None else self.find_branding(group)

    def _notice(
        self, reservation: Reservation, recipient: EmailAddress, written_at: datetime, template: Template, about: str
    ) -> OutboundMessage:
        return OutboundMessage(
            **self._describe(reservation),
            template=template,
            message_id=f"<{reservation.reservation_id}.{about}@{self.mail_domain}>",
            recipient=recipient,
            link=f"{self.public_url}/r/{reservation.reservation_id}",
            written_at=written_at,
        )


def create_message_factory(
    secret_key: str,
    public_url: str,
    mail_from: str,
    words: GroupTexts = default_texts,
    find_branding: FindBranding = default_branding,
) -> MessageFactory:
    """Create a factory from settings; the Message-ID's domain is that of the sender's address."""
    domain = mail_from.rpartition("@")[2].strip("> ") or "localhost"
    return MessageFactory(secret_key.encode(), public_url.rstrip("/"), domain, words, find_branding)


def parse_reservation_ids(texts: list[str]) -> list[UUID]:
    """Return the ids of a Celery message; malformed ones are ignored."""
    reservation_ids = []
    for text in texts:
        try:
            reservation_ids.append(UUID(text))
        except ValueError:
            continue
    return reservation_ids
