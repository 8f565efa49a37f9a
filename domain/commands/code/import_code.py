"""Import a code from another system, with its proven uses as events of their own time."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID

from msgspec import Struct, structs

from domain.commands.context import CommandContext, Decision
from domain.commands.input_bounds import check_agreement, check_terms, check_timestamp
from domain.commands.reads import Reads, name_new_codes
from domain.errors import CampaignHasEnded, ContradictoryTerms, NamedCampaignUnknown, OutOfBounds, RefusalOrder
from domain.events.access import AccessExpired, AccessRevoked
from domain.events.code import (
    CodeIssued,
    CodeJoinedCampaign,
    CodeNoted,
    CodePaused,
    CodeTermsChanged,
    OpeningBalanceImported,
)
from domain.events.code_terms import CodeTerms
from domain.events.event import Event
from domain.events.reservation import InviteAccepted, InviteSent, UseRefunded, UseReserved
from domain.model.access import Access
from domain.model.reservation import keep_terms
from domain.ports import CodeDraft, Language, RecipientDraft, TextDraft
from domain.values.group_name import NamesGroup
from domain.values.number_bounds import USES
from domain.working_set import WorkingSet


class Opening(NamedTuple):
    """Imported uses without an invitation here, and why they are imported."""

    uses: int
    reason: str


class ImportedUse(Struct, frozen=True, kw_only=True):
    """One invitation that the other system proves; `accepted_at` and `removed_at` where it knows them.

    `activated_at`: when the access was given, where that was not when it was sent; `moves`: how often it was moved.
    `is_refunded`: the other system refunded the use when it removed the access, so `removed_at` is known too.
    """

    reservation_id: UUID
    recipient: RecipientDraft
    sent_at: datetime
    accepted_at: datetime | None = None
    removed_at: datetime | None = None
    activated_at: datetime | None = None
    moves: int = 0
    is_refunded: bool = False


def find_access_end(access: Access, sent_at: datetime, now: datetime) -> datetime | None:
    """Return when the access of an invitation sent at `sent_at` had expired; None if it has not."""
    ends_at = access.ends_at(min(sent_at, now))
    return ends_at if ends_at is not None and ends_at <= now else None


class ImportCode(NamesGroup, frozen=True, kw_only=True):
    """Create a code in the state that another system has recorded.

    Attributes:
        code_id: New and random, as for `IssueCode`.
        text: Goes to the vault, never into an event.
        issued_at: When it was issued there; None if that is not known.
        terms: The caller raises a limit that the uses exceed.
        bound: Only one person may redeem it.
        source: The other system's name.
        language: Of later emails.
        note: What staff there wrote about it.
        note_id: Names a note that the vault has already, as for `IssueCode`.
        bound_to: The only person who may redeem it although no use counts; None: the first one.
        campaign_id: The campaign that it joins after its imported uses, which do not count in it.
        notify_ended: Whether recipients whose access ended before the import are notified of it now.
    """

    refusals: ClassVar[RefusalOrder] = (OutOfBounds, ContradictoryTerms, NamedCampaignUnknown, CampaignHasEnded)

    context: CommandContext
    code_id: UUID
    text: CodeDraft
    source: str
    terms: CodeTerms
    bound: bool
    issued_at: datetime | None = None
    language: Language = "zh"
    uses: Sequence[ImportedUse] = ()
    openings: Sequence[Opening] = ()
    is_paused: bool = False
    note: TextDraft | None = None
    note_id: UUID | None = None
    bound_to: RecipientDraft | None = None
    campaign_id: UUID | None = None
    notify_ended: bool = False

    def named_group(self) -> str | None:
        """Return the group that the events will name."""
        return self.terms.group


def _drafts_in(commands: Sequence[ImportCode]) -> Sequence[RecipientDraft]:
    bound_to = [command.bound_to for command in commands if command.bound_to is not None]
    return [*(use.recipient for command in commands for use in command.uses), *bound_to]


IMPORT_READS: Final[Reads[ImportCode]] = Reads(name=name_new_codes, drafts_in=_drafts_in)


def import_code(command: ImportCode, working_set: WorkingSet) -> Decision:
    """Write the code's history in the order in which it happened, unless this command did so already.

    Raises:
        OutOfBounds: A term, an opening balance or a time lies outside its bounds.
        ContradictoryTerms: Two terms exclude each other.
        NamedCampaignUnknown, CampaignHasEnded: It cannot join the campaign.
        AssertionError: The uses exceed the limit; the caller should have raised it.
    """
    if command.code_id in working_set.codes:
        return Decision(command.code_id)
    _check(command)
    if command.campaign_id is not None and working_set.campaign(command.campaign_id).ended_by is not None:
        raise CampaignHasEnded(why="issue")
    now = command.context.now
    persons = _persons(command, working_set)
    dated = sorted(_uses(command, persons), key=lambda dated: dated[0])
    first = min([command.issued_at or now, *(at for at, _ in dated), now])
    limit, terms = _limit_for(dated, command.terms.max_uses), _terms_fields(command, persons)
    facts: list[tuple[datetime, Make]] = [
        (first, (CodeIssued, {**terms, "max_uses": limit, "bound": command.bound, "text_id": command.note_id})),
        *dated,
        *((now, fact) for fact in _of_today(command, terms, limit)),
    ]
    return Decision(
        command.code_id,
        [_stamped(command.context, at, make) for at, make in facts],
        recipients=_drafts_in((command,)),
        code_text=command.text,
        text=command.note,
    )


def _check(command: ImportCode) -> None:
    check_terms(structs.asdict(command.terms))
    check_agreement(command.terms)
    check_timestamp("issued_at", command.issued_at)
    for opening in command.openings:
        if not USES.holds(opening.uses):
            raise OutOfBounds("used")
    for use in command.uses:
        for name in ("sent_at", "accepted_at", "removed_at", "activated_at"):
            check_timestamp(name, getattr(use, name))


Make = tuple[type[Event], dict[str, Any]]
"""An event's class and fields, without the stamp."""


