"""Create a hand-out of a campaign's codes, change its emails, pause, resume and end it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID

from msgspec import Struct, structs

from domain.asks import Asks
from domain.commands.campaign.manage_campaign import campaign_event_fields
from domain.commands.context import CampaignDecision, CommandContext, id_of_text
from domain.commands.input_bounds import check_agreement, check_terms
from domain.commands.reads import Reads, name_campaigns
from domain.errors import (
    CampaignHasEnded,
    ContradictoryTerms,
    HandOutConflict,
    HandOutInvalid,
    NamedCampaignUnknown,
    NoSuchHandOut,
    OutOfBounds,
    RefusalOrder,
    TermsConflict,
)
from domain.events.code_terms import NO_TERMS, CodeTerms
from domain.events.hand_out import (
    HandOutChanged,
    HandOutCreated,
    HandOutEnded,
    HandOutEvent,
    HandOutPaused,
    HandOutResumed,
)
from domain.model.campaign import Campaign
from domain.model.hand_out import NO_TEXTS, HandOut, HandOutText, Mailing
from domain.ports import Language, TextDraft
from domain.values.group_name import NamesGroup, is_group_name
from domain.values.number_bounds import DAYS, MAILS_PER_MINUTE
from domain.working_set import WorkingSet


class CreateHandOut(NamesGroup, frozen=True, kw_only=True):
    """Create a hand-out. `hand_out_id` is new and random.

    `terms` and `bound` are those of its codes; `per_minute` bounds its emails, None for as fast as workers send.
    `texts` are its own texts by language. `existing_codes`: its lists name codes that exist, which keep their terms, so
    `terms` may only name the group. `is_draft`: nothing is sent until `ResumeHandOut` starts it.
    `valid_for_days`: each code ends that many days after it is handed out, or at the `expires_at` of the terms before.
    """

    refusals: ClassVar[RefusalOrder] = (
        NamedCampaignUnknown,
        CampaignHasEnded,
        HandOutInvalid,
        OutOfBounds,
        ContradictoryTerms,
    )

    context: CommandContext
    campaign_id: UUID
    hand_out_id: UUID
    name: str
    terms: CodeTerms
    per_minute: int | None = None
    bound: bool = True
    existing_codes: bool = False
    is_draft: bool = False
    valid_for_days: int | None = None
    texts: Mapping[Language, HandOutText] = NO_TEXTS

    def named_group(self) -> str | None:
        """Return the group that the events will name."""
        return self.terms.group


class TextChange(NamedTuple):
    """A new subject and text in one language; None leaves one as it is, and an empty one is that of the ledger."""

    subject: str | None = None
    body: str | None = None


class ChangeHandOut(Struct, frozen=True, kw_only=True):
    """Change the rate or the texts of a hand-out's emails.

    Attributes:
        changes_rate: Whether `per_minute` is the new rate.
        texts: New texts by language; other languages keep theirs.
        expected: Change them only if rate and texts are still these; None: whatever they are.
    """

    refusals: ClassVar[RefusalOrder] = (NoSuchHandOut, TermsConflict, HandOutConflict, HandOutInvalid)

    context: CommandContext
    campaign_id: UUID
    hand_out_id: UUID
    changes_rate: bool = False
    per_minute: int | None = None
    texts: Mapping[Language, TextChange] = MappingProxyType({})
    expected: Mailing | None = None


class PauseHandOut(Struct, frozen=True, kw_only=True):
    """Hand no further code out for now. A draft stays one. `note`, the reason, goes to the vault."""

    refusals: ClassVar[RefusalOrder] = (NoSuchHandOut, HandOutConflict)

    context: CommandContext
    campaign_id: UUID
    hand_out_id: UUID
    note: TextDraft | None = None


class ResumeHandOut(Struct, frozen=True, kw_only=True):
    """Hand codes out again, or start a draft.

    Attributes:
        starts_at: From when; None: at once. Until then another `ResumeHandOut` may change it.
        note: The reason, which goes to the vault.
    """

    refusals: ClassVar[RefusalOrder] = (NoSuchHandOut, HandOutConflict, HandOutInvalid)

    context: CommandContext
    campaign_id: UUID
    hand_out_id: UUID
    starts_at: datetime | None = None
    note: TextDraft | None = None


class EndHandOut(Struct, frozen=True, kw_only=True):
    """Hand no further code out, permanently. `note`, the reason, goes to the vault."""

    refusals: ClassVar[RefusalOrder] = (NoSuchHandOut,)

    context: CommandContext
    campaign_id: UUID
    hand_out_id: UUID
    note: TextDraft | None = None


HandOutCommand = CreateHandOut | ChangeHandOut | PauseHandOut | ResumeHandOut | EndHandOut
"""A command about one hand-out of a campaign."""


def _ask_for_hand_outs(commands: Sequence[HandOutCommand], _seen: WorkingSet, asks: Asks) -> None:
    asks.hand_outs_by_id.update(command.hand_out_id for command in commands)


def _ask_for_texts(commands: Sequence[ChangeHandOut], seen: WorkingSet, asks: Asks) -> None:
    _ask_for_hand_outs(commands, seen, asks)
    asks.hand_out_texts.update(command.hand_out_id for command in commands)


HAND_OUT_READS: Final[Reads[HandOutCommand]] = Reads(name=name_campaigns, ask=_ask_for_hand_outs)
CHANGE_HAND_OUT_READS: Final[Reads[ChangeHandOut]] = Reads(name=name_campaigns, ask=_ask_for_texts)


def manage_hand_out(command: HandOutCommand, working_set: WorkingSet) -> CampaignDecision:
    """Decide one command about a hand-out. Repeating one changes nothing.

    Raises:
        Refusal: One of the command's `refusals`, in that order.
    """
    hand_out = working_set.hand_outs.get(command.hand_out_id)
    if isinstance(command, CreateHandOut):
        return _decision(command) if hand_out is not None else _create(command, working_set)
    if hand_out is None or hand_out.campaign_id != command.campaign_id:
        raise NoSuchHandOut
    if isinstance(command, ChangeHandOut):
        return _change(command, working_set, hand_out)
    event = _change_state(command, working_set, hand_out)
    return CampaignDecision(command.campaign_id, event, command.hand_out_id, text=command.note)


def _decision(
    command: HandOutCommand,
    event: HandOutEvent | None = None,
    texts: Mapping[Language, HandOutText] = MappingProxyType({}),
) -> CampaignDecision:
    return CampaignDecision(command.campaign_id, event, command.hand_out_id, texts)


def _change_state(
    command: PauseHandOut | ResumeHandOut | EndHandOut, working_set: WorkingSet, hand_out: HandOut
) -> HandOutEvent | None:
    fields = {**_event_fields(command, working_set), "text_id": id_of_text(command.note)}
    if isinstance(command, EndHandOut):
        return None if hand_out.state == "ended" else HandOutEnded(**fields)
    if hand_out.state == "ended":
        raise HandOutConflict("ended")
    if isinstance(command, PauseHandOut):
        return None if hand_out.state in {"draft", "paused"} else HandOutPaused(**fields)
    if hand_out.state_at(command.context.now) == "running":
        if command.starts_at is not None and command.starts_at != hand_out.starts_at:
            raise HandOutConflict("running")
        return None
    if hand_out.state == "scheduled" and command.starts_at == hand_out.starts_at:
        return None
    if command.starts_at is not None:
        _check_start(command.starts_at, command.context, working_set.campaign(command.campaign_id))
    now = command.context.now
    # A start that is ahead moves to now: without one, the event leaves that start as it was.
    return HandOutResumed(**fields, starts_at=command.starts_at or (now if hand_out.find_start_ahead(now) else None))


def _check_start(starts_at: datetime, context: CommandContext, campaign: Campaign) -> None:
    """Check that a hand-out starts in the future, and before its campaign ends.

    Raises:
        HandOutInvalid: It does not.
    """
    if starts_at <= context.now or (campaign.terms.ends_at is not None and starts_at >= campaign.terms.ends_at):
        raise HandOutInvalid("starts_at")


def _create(command: CreateHandOut, working_set: WorkingSet) -> CampaignDecision:
    if working_set.campaign(command.campaign_id).ended_by is not None:
        raise CampaignHasEnded(why="issue")
    if not is_group_name(command.name):
        raise HandOutInvalid("name")
    _check_rate(command.per_minute)
    if command.valid_for_days is not None and not DAYS.holds(command.valid_for_days):
        raise HandOutInvalid("valid_for")
    if command.terms.expires_at is not None and command.terms.expires_at <= command.context.now:
        raise HandOutInvalid("expires_at")
    terms = structs.asdict(command.terms)
    if command.existing_codes and _names_terms_of_codes(command):
        raise HandOutInvalid("terms")
    check_terms(terms)
    check_agreement(command.terms)
    event = HandOutCreated(
        **_event_fields(command, working_set),
        **terms,
        name=command.name,
        per_minute=command.per_minute,
        bound=command.bound,
        existing_codes=command.existing_codes,
        is_draft=command.is_draft,
        valid_for_days=command.valid_for_days,
    )
    return _decision(command, event, {language: text for language, text in command.texts.items() if any(text)})


def _names_terms_of_codes(command: CreateHandOut) -> bool:
    """Return whether it names a term that codes which exist have already. The group is that of its emails."""
    own = not command.bound or command.valid_for_days is not None
    return own or command.terms != structs.replace(NO_TERMS, group=command.terms.group)


def _change(command: ChangeHandOut, working_set: WorkingSet, hand_out: HandOut) -> CampaignDecision:
    before = Mailing(per_minute=hand_out.per_minute, texts=working_set.hand_out_texts)
    if command.expected is not None and command.expected != before:
        raise TermsConflict
    per_minute = command.per_minute if command.changes_rate else before.per_minute
    if per_minute != before.per_minute:
        if hand_out.state == "ended":
            raise HandOutConflict("ended")
        _check_rate(per_minute)
    texts = {
        language: _changed_text(before.texts.get(language, HandOutText()), change)
        for language, change in command.texts.items()
    }
    changed = {language: text for language, text in texts.items() if text != before.texts.get(language, HandOutText())}
    if per_minute == before.per_minute and not changed:
        return _decision(command)
    fields = _event_fields(command, working_set)
    event = HandOutChanged(**fields, per_minute=per_minute, languages=tuple(sorted(changed)))
    return _decision(command, event, changed)


def _changed_text(before: HandOutText, change: TextChange) -> HandOutText:
    return HandOutText(
        before.subject if change.subject is None else change.subject,
        before.body if change.body is None else change.body,
    )


def _check_rate(per_minute: int | None) -> None:
    if per_minute is not None and not MAILS_PER_MINUTE.holds(per_minute):
        raise HandOutInvalid("per_minute")


def _event_fields(command: HandOutCommand, working_set: WorkingSet) -> dict[str, Any]:
    campaign = working_set.campaign(command.campaign_id)
    return {**campaign_event_fields(command.context, campaign), "hand_out_id": command.hand_out_id}
