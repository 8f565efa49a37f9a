"""What the store in memory reads in addition to what commands name.

It is written a second time: a command that forgets to ask for something is then decided differently by the two stores.
"""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from domain.command_bus import AnyCommand, Command
from domain.commands.access.rebind import RebindReservation
from domain.commands.campaign.manage_campaign import CampaignCommand
from domain.commands.campaign.waiting_list import JoinWaitingList, LeaveWaitingList, OfferUses, RecordOfferMail
from domain.commands.code.revoke import ContinueRevocation, RevokeCode
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.commands.hand_out.manage_hand_out import HandOutCommand
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.reserve import ReserveUse
from domain.commands.reservation.resolve_case import RefundAfterOutage, ResolveReservation
from domain.model.invariants import is_removal_open
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.working_set import WorkingSet

Moving = RebindReservation | RefundReservation | CorrectRecipient | ResolveReservation | RefundAfterOutage

OfCampaign = CampaignCommand | HandOutCommand | LeaveWaitingList | OfferUses | RecordOfferMail
"""Commands that read a campaign by its id."""


def split_by_reads(commands: Sequence[AnyCommand]) -> tuple[list[OfCampaign], list[Command]]:
    """Return the commands about campaigns, and the others: joining a waiting list reads what redeeming does."""
    about_campaigns = [command for command in commands if isinstance(command, OfCampaign)]
    others = [command for command in commands if not isinstance(command, OfCampaign)]
    return about_campaigns, [each.redeem if isinstance(each, JoinWaitingList) else each for each in others]


def find_moved(commands: Sequence[Command]) -> set[UUID]:
    """Return the reservations whose rebinds commands begin, or would leave in progress with nothing to move."""
    reports = (command for command in commands if isinstance(command, RecordMailReport))
    bounced = {report.reservation_id for report in reports if report.kind == "bounced"}
    return bounced | {command.reservation_id for command in commands if isinstance(command, Moving)}


def find_linked_reservations(named: Sequence[Reservation]) -> set[UUID]:
    """Return reservations linked to the named ones: sources of rebinds, and those that wait for a removal."""
    rebind_sources = {
        reservation.follows for reservation in named if reservation.kind == "rebind" and reservation.follows
    }
    ending_accesses = [reservation.access for reservation in named if is_removal_open(reservation)]
    return rebind_sources | {
        access.replaced_by for access in ending_accesses if access is not None and access.replaced_by is not None
    }


def find_recountable(targets: Sequence[UUID], commands: Sequence[Command], working_set: WorkingSet) -> list[UUID]:
    """Return the named reservations whose use is refunded, or may be refunded by another command of this batch.

    A redeem refunds overdue reservations of its code, a revocation reserved ones.
    """
    mentions = Counter(targets)
    released_codes = {
        working_set.code_id(command.code_digests) for command in commands if isinstance(command, ReserveUse)
    }
    released_codes |= {command.code_id for command in commands if isinstance(command, RevokeCode | ContinueRevocation)}
    targeted = (working_set.reservations[key] for key in mentions if key in working_set.reservations)
    return [
        reservation.reservation_id
        for reservation in targeted
        if reservation.status == "refunded"
        or mentions[reservation.reservation_id] > 1
        or reservation.code_id in released_codes
    ]


def may_run_out(code: RedeemCode, commands: int) -> bool:
    """Return whether commands on this code may be refused because of unsettled reservations."""
    if not code.reserved:
        return code.available is not None and code.available < commands
    return code.bound or (code.available is not None and code.available < commands)
