"""Facts about the waiting list of a campaign: who waits, to whom a use is offered, and who leaves the list.

They are in the campaign's stream, so their order is that of the uses. A use that a person on the list takes needs no
further event: `CampaignUseTaken` ends their place. If the campaign counts by mailbox and they take it under another
spelling of their inbox, the place is respelled first, so that the log shows whose it was.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from domain.events.campaign import CampaignEvent
from domain.ports import Language

OfferMailOutcome = Literal["sent", "unknown", "failed"]
"""What became of the email of an offer: the mail server accepted it, may have accepted it, or it is not sent again."""
LeaveCause = Literal["left", "declined", "expired", "removed", "erased", "undeliverable", "code_ended"]
"""Why a place ended without a use: the person left or declined the offer, its deadline passed, staff removed the place,
the person's data was erased, no email may be sent to the address, or the code by which they joined cannot be redeemed
any more."""


class WaitingListEvent(CampaignEvent, frozen=True, kw_only=True):
    """A fact about one place on the waiting list.

    Attributes:
        place_id: The place.
        recipient_id: Who has it, by their random id.
    """

    place_id: UUID
    recipient_id: UUID


class WaitingListJoined(WaitingListEvent, frozen=True, kw_only=True):
    """A person waits for a use, behind all who wait already.

    Attributes:
        code_id: The code by which they joined.
        language: In which they are written to.
    """

    IMPORTANCE = "step"
    LANDMARK = False
    CHANGES_STATE = True
    MEANING = "neutral"

    code_id: UUID
    language: Language


class WaitingPlaceRespelled(WaitingListEvent, frozen=True, kw_only=True):
    """A person takes a use with another spelling of the inbox that has a place, so the place is that spelling's now.

    Attributes:
        former_id: Who had the place, by their random id.
    """

    IMPORTANCE = "step"
    LANDMARK = False
    CHANGES_STATE = True
    MEANING = "neutral"

    former_id: UUID


class WaitingOfferMade(WaitingListEvent, frozen=True, kw_only=True):
    """A use is kept for the first person who had no offer yet.

    Attributes:
        until: When the offer ends at the latest if no email of it is sent.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = True
    MEANING = "neutral"

    until: datetime


class WaitingOfferMailed(WaitingListEvent, frozen=True, kw_only=True):
    """The email of an offer was sent, or is not sent again: from now on, the person has the hours of the campaign.

    Attributes:
        until: Deadline of the offer.
        outcome: What became of the email.
    """

    IMPORTANCE = "step"
    LANDMARK = False
    CHANGES_STATE = True
    MEANING = "neutral"

    until: datetime
    outcome: OfferMailOutcome


class WaitingListLeft(WaitingListEvent, frozen=True, kw_only=True):
    """A place ended without a use.

    Attributes:
        cause: Why.
        text_id: The reason of staff, or the report that the email of the offer did not arrive, in the vault.
    """

    IMPORTANCE = "step"
    LANDMARK = False
    CHANGES_STATE = True
    MEANING = "neutral"

    cause: LeaveCause
    text_id: UUID | None = None
