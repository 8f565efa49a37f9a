"""Facts about a hand-out: codes of a campaign that are sent to a list of recipients, each of whom gets one or several.

The hand-out itself is in the campaign's stream. What becomes of one recipient is in the stream of the code that was
issued for them, so no stream grows with the list. The list is in the vault's side of the database, not in the log.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from domain.events.campaign import CampaignEvent, ReasonedCampaignEvent
from domain.events.code_terms import TermsEvent
from domain.events.event import Event
from domain.ports import Language

SkipReason = Literal["opted_out", "erased", "not_needed"]
"""Why an email is not sent: the recipient opted out, their data was erased, or the code needs no email any more."""


class HandOutCreated(TermsEvent, CampaignEvent, frozen=True, kw_only=True):
    """A list of recipients gets codes of the campaign with these terms.

    Attributes:
        hand_out_id: The hand-out.
        name: Its name, for staff. Events hold it permanently.
        per_minute: Most emails per minute; none: as fast as workers send.
        bound: False for codes that are not bound to their first recipient.
        existing_codes: Whether each line of its lists names a code that exists, which keeps its own terms.
        is_draft: Whether nothing is sent until it is started, which is `HandOutResumed`.
        valid_for_days: Days from the hand-out of each code, or its start if that is later, to its end; none: only
            `expires_at` ends its codes.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "staff"

    hand_out_id: UUID
    name: str
    per_minute: int | None = None
    bound: bool = True
    existing_codes: bool = False
    is_draft: bool = False
    valid_for_days: int | None = None


class HandOutPaused(ReasonedCampaignEvent, frozen=True, kw_only=True):
    """No further recipient gets a code until it is resumed. Emails that are being sent are still sent.

    Attributes:
        hand_out_id: The hand-out.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "staff"

    hand_out_id: UUID


class HandOutResumed(ReasonedCampaignEvent, frozen=True, kw_only=True):
    """Recipients get their codes: again, or from now on if it was a draft.

    Attributes:
        hand_out_id: The hand-out.
        starts_at: From when; none: at once.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "staff"

    hand_out_id: UUID
    starts_at: datetime | None = None


class HandOutEnded(ReasonedCampaignEvent, frozen=True, kw_only=True):
    """No further recipient gets a code, permanently. Codes that were handed out stay valid.

    Attributes:
        hand_out_id: The hand-out.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "staff"

    hand_out_id: UUID


class HandOutChanged(CampaignEvent, frozen=True, kw_only=True):
    """The rate or the text of its emails was changed. The text itself is in the vault's side of the database.

    Attributes:
        hand_out_id: The hand-out.
        per_minute: Most emails per minute from now on, changed or not; none: as fast as workers send.
        languages: The languages whose subject or text was changed.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "staff"

    hand_out_id: UUID
    per_minute: int | None = None
    languages: tuple[Language, ...] = ()


HandOutEvent = HandOutCreated | HandOutChanged | HandOutPaused | HandOutResumed | HandOutEnded
"""A fact about a hand-out, in the stream of its campaign."""


class HandedOutCodeEvent(Event, frozen=True, kw_only=True):
    """A fact about a code that was issued for one recipient of a hand-out, in the code's stream."""


class CodeHandedOut(HandedOutCodeEvent, frozen=True, kw_only=True):
    """The code is for one recipient of a hand-out: in the commit that issues it, or later for a code that existed.

    Attributes:
        hand_out_id: The hand-out.
        recipient_id: The recipient, by their random id.
        codes: How many codes the recipient's line of the list has; their emails are those of its first code.
        line_id: The first code of the line, for its other codes; none for the first.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "neutral"

    hand_out_id: UUID
    recipient_id: UUID
    codes: int = 1
    line_id: UUID | None = None


class HandOutMailEvent(HandedOutCodeEvent, frozen=True, kw_only=True):
    """A fact about one email with the code.

    Attributes:
        mail: Number of the email, from 1; a resend is the next one.
    """

    mail: int


class HandOutSent(HandOutMailEvent, frozen=True, kw_only=True):
    """The server accepted the email with the code.

    Attributes:
        server: Which server.
        reply_code: Its reply code; none: it has none.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "neutral"

    server: str
    reply_code: int | None = None


class HandOutFailed(HandOutMailEvent, frozen=True, kw_only=True):
    """The email with the code was definitely not sent, and is not tried again without staff.

    Attributes:
        server: Which server.
        reason: Why, as a stable word.
        reply_code: Its reply code; none: it has none.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "problem"

    server: str
    reason: str
    reply_code: int | None = None


class HandOutUnknown(HandOutMailEvent, frozen=True, kw_only=True):
    """Whether the email with the code was sent is not known after all attempts, each with the same Message-ID.

    Attributes:
        server: Which server.
        cause: Why, as a stable word.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "problem"

    server: str
    cause: str


class HandOutSkipped(HandOutMailEvent, frozen=True, kw_only=True):
    """No email was sent, although the server was not asked.

    Attributes:
        reason: The recipient opted out of such emails, their data was erased, or the email is not needed any more:
            the code expired or was revoked, or needs no reminder.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "neutral"

    reason: SkipReason


class HandOutBounced(HandOutMailEvent, frozen=True, kw_only=True):
    """A sent email with the code bounced.

    Attributes:
        text_id: What staff wrote about it, or the report, in the vault.
        reason: Why, as a word such as `mailbox_unknown`; none: staff recorded it.
        superseded: Whether a newer email was requested before the report came.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "problem"

    text_id: UUID | None = None
    reason: str | None = None
    superseded: bool = False


class HandOutDelayed(HandOutMailEvent, frozen=True, kw_only=True):
    """A mail server has not delivered the email with the code yet, and goes on trying.

    Attributes:
        text_id: The report, in the vault.
    """

    IMPORTANCE = "step"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "problem"

    text_id: UUID | None = None


class HandOutComplained(HandOutMailEvent, frozen=True, kw_only=True):
    """The recipient reported the email with the code as unwanted. They get no more emails of this group.

    Attributes:
        text_id: The report, in the vault.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "problem"

    text_id: UUID | None = None


class HandOutResendRequested(HandOutMailEvent, frozen=True, kw_only=True):
    """Staff want the code sent again: the same code and link, in an email of the next number."""

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "staff"


class HandOutReminded(HandOutMailEvent, frozen=True, kw_only=True):
    """A reminder that the code is not redeemed is due, in an email of the next number. There is one for each line."""

    IMPORTANCE = "noise"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "neutral"
