"""The codes that the lines of a list name: whether each line must name one, and which of them can be handed out.

One rule: in a hand-out of codes that exist every line names a code, and in one of new codes none does. So an empty cell
or a column too many never decides what a recipient gets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from api.code_import.faults import CodeProblem, RejectedRecordError
from api.use_cases.services import LedgerServices
from domain.commands.hand_out.hand_out_code import CodeObstacle, find_obstacle
from projections.hand_outs.hand_out_lists import ExistingCode, HandOutLists, ListRow
from projections.hand_outs.hand_out_reader import HandOutDetails

BATCH: Final = 500
_PROBLEMS: Final[Mapping[CodeObstacle, tuple[CodeProblem, str]]] = {
    "campaign": ("code_campaign", "the code does not belong to the campaign of the hand-out: let it join the campaign"),
    "over": ("code_over", "the code was revoked or has expired"),
    "paused": ("code_paused", "the code is paused: resume it"),
    "group": ("code_group", "the code has another group than the hand-out"),
    "used": ("code_used", "the code has a reserved or counted use, or is bound to another recipient"),
}


@dataclass(frozen=True, slots=True)
class NamedCodes:
    """The codes that lists of one hand-out name.

    Attributes:
        details: The hand-out.
        lists: All lists.
    """

    services: LedgerServices
    details: HandOutDetails
    lists: HandOutLists

    def find_ids(self, rows: Sequence[ListRow]) -> list[UUID | None]:
        """Return for each row the id of the code that it names; None without one, or if there is no such code."""
        typed = [row.code for row in rows if row.code is not None]
        ids = iter(self.services.reader.find_possible_codes(typed))
        return [None if row.code is None else next(ids) for row in rows]

    @property
    def are_needed(self) -> bool:
        """Whether each line must name a code."""
        return self.details.created.existing_codes

    def check(self, row: ListRow) -> None:
        """Check whether a row names a code if it must, and only then.

        Raises:
            RejectedRecordError: It must, or must not.
        """
        if self.are_needed and not row.code:
            why = "the line names no code, but every line of this hand-out needs one: fill in its column code"
            raise RejectedRecordError("code_missing", why, "code")
        if self.are_needed and row.codes > 1:
            why = "count is more than 1, but a line of this hand-out names one code: write a line for each recipient"
            raise RejectedRecordError("code_count", why, "count")
        if not self.are_needed and row.code:
            why = "the line names a code, but this hand-out issues new ones: remove the column code, or create a"
            raise RejectedRecordError("code_column", f"{why} hand-out of existing codes", "code")

    def find_existing(self, ids: Sequence[UUID | None]) -> list[ExistingCode | None]:
        """Return for each id its code; None without one, or if there is no such code."""
        existing = self.lists.find_existing([code_id for code_id in ids if code_id is not None])
        return [None if code_id is None else existing.get(code_id) for code_id in ids]

    def find_problem(
        self, existing: ExistingCode | None, first: int | None, recipient_id: UUID | None
    ) -> RejectedRecordError | None:
        """Return why a code cannot be handed out to the recipient of a line; None if it can, or is a new one.

        Args:
            existing: The code; None if there is none.
            first: The first line that names it, if that is another one.
            recipient_id: None for a recipient whom the ledger does not have yet.
        """
        if not self.are_needed:
            return None
        if first is not None:
            return RejectedRecordError("code_repeated", f"the code is the same as on line {first}", "code", first=first)
        if existing is None:
            return RejectedRecordError("code_unknown", "there is no such code: check it, or import it first", "code")
        if existing.is_given:
            why = "a hand-out sends this code to a recipient already, or has sent it: choose another code"
            return RejectedRecordError("code_handed_out", why, "code")
        hand_out, now = self.details.hand_out, self.services.now()
        why_not = find_obstacle(existing.code, hand_out.campaign_id, self.details.created.group, recipient_id, now)
        return None if why_not is None else RejectedRecordError(*_PROBLEMS[why_not], "code")
