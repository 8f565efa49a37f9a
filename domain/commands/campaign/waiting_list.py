"""The waiting list of a campaign: join it, leave it, and offer the uses that are left, in the order of joining.

A person who joins must be able to redeem but for a free use, so the rules are those of `reserve_use`. Offers only say
that a use is kept: it is taken by a redeem request like any other.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.asks import Asks, Names
from domain.commands.campaign.campaign_limits import check_person_limit
from domain.commands.campaign.manage_campaign import campaign_event_fields
from domain.commands.context import CampaignDecision, CommandContext, id_of_text
from domain.commands.invitation_limits import find_hidden_answer, find_join_limit
from domain.commands.reads import Reads, name_campaigns, recipients_of
from domain.commands.reservation.reserve import RESERVE_READS, ReserveUse, reserve_use
from domain.errors import (
    AddressUndeliverable,
    CampaignExhausted,
    CampaignHeld,
    NoSuchCampaign,
    RefusalOrder,
    WaitingListClosed,
)
from domain.events.waiting_list import (
    LeaveCause,
    OfferMailOutcome,
    WaitingListEvent,
    WaitingListJoined,
    WaitingListLeft,
    WaitingOfferMade,
    WaitingOfferMailed,
)
from domain.model.campaign import Campaign
from domain.model.waiting_list import WAITING_MAX, WaitingPlace, find_place
from domain.policy import Policy
from domain.ports import RecipientDraft, TextDraft
from domain.working_set import WorkingSet
from domain.writes import NewSuppression

OFFERS_PER_COMMAND: Final = 20
"""Offers that one command makes, and that it ends, so that what waited for an outage to end follows in steps."""


class JoinWaitingList(Struct, frozen=True, kw_only=True):
    """Wait for a use of the campaign of a code. A person, as the campaign counts persons, keeps the place they have.

    Attributes:
        redeem: The request that found no use left. Its `reservation_id` becomes the id of the place.
    """

    refusals: ClassVar[RefusalOrder] = (
        *(kind for kind in ReserveUse.refusals if kind not in {CampaignHeld, CampaignExhausted}),
        WaitingListClosed,
    )

    redeem: ReserveUse

    @property
    def context(self) -> CommandContext:
        """Who asks, and when."""
        return self.redeem.context

    @property
    def code_digests(self) -> Sequence[bytes]:
        """Digests of the code."""
        return self.redeem.code_digests

    @property
    def recipient(self) -> RecipientDraft:
        """Who wants to wait."""
        return self.redeem.recipient


class LeaveWaitingList(Struct, frozen=True, kw_only=True):
    """End a place. A place that has ended stays as it is. `cause` left is a declined offer where there is one.

    `note` is the reason why staff remove it, or the report that the email of the offer did not arrive. `suppression` is
    what such a report means for the address. It holds although the place has ended, and once: staff may allow emails
    again before the same report comes again.
    """

    refusals: ClassVar[RefusalOrder] = (NoSuchCampaign,)

    context: CommandContext
    campaign_id: UUID
    place_id: UUID
    cause: Literal["left", "removed", "erased", "undeliverable", "code_ended"]
    note: TextDraft | None = None
    suppression: NewSuppression | None = None

    @property
    def report_id(self) -> UUID | None:
        """Id of the report that says not to write to the address; None without one."""
        return None if self.suppression is None else self.suppression.text_id


class RecordOfferMail(Struct, frozen=True, kw_only=True):
    """Begin the hours of an offer, because its email was sent or is not sent again. A place that has ended stays so."""

    refusals: ClassVar[RefusalOrder] = (NoSuchCampaign,)

    context: CommandContext
    campaign_id: UUID
    place_id: UUID
    outcome: OfferMailOutcome


class OfferUses(Struct, frozen=True, kw_only=True):
    """End the offers whose deadline has passed, and offer what is left to those who wait longest."""

    refusals: ClassVar[RefusalOrder] = (NoSuchCampaign,)

    context: CommandContext
    campaign_id: UUID


def _ask_about_reports(commands: Sequence[LeaveWaitingList], _seen: WorkingSet, asks: Asks) -> None:
    asks.texts.update(text_id for command in commands if (text_id := command.report_id) is not None)


LEAVE_WAITING_LIST_READS: Final[Reads[LeaveWaitingList]] = Reads(name=name_campaigns, ask=_ask_about_reports)

WaitingListCommand = JoinWaitingList | LeaveWaitingList | RecordOfferMail | OfferUses
"""A command about the waiting list of one campaign."""


def _name(commands: Sequence[JoinWaitingList], names: Names) -> None:
    RESERVE_READS.name([command.redeem for command in commands], names)


def _ask(commands: Sequence[JoinWaitingList], seen: WorkingSet, asks: Asks) -> None:
    RESERVE_READS.ask([command.redeem for command in commands], seen, asks)
    for command in commands:
        code = seen.find_code(command.code_digests)
        campaign = None if code is None or code.campaign_id is None else seen.campaigns.get(code.campaign_id)
        if campaign is not None and campaign.counts_by_mailbox:
            asks.mailbox_uses.update((campaign.campaign_id, place.recipient_id) for place in campaign.waiting)


JOIN_WAITING_LIST_READS: Final[Reads[JoinWaitingList]] = Reads(name=_name, ask=_ask, drafts_in=recipients_of)


def join_waiting_list(command: JoinWaitingList, working_set: WorkingSet, policy: Policy) -> CampaignDecision:
    """Give a person the last place of the waiting list, or return the one that they have.

    Raises:
        Refusal: One of `JoinWaitingList.refusals`; `why` of the last one is none, uses_left or full.
    """
    campaign = _find_full_campaign(command, working_set, policy)
    code = working_set.find_code(command.code_digests)
    if code is None:
        raise AssertionError("a campaign refuses requests for codes that exist")
    recipient_id = working_set.recipient_id(command.recipient)
    check_person_limit(code, working_set, (recipient_id, command.recipient))
    if (suppression := working_set.find_suppression(recipient_id, code.terms.group)) is not None:
        raise AddressUndeliverable(suppression.cause)
    own = next(iter(working_set.find_places(campaign, recipient_id)), None)
    expired = campaign.find_expired_offers(command.context.now)
    waits, hidden = own is not None and own not in expired, find_hidden_answer(command.context)
    if own is not None and waits and hidden is None:
        return CampaignDecision(campaign.campaign_id, None, place_id=own.place_id)
    if campaign.terms.waiting_hours is None:
        raise _closed("none", campaign)
    of_code = sum(place.code_id == code.code_id for place in campaign.waiting if place not in expired)
    is_full = len(campaign.waiting) - len(expired) >= WAITING_MAX
    if is_full or (code.available is not None and of_code >= code.available):
        raise _closed("full", campaign)
    limit = find_join_limit(command.context) or (hidden if waits else None)
    if limit is not None:  # of a person who waits, as of one who does not
        raise limit
    fields = campaign_event_fields(command.context, campaign)
    to_end = [own] if own is not None else expired[:1] if len(campaign.waiting) >= WAITING_MAX else []
    joined = WaitingListJoined(
        **fields,
        place_id=command.redeem.reservation_id,
        recipient_id=recipient_id,
        code_id=code.code_id,
        language=command.redeem.language,
    )
    first, *more = [*(_end_expired(place, fields) for place in to_end), joined]
    place_id, recipients = joined.place_id, (command.recipient,)
    return CampaignDecision(campaign.campaign_id, first, more=more, place_id=place_id, recipients=recipients)


def _find_full_campaign(command: JoinWaitingList, working_set: WorkingSet, policy: Policy) -> Campaign:
    """Return the campaign that refuses a redeem request because no use is left.

    Raises:
        Refusal: Another rule refuses it; WaitingListClosed, none does.
    """
    try:
        decision = reserve_use(command.redeem, working_set, policy)
    except (CampaignHeld, CampaignExhausted) as error:
        campaign_id = error.campaign_id
    else:
        # The same for a person with a use as for one who can take one, or strangers could tell customers apart.
        raise decision.refusal or find_hidden_answer(command.context) or WaitingListClosed("uses_left")
    if campaign_id is None:
        raise AssertionError("a refusal by a campaign names it")
    return working_set.campaigns[campaign_id]


def _closed(why: str, campaign: Campaign) -> WaitingListClosed:
    refusal = WaitingListClosed(why)
    refusal.campaign_id = campaign.campaign_id
    return refusal


def leave_waiting_list(command: LeaveWaitingList, working_set: WorkingSet) -> CampaignDecision:
    """End a place; nothing changes if it has ended.

    Raises:
        NoSuchCampaign: There is no such campaign.
    """
    campaign = _find_campaign(command.campaign_id, working_set)
    place = find_place(campaign.waiting, command.place_id)
    is_known = command.report_id is not None and working_set.has_text(command.report_id)
    decision = CampaignDecision(
        campaign.campaign_id,
        None,
        text=command.note,
        place_id=command.place_id,
        suppression=None if is_known else command.suppression,
    )
    if place is None:
        return decision
    cause: LeaveCause = command.cause
    if command.cause == "left" and place.offered_until is not None:
        cause = "expired" if place in campaign.find_expired_offers(command.context.now) else "declined"
    event = WaitingListLeft(
        **campaign_event_fields(command.context, campaign),
        place_id=place.place_id,
        recipient_id=place.recipient_id,
        cause=cause,
        text_id=id_of_text(command.note),
    )
    return replace(decision, event=event)


def record_offer_mail(command: RecordOfferMail, working_set: WorkingSet) -> CampaignDecision:
    """Set the deadline of an offer; nothing changes if the place has ended.

    Raises:
        NoSuchCampaign: There is no such campaign.
    """
    campaign = _find_campaign(command.campaign_id, working_set)
    place = find_place(campaign.waiting, command.place_id)
    if place is None or place.offered_until is None:
        return CampaignDecision(campaign.campaign_id, None, place_id=command.place_id)
    event = WaitingOfferMailed(
        **campaign_event_fields(command.context, campaign),
        place_id=place.place_id,
        recipient_id=place.recipient_id,
        until=campaign.find_deadline(command.context.now),
        outcome=command.outcome,
    )
    return CampaignDecision(campaign.campaign_id, event, place_id=place.place_id)


def offer_uses(command: OfferUses, working_set: WorkingSet) -> CampaignDecision:
    """End offers and make new ones, `OFFERS_PER_COMMAND` of each at most.

    Offers whose deadline a wrong clock put too far ahead are made again, so that they end, and so are those that lost
    hours to a start that was moved.

    Raises:
        NoSuchCampaign: There is no such campaign.
    """
    campaign = _find_campaign(command.campaign_id, working_set)
    fields = campaign_event_fields(command.context, campaign)
    now = command.context.now
    expired = campaign.find_expired_offers(now)[:OFFERS_PER_COMMAND]
    events: list[WaitingListEvent] = [_end_expired(place, fields) for place in expired]
    remaining = replace(campaign, waiting=tuple(place for place in campaign.waiting if place not in expired))
    waiting = [place for place in remaining.waiting if place.offered_until is None]
    to_offer = [*remaining.find_offers_to_renew(now), *waiting[: remaining.count_offerable(now)]]
    until = campaign.find_offer_end(now)
    events += [
        WaitingOfferMade(**fields, place_id=place.place_id, recipient_id=place.recipient_id, until=until)
        for place in to_offer[:OFFERS_PER_COMMAND]
    ]
    first, rest = (events[0], events[1:]) if events else (None, [])
    return CampaignDecision(campaign.campaign_id, first, more=rest)


def _end_expired(place: WaitingPlace, fields: Mapping[str, Any]) -> WaitingListLeft:
    return WaitingListLeft(**fields, place_id=place.place_id, recipient_id=place.recipient_id, cause="expired")


def _find_campaign(campaign_id: UUID, working_set: WorkingSet) -> Campaign:
    if (campaign := working_set.campaigns.get(campaign_id)) is None:
        raise NoSuchCampaign
    return campaign
