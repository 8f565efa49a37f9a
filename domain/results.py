"""What the bus returns for a command: states as of its end, or a refusal."""

from typing import NamedTuple

from msgspec import Struct

from domain.commands.context import FollowUp
from domain.errors import Refusal
from domain.model.campaign import Campaign
from domain.model.hand_out import HandOut
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.model.waiting_list import WaitingPlace


class CommandResult(Struct, frozen=True, kw_only=True):
    """The result of a command: states as of its end.

    Attributes:
        code: The code it was about.
        reservation: The reservation it was about; None for commands about the code alone.
        changed: Whether it added events.
        follow_up: What follows at once.
    """

    code: RedeemCode
    reservation: Reservation | None
    changed: bool
    follow_up: FollowUp | None = None

    def require_reservation(self) -> Reservation:
        """Return the reservation of a command that is about one.

        Raises:
            AssertionError: The command was about a code alone.
        """
        if self.reservation is None:
            raise AssertionError("this command was about a code alone")
        return self.reservation


class CampaignResult(NamedTuple):
    """A campaign as of the end of a command, and whether the command changed it."""

    campaign: Campaign
    changed: bool


class WaitingResult(NamedTuple):
    """A campaign as of the end of a command about its waiting list.

    Attributes:
        campaign: The campaign.
        place: The place that the command was about; None if it has ended, or the command was about no single one.
        changed: Whether the command changed the list.
    """

    campaign: Campaign
    place: WaitingPlace | None
    changed: bool


class HandOutResult(NamedTuple):
    """A hand-out as of the end of a command, and whether the command changed it."""

    hand_out: HandOut
    changed: bool


Result = CommandResult | Refusal
AnyResult = CommandResult | CampaignResult | WaitingResult | HandOutResult | Refusal
