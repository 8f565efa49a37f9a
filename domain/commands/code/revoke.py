"""Revoking a code: no new reservations for ever, and what is held is given back (rule 11).

A code may hold very many reservations, so one command settles a bounded number of them and further commands the
rest. Until then nothing is sent in vain: whoever touches such a reservation settles it (`overdue.due_events`).
"""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from msgspec import Struct

from domain.commands.context import CommandContext, Decision, EventStamp, event_stamp
from domain.commands.reservation.settle_due import is_released_by_revocation, release_on_revocation
from domain.errors import NoSuchCode, RefusalOrder
from domain.events import CodeRevoked, Event
from domain.model.redeem_code import RedeemCode, evolve_code
from domain.policy import Policy
from domain.ports import TextDraft
from domain.working_set import WorkingSet


class RevokeCode(Struct, frozen=True, kw_only=True):
    """Revoke a code for ever.

    `note`, the reason, goes to the vault. `case_ids` are new and random, one for each case that may be opened; what
    is in doubt beyond their number is left to further commands.
    """

    refusals: ClassVar[RefusalOrder] = (NoSuchCode,)

    context: CommandContext
    code_id: UUID
    case_ids: Sequence[UUID]
    note: TextDraft | None = None


class ContinueRevocation(Struct, frozen=True, kw_only=True):
    """Go on with what a revoked code still holds; `case_ids` as for `RevokeCode`."""

    context: CommandContext
    code_id: UUID
    case_ids: Sequence[UUID]


def revoke_code(command: RevokeCode, working_set: WorkingSet, policy: Policy) -> Decision:
    """Record it, once, and settle the first of the reservations that it undoes.

    Raises:
        NoSuchCode: There is no such code.
    """
    code = working_set.code(command.code_id)
    stamp = event_stamp(command.context, code)
    events: list[Event] = []
    if not code.is_revoked:
        revoked = CodeRevoked(**stamp.fields, text_id=command.note.text_id if command.note else None)
        events.append(revoked)
        code = evolve_code(code, code.code_id, code.version + 1, revoked)
    return Decision(code.code_id, [*events, *_settlement_events(code, working_set, stamp, command.case_ids, policy)])


def continue_revocation(command: ContinueRevocation, working_set: WorkingSet, policy: Policy) -> Decision:
    """Settle the next ones; nothing if there are none, or if the code is not revoked.

    Raises:
        NoSuchCode: There is no such code.
    """
    code = working_set.code(command.code_id)
    if not code.is_revoked:
        return Decision(code.code_id, ())
    return Decision(
        code.code_id,
        _settlement_events(code, working_set, event_stamp(command.context, code), command.case_ids, policy),
    )


def _settlement_events(
    code: RedeemCode, working_set: WorkingSet, stamp: EventStamp, case_ids: Sequence[UUID], policy: Policy
) -> Sequence[Event]:
    """Events of the reservations that are given back, or become cases, as far as bounds and ids reach."""
    ids = iter(case_ids)
    events: list[Event] = []
    for reservation in working_set.pending_reservations(code.code_id):
        if len(events) >= policy.revoked_per_command:
            break
        if is_released_by_revocation(reservation):
            events += release_on_revocation(
                code, reservation, stamp, next(ids, None) if reservation.ever_unknown else None
            )
    return events
