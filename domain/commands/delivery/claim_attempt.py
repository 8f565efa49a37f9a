"""Claiming a reservation for one attempt at sending: the lease is committed before anything is sent."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

from msgspec import Struct

from domain.commands.context import Context, Decision, stamp
from domain.commands.reservation.settle_due import due_events
from domain.errors import ReservationUnknown
from domain.events import InviteAttempted
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.working_set import WorkingSet

NO_GROUPS: Final[Mapping[str, str]] = MappingProxyType({})


class ClaimAttempt(Struct, frozen=True, kw_only=True):
    """Take the lease of a reservation's next attempt. `case_id` is used only if a case has to be opened.

    `by_group`: the channels of groups that have their own; all others use `channel`.
    """

    context: Context
    reservation_id: UUID
    channel: str
    case_id: UUID
    by_group: Mapping[str, str] = NO_GROUPS


def claim(command: ClaimAttempt, book: WorkingSet, policy: Policy) -> Decision:
    """Begin an attempt if one is due; settle what time has made due; else do nothing: doubles are harmless.

    Raises:
        ReservationUnknown: There is no such reservation.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    code = book.codes[item.code_id]
    now = stamp(command.context, code)
    due = due_events(code, item, now, command.case_id, policy)
    if due or item.lease is not None or item.next_attempt_at is None or item.next_attempt_at > now.at:
        return Decision(code.code_id, due, item.reservation_id)
    event = InviteAttempted(
        **now.fields,
        reservation_id=item.reservation_id,
        delivery=item.delivery,
        attempt=item.last_attempt + 1,
        kind=item.kind,
        lease_until=now.at + timedelta(seconds=policy.lease_s),
        channel=command.by_group.get(item.group or "", command.channel),
        caused_by=item.moved_by,
    )
    return Decision(code.code_id, [event], item.reservation_id)


def is_claimed_by(item: Reservation, context: Context) -> bool:
    """Whether the lease is this very claim's: true also when the commit's answer was lost and it is decided again.

    So the caller's actor id has to be its own for each claim.
    """
    lease = item.lease
    return lease is not None and (lease.worker, lease.task_id) == (context.actor_id, context.request_id)
