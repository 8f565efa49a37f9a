"""Issuing a code."""

from datetime import datetime
from uuid import UUID

from domain.commands.context import CommandContext, Decision, event_stamp
from domain.commands.input_bounds import check_terms
from domain.events import CodeIssued
from domain.ports import CodeDraft
from domain.values.group_name import NamesGroup
from domain.working_set import WorkingSet


class IssueCode(NamesGroup, frozen=True, kw_only=True):
    """Bring a code into being. `code_id` is new and random; `text` goes to the vault, never into an event.

    `note_id` names a note that the vault has already.
    """

    context: CommandContext
    code_id: UUID
    text: CodeDraft
    max_uses: int | None
    bound: bool = True
    expires_at: datetime | None = None
    validity_days: int | None = None
    group: str | None = None
    note_id: UUID | None = None
    rebinds_max: int | None = None


def issue_code(command: IssueCode, working_set: WorkingSet) -> Decision:
    """Issue it, unless this very command did so before its answer was lost.

    Raises:
        OutOfBounds: A term lies outside its bounds.
    """
    if command.code_id in working_set.codes:
        return Decision(command.code_id, ())
    check_terms(
        max_uses=command.max_uses,
        expires_at=command.expires_at,
        validity_days=command.validity_days,
        rebinds_max=command.rebinds_max,
    )
    event = CodeIssued(
        **event_stamp(command.context, None).fields,
        max_uses=command.max_uses,
        bound=command.bound,
        expires_at=command.expires_at,
        validity_days=command.validity_days,
        group=command.group,
        text_id=command.note_id,
        rebinds_max=command.rebinds_max,
    )
    return Decision(command.code_id, [event])
