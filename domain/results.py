"""What the bus returns for a command: states as of its end, or a refusal."""

from typing import NamedTuple

from msgspec import Struct

from domain.commands.context import FollowUp
from domain.errors import Refusal
from domain.model.campaign import Campaign
from domain.model.hand_out import HandOut
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation


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


class HandOutResult(NamedTuple):
    """A hand-out as of the end of a command, and whether the command changed it."""

    hand_out: HandOut
    changed: bool


Result = CommandResult | Refusal
AnyResult = CommandResult | CampaignResult | HandOutResult | Refusal
