"""Changing the terms of a code that is out already."""

from datetime import datetime
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from domain.book import Book
from domain.decisions.command import Context, Decision, stamp
from domain.errors import CodeIsRevoked, LimitTooLow, NoSuchCode
from domain.events import CodeTermsChanged
from domain.ports import TextDraft


class ChangeTerms(Struct, frozen=True, kw_only=True):
    """Change what is set; what is UNSET stays as it is. `note`, the reason, goes to the vault."""

    context: Context
    code_id: UUID
    max_uses: int | UnsetType | None = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    validity_days: int | UnsetType | None = UNSET
    group: str | UnsetType | None = UNSET
    note: TextDraft | None = None


def change_terms(command: ChangeTerms, book: Book) -> Decision:
    """Record the new terms; nothing if they are the old ones. Reservations that stand keep what they were promised.

    Raises:
        NoSuchCode, CodeIsRevoked, LimitTooLow: in this order of precedence.
    """
    code = book.codes.get(command.code_id)
    if code is None:
        raise NoSuchCode
    if code.is_revoked:
        raise CodeIsRevoked
    max_uses = code.max_uses if command.max_uses is UNSET else command.max_uses
    if max_uses is not None and max_uses < code.used + code.reserved:
        raise LimitTooLow(code.used + code.reserved)
    event = CodeTermsChanged(
        **stamp(command.context, code).fields,
        max_uses=max_uses,
        expires_at=code.expires_at if command.expires_at is UNSET else command.expires_at,
        validity_days=code.validity_days if command.validity_days is UNSET else command.validity_days,
        group=code.group if command.group is UNSET else command.group,
        text_id=command.note.text_id if command.note else None,
    )
    before = (code.max_uses, code.expires_at, code.validity_days, code.group)
    if before == (event.max_uses, event.expires_at, event.validity_days, event.group):
        return Decision(code.code_id, ())
    return Decision(code.code_id, [event])
