"""Pause and resume a code. A pause stops new reservations only; existing ones continue (rule 11)."""

from typing import ClassVar
from uuid import UUID

from msgspec import Struct

from domain.commands.context import CommandContext, Decision, event_stamp, id_of_text
from domain.errors import CodeIsRevoked, NoSuchCode, RefusalOrder
from domain.events.code import CodePaused, CodeResumed
from domain.ports import TextDraft
from domain.working_set import WorkingSet


class PauseCode(Struct, frozen=True, kw_only=True):
    """Take no new reservations for now. `note`, the reason, goes to the vault."""

    refusals: ClassVar[RefusalOrder] = (NoSuchCode, CodeIsRevoked)

    context: CommandContext
    code_id: UUID
    note: TextDraft | None = None


class ResumeCode(Struct, frozen=True, kw_only=True):
    """Take new reservations again. `note`, the reason, goes to the vault."""

    refusals: ClassVar[RefusalOrder] = (NoSuchCode, CodeIsRevoked)

    context: CommandContext
    code_id: UUID
    note: TextDraft | None = None


def pause_or_resume(command: PauseCode | ResumeCode, working_set: WorkingSet) -> Decision:
    """Record the change; nothing if the code is already paused, or already active.

    Raises:
        Refusal: One of the command's `refusals`, in that order.
    """
    code = working_set.code(command.code_id)
    if code.is_revoked:
        raise CodeIsRevoked
    to_pause = isinstance(command, PauseCode)
    if code.is_paused == to_pause:
        return Decision(code.code_id)
    event = CodePaused if to_pause else CodeResumed
    text_id = id_of_text(command.note)
    events = [event(**event_stamp(command.context, code).fields, text_id=text_id)]
    return Decision(code.code_id, events, text=command.note)