def _persons(command: ImportCode, working_set: WorkingSet) -> dict[bytes, UUID]:
    """Return recipient ids by digest. The first draft of a new recipient gives the id, as in the vault."""
    persons: dict[bytes, UUID] = {}
    for draft in _drafts_in((command,)):
        persons.setdefault(draft.digests[0], working_set.recipient_id(draft))
    return persons


def _terms_fields(command: ImportCode, persons: Mapping[bytes, UUID]) -> dict[str, Any]:
    """Return the fields that the events of issuing and of changed terms have in common."""
    bound_to = None if command.bound_to is None else persons[command.bound_to.digests[0]]
    return {**structs.asdict(command.terms), "bound_to": bound_to}


def _limit_for(dated: Sequence[tuple[datetime, Make]], limit: int | None) -> int | None:
    """Return the limit to issue the code with: the highest one needed at any time of its history."""
    if limit is None:
        return None
    used = peak = 0
    for _, (event_type, _) in dated:
        used += {UseReserved: 1, UseRefunded: -1}.get(event_type, 0)
        peak = max(peak, used)
    return max(limit, peak)


def _uses(command: ImportCode, persons: Mapping[bytes, UUID]) -> Iterator[tuple[datetime, Make]]:
    """Yield the facts of each use at their own times: none is later than now, none earlier than the one before.

    On a bound code a further use of the same recipient follows the one before, as this ledger requires.
    """
    before: dict[UUID, UUID] = {}
    for use in sorted(command.uses, key=lambda use: use.sent_at):
        recipient_id = persons[use.recipient.digests[0]]
        follows = before.get(recipient_id)
        yield from _invitation(command, use, recipient_id, follows)
        yield from _end(command, use)
        if not use.is_refunded:
            before[recipient_id] = use.reservation_id


def _invitation(
    command: ImportCode, use: ImportedUse, recipient_id: UUID, follows: UUID | None
) -> Iterator[tuple[datetime, Make]]:
    """Yield that the invitation was sent, and accepted as far as the other system knows."""
    now = command.context.now
    at = min(use.sent_at, now)
    access = Access(validity_days=command.terms.validity_days, activated_at=use.activated_at)
    about = {"reservation_id": use.reservation_id}
    reserved = {
        "recipient_id": recipient_id,
        "deadline": at,
        "language": command.language,
        **keep_terms(UseReserved, command.terms),
        "follows": follows,
        "activated_at": use.activated_at,
        "moves": use.moves,
        "announced": None if use.removed_at else access.mark_at(at, now),
    }
    yield at, (UseReserved, {**about, **reserved})
    yield at, (InviteSent, {**about, "attempt": 1, "server": command.source})
    if use.accepted_at is not None:
        yield min(max(at, use.accepted_at), now), (InviteAccepted, {**about, "via": command.source})


def _end(command: ImportCode, use: ImportedUse) -> Iterator[tuple[datetime, Make]]:
    """Yield the end of the access as the other system recorded it.

    An access that has just expired is ended without a notice.
    """
    now = command.context.now
    about = {"reservation_id": use.reservation_id}
    delivered_at = min(max(use.sent_at, use.accepted_at or use.sent_at), now)
    if use.removed_at is not None:
        at = min(max(delivered_at, use.removed_at), now)
        yield at, (AccessRevoked, about)
        if use.is_refunded:
            yield at, (UseRefunded, {**about, "cause": "legacy", "held": "used"})
        return
    access = Access(validity_days=command.terms.validity_days, activated_at=use.activated_at)
    ended_at = find_access_end(access, use.sent_at, now)
    if ended_at is not None and not command.notify_ended:
        yield max(delivered_at, ended_at), (AccessExpired, {**about, "notify": False})


def _of_today(command: ImportCode, terms: Mapping[str, Any], limit: int | None) -> Iterator[Make]:
    """Yield what the import itself decides; it takes effect now."""
    if limit != command.terms.max_uses:
        yield CodeTermsChanged, dict(terms)
    for opening in command.openings:
        yield OpeningBalanceImported, {"uses": opening.uses, "source": command.source, "reason": opening.reason}
    if command.is_paused:
        yield CodePaused, {}
    if command.campaign_id is not None:
        yield CodeJoinedCampaign, {"campaign_id": command.campaign_id}
    if command.note is not None:
        yield CodeNoted, {"text_id": command.note.text_id}


def _stamped(context: CommandContext, at: datetime, make: Make) -> Event:
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
