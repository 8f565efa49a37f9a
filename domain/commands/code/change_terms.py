"""Changing the terms of a code that is out already."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from msgspec import UNSET, UnsetType

from domain.commands.context import CommandContext, Decision, event_stamp
from domain.commands.input_bounds import check_terms
from domain.errors import CodeIsRevoked, LimitBelowUsage, TermsConflict
from domain.events import CodeTermsChanged
from domain.model.redeem_code import RedeemCode
from domain.ports import TextDraft
from domain.values.group_name import NamesGroup
from domain.working_set import WorkingSet


class Terms(NamedTuple):
    """What a code promises; None: without limit, never, for ever, no group, rebinds as often as usual."""

    max_uses: int | None
    expires_at: datetime | None
    validity_days: int | None
    group: str | None
    rebinds_max: int | None


def terms_of(code: RedeemCode) -> Terms:
    """A code's terms as they stand."""
    return Terms(code.max_uses, code.expires_at, code.validity_days, code.group, code.rebinds_max)


class ChangeTerms(NamesGroup, frozen=True, kw_only=True):
    """Change what is set; what is UNSET stays as it is. `note`, the reason, goes to the vault.

    `expected`: only if the terms are still these; None whatever they are. `release_binding`: the code is bound to its
    next recipient instead of the one whom it was issued to; a use that counts or is reserved still binds it.
    """

    context: CommandContext
    code_id: UUID
    max_uses: int | UnsetType | None = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    validity_days: int | UnsetType | None = UNSET
    group: str | UnsetType | None = UNSET
    rebinds_max: int | UnsetType | None = UNSET
    note: TextDraft | None = None
    expected: Terms | None = None
    release_binding: bool = False


def change_terms(command: ChangeTerms, working_set: WorkingSet) -> Decision:
    """Record the new terms; nothing if they are the old ones. Reservations that stand keep what they were promised.

    Raises:
        OutOfBounds, NoSuchCode, TermsDiffer, CodeIsRevoked, LimitTooLow: in this order of precedence. Only what is
            set is held to its bounds: a term that was stored before there were any does not bar a change of others.
    """
    check_terms(
        max_uses=command.max_uses,
        expires_at=command.expires_at,
        validity_days=command.validity_days,
        rebinds_max=command.rebinds_max,
    )
    code = working_set.code(command.code_id)
    before = terms_of(code)
    if command.expected is not None and command.expected != before:
        raise TermsConflict
    if code.is_revoked:
        raise CodeIsRevoked
    max_uses = code.max_uses if command.max_uses is UNSET else command.max_uses
    if max_uses is not None and max_uses < code.used + code.reserved:
        raise LimitBelowUsage(code.used + code.reserved)
    event = CodeTermsChanged(
        **event_stamp(command.context, code).fields,
        max_uses=max_uses,
        expires_at=code.expires_at if command.expires_at is UNSET else command.expires_at,
        validity_days=code.validity_days if command.validity_days is UNSET else command.validity_days,
        group=code.group if command.group is UNSET else command.group,
        rebinds_max=code.rebinds_max if command.rebinds_max is UNSET else command.rebinds_max,
        bound_to=None if command.release_binding else code.bound_to,
        text_id=command.note.text_id if command.note else None,
    )
    after = Terms(event.max_uses, event.expires_at, event.validity_days, event.group, event.rebinds_max)
    if (before, code.bound_to) == (after, event.bound_to):
        return Decision(code.code_id, ())
    return Decision(code.code_id, [event])
