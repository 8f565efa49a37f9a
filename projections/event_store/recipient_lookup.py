"""Which reservations a command reads besides those that it names."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from domain.command_bus import Command, ReservationCommand
from domain.commands.access.rebind import RebindReservation, RequestRebind
from domain.commands.code.revoke import ContinueRevocation, RevokeCode
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.reserve import ReserveUse
from domain.commands.reservation.resolve_case import RefundAfterOutage, ResolveReservation
from domain.model.invariants import is_removal_open
from domain.model.redeem_code import RedeemCode
from domain.working_set import WorkingSet

COMMANDS_AFFECTING_REBINDS = (
    RebindReservation,
    RefundReservation,
    CorrectRecipient,
    ResolveReservation,
    RefundAfterOutage,
)
"""Commands that begin a rebind, or would leave a rebind in progress with nothing to move."""


def recipients_referenced(
    commands: Sequence[Command], targeted: Mapping[UUID, UUID], working_set: WorkingSet
) -> set[tuple[UUID, UUID]]:
    """Return code and recipient of corrections and of requests for a rebind.

    Args:
        commands: Of one batch.
        targeted: The codes of reservations that commands name.
        working_set: Knows codes and persons by their digests already.
    """
    recipients: set[tuple[UUID, UUID]] = set()
    for command in commands:
        if isinstance(command, CorrectRecipient) and command.reservation_id in targeted:
            recipients.add((targeted[command.reservation_id], working_set.recipient_id(command.recipient)))
        elif isinstance(command, RequestRebind) and (code_id := working_set.code_id(command.code_digests)):
            recipients.add((code_id, working_set.recipient_id(command.recipient)))
    return recipients


def reservations_referenced(commands: Sequence[Command]) -> list[UUID]:
    """Return the reservations that commands name, with a rebind's own: it exists if its first answer was lost."""
    reservation_ids = [command.reservation_id for command in commands if isinstance(command, ReservationCommand)]
    return reservation_ids + [
        command.new_reservation_id for command in commands if isinstance(command, RebindReservation)
    ]


def count_redeems(redeems: Iterable[ReserveUse], working_set: WorkingSet) -> Counter[UUID]:
    """Return how many of these redeems are of each code; those of unknown codes are left out."""
    counts: Counter[UUID] = Counter()
    for digests, count in Counter(tuple(command.code_digests) for command in redeems).items():
        if (code_id := working_set.code_id(digests)) is not None:
            counts[code_id] += count
    return counts


def find_linked_reservations(working_set: WorkingSet) -> set[UUID]:
    """Return reservations linked to the loaded ones: sources of rebinds, and those that wait for a removal."""
    rebind_sources = {
        reservation.follows
        for reservation in working_set.reservations.values()
        if reservation.kind == "rebind" and reservation.follows
    }
    ending_accesses = [
        reservation.access for reservation in working_set.reservations.values() if is_removal_open(reservation)
    ]
    return rebind_sources | {
        access.replaced_by for access in ending_accesses if access is not None and access.replaced_by is not None
    }


def find_recountable(targets: Sequence[UUID], commands: Sequence[Command], working_set: WorkingSet) -> list[UUID]:
    """Return the named reservations whose use is refunded, or may be refunded by another command of this batch.

    Args:
        targets: Reservations that commands name, each as often as it is named.
        commands: Of one batch. A redeem refunds overdue reservations of its code, a revocation reserved ones.
        working_set: Holds the named reservations.
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
