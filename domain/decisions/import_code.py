"""Taking a code over from another system, with what is proven there as facts of their own time."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from domain.book import Book
from domain.decisions.command import Context, Decision
from domain.events import (
    AccessRevoked,
    CodeIssued,
    CodeNoted,
    CodePaused,
    Event,
    InviteAccepted,
    InviteSent,
    OpeningBalanceImported,
    UseReserved,
)
from domain.ports import CodeDraft, Language, RecipientDraft, TextDraft


class Opening(NamedTuple):
    """Uses that no invitation stands for, and why they are taken over."""

    uses: int
    reason: str


class ImportedUse(Struct, frozen=True, kw_only=True):
    """One invitation that the other system proves; `accepted_at` and `removed_at` where it knows them.

    `activated_at`: when the access was given, where that was not when it was sent; `moves`: how often it was moved.
    """

    reservation_id: UUID
    recipient: RecipientDraft
    sent_at: datetime
    accepted_at: datetime | None = None
    removed_at: datetime | None = None
    activated_at: datetime | None = None
    moves: int = 0


class ImportCode(Struct, frozen=True, kw_only=True):
    """Bring a code into being as it stands elsewhere.

    Attributes:
        code_id: New and random, as for `IssueCode`.
        text: Goes to the vault, never into an event.
        issued_at: When it was issued there; None if that is not known.
        max_uses: None without limit; the caller raises a limit that the uses exceed.
        source: The other system's name.
        language: Of letters that may follow.
        note: What staff there wrote about it.
        note_id: Names a note that the vault has already, as for `IssueCode`.
    """

    context: Context
    code_id: UUID
    text: CodeDraft
    source: str
    max_uses: int | None
    issued_at: datetime | None = None
    bound: bool = True
    expires_at: datetime | None = None
    validity_days: int | None = None
    group: str | None = None
    language: Language = "zh"
    uses: Sequence[ImportedUse] = ()
    openings: Sequence[Opening] = ()
    is_paused: bool = False
    note: TextDraft | None = None
    note_id: UUID | None = None
    rebinds_max: int | None = None


def import_code(command: ImportCode, book: Book) -> Decision:
    """Write its history down in the order in which it happened, unless this very command did so already.

    Raises:
        AssertionError: The uses exceed the limit; the caller should have raised it.
    """
    if command.code_id in book.codes:
        return Decision(command.code_id, ())
    now = command.context.now
    dated = sorted(_uses(command, book), key=lambda dated: dated[0])
    first = min([command.issued_at or now, *(at for at, _ in dated), now])
    facts = [(first, _issued(command)), *dated, *((now, fact) for fact in _of_today(command))]
    return Decision(command.code_id, [_stamped(command.context, at, make) for at, make in facts])


Make = tuple[type[Event], dict[str, Any]]
"""A fact without its stamp."""


def _issued(command: ImportCode) -> Make:
    terms = {
        "max_uses": command.max_uses,
        "bound": command.bound,
        "expires_at": command.expires_at,
        "validity_days": command.validity_days,
        "group": command.group,
        "text_id": command.note_id,
        "rebinds_max": command.rebinds_max,
    }
    return CodeIssued, terms


def _uses(command: ImportCode, book: Book) -> Iterator[tuple[datetime, Make]]:
    """Facts of each use at their own times; none is later than now, none of one use earlier than the one before.

    On a bound code a further use of the same person follows the one before, as it would have to here.
    """
    now = command.context.now
    before: dict[UUID, UUID] = {}
    persons: dict[bytes, UUID] = {}
    for use in sorted(command.uses, key=lambda use: use.sent_at):
        recipient_id = persons.setdefault(use.recipient.digests[0], book.recipient_id(use.recipient))
        at = min(use.sent_at, now)
        about = {"reservation_id": use.reservation_id}
        reserved = {
            "recipient_id": recipient_id,
            "deadline": at,
            "language": command.language,
            "group": command.group,
            "validity_days": command.validity_days,
            "activated_at": use.activated_at,
            "moves": use.moves,
        }
        yield at, (UseReserved, {**about, **reserved, "follows": before.get(recipient_id)})
        yield at, (InviteSent, {**about, "attempt": 1, "server": command.source})
        if use.accepted_at is not None:
            at = min(max(at, use.accepted_at), now)
            yield at, (InviteAccepted, {**about, "via": command.source})
        if use.removed_at is not None:
            at = min(max(at, use.removed_at), now)
            yield at, (AccessRevoked, about)
        before[recipient_id] = use.reservation_id


def _of_today(command: ImportCode) -> Iterator[Make]:
    """What is decided by moving in: it takes effect now."""
    for opening in command.openings:
        yield OpeningBalanceImported, {"uses": opening.uses, "source": command.source, "reason": opening.reason}
    if command.is_paused:
        yield CodePaused, {}
    if command.note is not None:
        yield CodeNoted, {"text_id": command.note.text_id}


def _stamped(context: Context, at: datetime, make: Make) -> Event:
    event_type, fields = make
    return event_type(
        **fields,
        at=at,
        recorded_at=None if at == context.now else context.now,
        actor=context.actor,
        actor_id=context.actor_id,
        request_id=context.request_id,
        correlation_id=context.correlation_id,
    )
