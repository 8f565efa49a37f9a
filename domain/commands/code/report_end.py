"""Report that a code has reached a threshold before its end, which no other event has reported by then.

The report is the event that reaches it. Further thresholds that have come by then follow it (`domain.model.crossings`).
"""

from typing import ClassVar
from uuid import UUID

from msgspec import Struct

from domain.commands.context import CommandContext, Decision, event_stamp
from domain.errors import NoSuchCode, RefusalOrder
from domain.events.code import CodeThresholdReached
from domain.model.crossings import find_reached_by
from domain.working_set import WorkingSet


class ReportCodeEnd(Struct, frozen=True, kw_only=True):
    """Report the thresholds before its end that have come and that no event has reported; usually none are left."""

    refusals: ClassVar[RefusalOrder] = (NoSuchCode,)

    context: CommandContext
    code_id: UUID


def report_code_end(command: ReportCodeEnd, working_set: WorkingSet) -> Decision:
    """Record the first of them.

    Raises:
        NoSuchCode: There is no such code.
    """
    code = working_set.code(command.code_id)
    stamp = event_stamp(command.context, code)
    threshold = find_reached_by(code, stamp.at)
    events = [] if threshold is None else [CodeThresholdReached(**stamp.fields, threshold=threshold)]
    return Decision(code.code_id, events)
