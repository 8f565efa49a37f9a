"""Changing the terms of a code that is issued already."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from msgspec import structs

from domain.commands.code.issue import end_after
from domain.commands.context import CommandContext, Decision, event_stamp, id_of_text
from domain.commands.input_bounds import check_agreement, check_terms
from domain.errors import (
    CodeIsRevoked,
    ContradictoryTerms,
    LimitBelowUsage,
    NoSuchCode,
    OutOfBounds,
    RefusalOrder,
    TermsConflict,
)
from domain.events.campaign import Counting
from domain.events.code import CodeTermsChanged
from domain.events.code_terms import TERM_NAMES, CodeTerms
from domain.model.redeem_code import RedeemCode
from domain.ports import TextDraft
from domain.values.group_name import NamesGroup
from domain.working_set import WorkingSet

VALID_FOR: Final = "valid_for_days"
"""The name by which a change says in how many days a code ends."""


class ChangeTerms(NamesGroup, frozen=True, kw_only=True):
    """Change some terms of a code. The other terms stay as they are.

    Attributes:
        changes: New values by the name of the term in `CodeTerms`. `valid_for_days`: it ends that many days after this
            change, or after its start if that is later; or at an `expires_at` of the same change, if that is before.
        note: The reason, for the vault.
        expected: Change them only if the terms are still these; None: whatever they are.
        release_binding: Bind the code to its next recipient instead of the one whom it was issued to. A use that
            counts or is reserved still binds it.
        counting: How a changed `max_uses` is meant. `all` counts all uses and accepts a limit below them: they stay,
            and new ones are refused. `from_now` counts further uses: those that exist at the commit are added. None:
            `all`, but no lower limit than the uses.
    """

    refusals: ClassVar[RefusalOrder] = (
        OutOfBounds,
        NoSuchCode,
        TermsConflict,
        CodeIsRevoked,
        ContradictoryTerms,
        LimitBelowUsage,
    )

    context: CommandContext
    code_id: UUID
    changes: Mapping[str, Any]
    note: TextDraft | None = None
    expected: CodeTerms | None = None
    release_binding: bool = False
    counting: Counting | None = None

    def __post_init__(self) -> None:
        """Check the names of the terms.

        Raises:
            ValueError: One is not the name of a term, or the group may not be named so.
        """
        if unknown := {*self.changes} - {*TERM_NAMES, VALID_FOR}:
            raise ValueError(f"not a term of a code: {', '.join(sorted(unknown))}")
        super().__post_init__()

    def named_group(self) -> str | None:
        """Return the group that the event will name, if it changes."""
        group: str | None = self.changes.get("group")
        return group


def change_terms(command: ChangeTerms, working_set: WorkingSet) -> Decision:
    """Record the new terms; nothing if they equal the present ones.

    Existing reservations keep the terms they were made with.

    Raises:
        Refusal: One of `ChangeTerms.refusals`, in that order. Only the
            changes are held to their bounds: a term that was stored before there were any does not bar a change of
            others.
    """
    check_terms(command.changes)
    code = working_set.code(command.code_id)
    if command.expected is not None and command.expected != code.terms:
        raise TermsConflict
    if code.is_revoked:
        raise CodeIsRevoked
    stamp = event_stamp(command.context, code)
    terms = _new_terms(command, code, stamp.now)
    check_agreement(terms)
    if command.counting is None and _is_lowered_below_uses(code, terms):
        raise LimitBelowUsage(code.occupied)
    bound_to = None if command.release_binding else code.bound_to
    if (terms, bound_to) == (code.terms, code.bound_to):
        return Decision(code.code_id)
    event = CodeTermsChanged(
        **stamp.fields,
        **structs.asdict(terms),
        bound_to=bound_to,
        text_id=id_of_text(command.note),
        counting=command.counting,
    )
    return Decision(code.code_id, [event], text=command.note)


def _new_terms(command: ChangeTerms, code: RedeemCode, now: datetime) -> CodeTerms:
    """Return the terms as they would be.

    Raises:
        OutOfBounds: `why` max_uses: a choice of the uses that a limit counts names none, or the sum is too large;
            `why` expires_at: the end lies beyond the last time.
    """
    changes = {name: value for name, value in command.changes.items() if name != VALID_FOR}
    terms = structs.replace(code.terms, **changes)
    if (days := command.changes.get(VALID_FOR)) is not None:
        named = structs.replace(terms, expires_at=changes.get("expires_at"))
        terms = structs.replace(terms, expires_at=end_after(days, named, now))
        check_terms({"expires_at": terms.expires_at})
    if command.counting is None:
        return terms
    limit: int | None = command.changes.get("max_uses")
    if limit is None:
        raise OutOfBounds("max_uses")
    if command.counting == "all":
        return terms
    terms = structs.replace(terms, max_uses=code.occupied + limit)
    check_terms({"max_uses": terms.max_uses})
    return terms


def _is_lowered_below_uses(code: RedeemCode, terms: CodeTerms) -> bool:
    limit, before = terms.max_uses, code.terms.max_uses
    return limit is not None and limit < code.occupied and (before is None or limit < before)
