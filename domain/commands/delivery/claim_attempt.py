"""Claim a reservation for one sending attempt: the lease is committed before anything is sent."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

from msgspec import Struct

from domain.commands.context import CommandContext, Decision, event_stamp
from domain.commands.reservation.settle_due import due_events
from domain.events.reservation import InviteAttempted
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.working_set import WorkingSet

NO_GROUPS: Final[Mapping[str, str]] = MappingProxyType({})


class ClaimAttempt(Struct, frozen=True, kw_only=True):
    """Take the lease of a reservation's next attempt. `case_id` is used only if a case has to be opened.

    `by_group`: the channels of groups that have their own; all others use `channel`.
    """

    context: CommandContext
    reservation_id: UUID
    channel: str
    case_id: UUID
    by_group: Mapping[str, str] = NO_GROUPS


def claim_attempt(command: ClaimAttempt, working_set: WorkingSet, policy: Policy) -> Decision:
    """Begin an attempt if one is due, after settling what is overdue; otherwise do nothing.

    A repeated claim is harmless.

    Raises:
        ReservationUnknown: There is no such reservation.
    """
    reservation = working_set.reservation(command.reservation_id)
    code = working_set.codes[reservation.code_id]
    stamp = event_stamp(command.context, code)
    due = due_events(code, reservation, stamp, command.case_id, policy)
    if due or reservation.lease is not None or not reservation.is_attempt_due(stamp.now):
        return Decision(code.code_id, due, reservation.reservation_id)
    event = InviteAttempted(
        **stamp.for_reservation(reservation),
        delivery=reservation.delivery,
        attempt=reservation.last_attempt + 1,
        kind=reservation.kind,
        lease_until=stamp.now + timedelta(seconds=policy.lease_s),
        channel=command.by_group.get(reservation.group or "", command.channel),
        caused_by=reservation.moved_by,
    )
    return Decision(code.code_id, [event], reservation.reservation_id)


def is_claimed_by(reservation: Reservation, context: CommandContext) -> bool:
    """Return whether the lease belongs to this claim, also after a commit whose answer was lost.

    So the caller's actor id has to be unique for each claim.
    """
    lease = reservation.lease
    return lease is not None and (lease.worker, lease.task_id) == (context.actor_id, context.request_id)
