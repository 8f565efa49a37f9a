"""Revoke a code: it accepts no new reservations permanently, and its reserved uses are refunded (rule 11).

A code may have very many reservations, so one command settles a bounded number, and further commands the rest. Every
command about one of the others settles it first (`settle_due.due_events`), so nothing is sent for a revoked code.
"""

from collections.abc import Sequence
from typing import ClassVar, Final
from uuid import UUID

from msgspec import Struct

from domain.asks import Asks
from domain.commands.context import CommandContext, Decision, EventStamp, event_stamp, id_of_text
from domain.commands.reads import Reads, name_codes
from domain.commands.reservation.settle_due import is_released_by_revocation, release_on_revocation
from domain.errors import NoSuchCode, RefusalOrder
from domain.events.code import CodeRevoked
from domain.events.event import Event
from domain.model.redeem_code import RedeemCode, evolve_code
from domain.policy import Policy
from domain.ports import TextDraft
from domain.working_set import WorkingSet


class RevokeCode(Struct, frozen=True, kw_only=True):
    """Revoke a code permanently.

    `note`, the reason, goes to the vault. `case_ids` are new and random, one for each case that may be opened;
    reservations with an unknown outcome beyond their number are left to further commands.
    """

    refusals: ClassVar[RefusalOrder] = (NoSuchCode,)

    context: CommandContext
    code_id: UUID
    case_ids: Sequence[UUID]
    note: TextDraft | None = None


class ContinueRevocation(Struct, frozen=True, kw_only=True):
    """Settle more reservations of a revoked code; `case_ids` as for `RevokeCode`."""

    context: CommandContext
    code_id: UUID
    case_ids: Sequence[UUID]


def _ask(commands: Sequence[RevokeCode | ContinueRevocation], _seen: WorkingSet, asks: Asks) -> None:
    code_ids = {command.code_id for command in commands}
    asks.releasable |= code_ids
    asks.freed |= code_ids


REVOKE_READS: Final[Reads[RevokeCode | ContinueRevocation]] = Reads(name=name_codes, ask=_ask)


def revoke_code(command: RevokeCode, working_set: WorkingSet, policy: Policy) -> Decision:
    """Record the revocation, once, and settle the first of the code's reservations.

    Raises:
        NoSuchCode: There is no such code.
    """
    code = working_set.code(command.code_id)
    stamp = event_stamp(command.context, code)
    events: list[Event] = []
    if not code.is_revoked:
        revoked = CodeRevoked(**stamp.fields, text_id=id_of_text(command.note))
        events.append(revoked)
        code = evolve_code(code, code.code_id, code.version + 1, revoked)
    events += _settlement_events(code, working_set, stamp, command.case_ids, policy)
    return Decision(code.code_id, events, text=command.note, follow_up="settle")


def continue_revocation(command: ContinueRevocation, working_set: WorkingSet, policy: Policy) -> Decision:
    """Settle the next reservations; nothing if there are none, or the code is not revoked.

    Raises:
        NoSuchCode: There is no such code.
    """
    code = working_set.code(command.code_id)
    if not code.is_revoked:
        return Decision(code.code_id)
    return Decision(
        code.code_id,
        _settlement_events(code, working_set, event_stamp(command.context, code), command.case_ids, policy),
    )


def _settlement_events(
    code: RedeemCode, working_set: WorkingSet, stamp: EventStamp, case_ids: Sequence[UUID], policy: Policy
) -> Sequence[Event]:
    """Return refunds and cases of the next reservations, as far as the limit and the ids reach."""
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
