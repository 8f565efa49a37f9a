"""Bugs in what codes of a campaign share."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import pytest

from domain.commands.hand_out import hand_out_code
from domain.events.event import Event
from domain.events.hand_out import HandOutSent
from domain.events.reservation import UseRefunded
from domain.model import hand_out
from domain.model.campaign import Campaign
from domain.model.hand_out import HandOut
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.working_set import WorkingSet

Patch = pytest.MonkeyPatch


def refund_leaves_the_campaign_full(patch: Patch) -> None:
    """A refund returns the use to the code, and not to its campaign."""
    record: Callable[..., None] = WorkingSet._record_campaign_use

    def record_all_but_refunds(
        self: WorkingSet, before: RedeemCode | None, code: RedeemCode, event: Event, reservation: Reservation | None
    ) -> None:
        if not isinstance(event, UseRefunded):
            record(self, before, code, event, reservation)

    patch.setattr(WorkingSet, "_record_campaign_use", record_all_but_refunds)


def person_limit_ignores_reserved_uses(patch: Patch) -> None:
    """Only sent invitations count against the limit of a person."""
    count: Callable[[WorkingSet, Campaign, UUID], int] = WorkingSet.count_uses_of_person

    def count_sent(self: WorkingSet, campaign: Campaign, recipient_id: UUID) -> int:
        pending = sum(
            reservation.is_live and reservation.recipient_id == recipient_id
            for reservation in self.reservations.values()
        )
        is_other_pending = campaign.occupied > sum(code.used for code in self.codes.values())
        return 0 if is_other_pending else max(0, count(self, campaign, recipient_id) - pending)

    patch.setattr(WorkingSet, "count_uses_of_person", count_sent)


def return_frees_a_place_of_another_day(patch: Patch) -> None:
    """A use that was reserved yesterday frees one of today's places."""
    patch.setattr(Campaign, "frees_place_of_day", lambda _campaign, _reserved_at, _at: True)


def refund_of_an_earlier_use_frees_a_place(patch: Patch) -> None:
    """A use from before a code joined the campaign is returned to the campaign."""
    patch.setattr(RedeemCode, "counts_in_campaign", lambda code, _versions: code.campaign_id is not None)


def sent_email_stays_queued(patch: Patch) -> None:
    """A worker that lost its lease records and sends the email of a hand-out again."""
    patch.setattr(hand_out, "MAIL_STATES", hand_out.MAIL_STATES | {HandOutSent: "queued"})


def used_code_is_handed_out(patch: Patch) -> None:
    """Whether a code was redeemed is read before the transaction that hands it out."""
    find = hand_out_code.find_obstacle

    def find_other_obstacle(
        code: RedeemCode, campaign_id: UUID, group: str | None, recipient_id: UUID | None, now: datetime
    ) -> hand_out_code.CodeObstacle | None:
        obstacle = find(code, campaign_id, group, recipient_id, now)
        return None if obstacle == "used" else obstacle

    patch.setattr(hand_out_code, "find_obstacle", find_other_obstacle)


def scheduled_hand_out_starts_at_once(patch: Patch) -> None:
    """The start of a hand-out is stored, and workers look at its state only."""
    patch.setattr(HandOut, "state_at", lambda self, _now: "running" if self.state == "scheduled" else self.state)


def list_lacks_the_handed_out_code(patch: Patch) -> None:
    """The event is committed without the row, so no email is due and the next list gives the recipient a code."""
    patch.setattr(hand_out_code, "_list_row", lambda _: None)


CAMPAIGN_PLANTS = (
    refund_leaves_the_campaign_full,
    person_limit_ignores_reserved_uses,
    return_frees_a_place_of_another_day,
    refund_of_an_earlier_use_frees_a_place,
    sent_email_stays_queued,
    used_code_is_handed_out,
    scheduled_hand_out_starts_at_once,
    list_lacks_the_handed_out_code,
)
