"""What the campaign of a code allows: when its codes can be redeemed, and the limits that they share.

Order of the refusals: not started; ended; paused; the domain of the email address, and whether it is a throw-away
one; then, after the rules of the code itself, held, exhausted or kept for people who wait; the limit of the day; that
of the person. The person comes last: as long as the campaign refuses everyone, its answer is the same for people with
and without uses. Only campaigns with shared limits count uses.

A rule gets the campaign from `campaign_rule` alone, so every refusal by a campaign names it.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from functools import wraps
from typing import Concatenate, ParamSpec
from uuid import UUID

from domain.errors import (
    CampaignDayLimitReached,
    CampaignExhausted,
    CampaignHasEnded,
    CampaignHeld,
    CampaignIsPaused,
    CampaignNotStarted,
    DomainNotAllowed,
    PersonLimitReached,
    Refusal,
    ReservationNotResolvable,
    ThrowawayAddress,
)
from domain.events.reservation import ReservationFlag
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.model.waiting_list import WaitingPlaces
from domain.policy import Policy
from domain.ports import RecipientDraft
from domain.values.persons.mailboxes import mask_email
from domain.values.persons.throwaway_domains import is_throwaway
from domain.values.timestamps import utc_day
from domain.working_set import WorkingSet

P = ParamSpec("P")


def campaign_rule(
    check: Callable[Concatenate[Campaign, RedeemCode, WorkingSet, P], None],
) -> Callable[Concatenate[RedeemCode, WorkingSet, P], None]:
    """Apply a rule to the campaign of a code, if it has one; a refusal by the rule names the campaign."""

    @wraps(check)
    def check_of_code(code: RedeemCode, working_set: WorkingSet, /, *args: P.args, **kwargs: P.kwargs) -> None:
        campaign = working_set.campaign_of(code)
        if campaign is None:
            return
        try:
            check(campaign, code, working_set, *args, **kwargs)
        except Refusal as error:
            error.campaign_id = campaign.campaign_id
            raise

    return check_of_code


@campaign_rule
def check_campaign_is_open(campaign: Campaign, _code: RedeemCode, _working_set: WorkingSet, at: datetime) -> None:
    """Check that the campaign of a code takes reservations at a time.

    Raises:
        CampaignNotStarted, CampaignHasEnded, CampaignIsPaused: It does not.
    """
    starts_at = campaign.terms.starts_at
    if starts_at is not None and not campaign.has_started(at):
        raise CampaignNotStarted(retry_after_s=_seconds_until(starts_at, at), starts_at=starts_at)
    if campaign.has_ended(at):
        raise CampaignHasEnded
    if campaign.is_paused:
        raise CampaignIsPaused


def check_domain(code: RedeemCode, working_set: WorkingSet, recipient: RecipientDraft) -> None:
    """Check that the terms of a code and of its campaign admit the email address of a recipient.

    Raises:
        DomainNotAllowed: They do not.
    """
    if not code.admits(recipient):
        raise DomainNotAllowed
    _check_domain_of_campaign(code, working_set, recipient)


@campaign_rule
def _check_domain_of_campaign(
    campaign: Campaign, _code: RedeemCode, _working_set: WorkingSet, recipient: RecipientDraft
) -> None:
    if not campaign.admits(recipient):
        raise DomainNotAllowed(why="campaign")


@campaign_rule
def check_throwaway(
    campaign: Campaign, _code: RedeemCode, _working_set: WorkingSet, recipient: RecipientDraft, policy: Policy
) -> None:
    """Check that the campaign of a code takes the address of a recipient, even if it is thrown away soon.

    Raises:
        ThrowawayAddress: It does not.
    """
    if campaign.terms.throwaway == "refuse" and is_throwaway(recipient.domain, policy.throwaway_domains):
        raise ThrowawayAddress


def find_flag(
    code: RedeemCode, working_set: WorkingSet, recipient: RecipientDraft, policy: Policy
) -> ReservationFlag | None:
    """Return what the campaign of a code flags about a recipient, if it flags throw-away addresses."""
    campaign = None if code.campaign_id is None else working_set.campaigns[code.campaign_id]
    if campaign is None or campaign.terms.throwaway is None:
        return None
    return "throwaway" if is_throwaway(recipient.domain, policy.throwaway_domains) else None


@campaign_rule
def check_campaign_limits(
    campaign: Campaign,
    code: RedeemCode,
    working_set: WorkingSet,
    recipient: tuple[UUID, RecipientDraft],
    at: datetime,
    policy: Policy,
    *,
    freed: Sequence[Reservation],
    keeps_use: bool = False,
) -> None:
    """Check that one more use of a recipient is within the limits that the codes of a campaign share.

    Args:
        campaign: The campaign.
        code: The code.
        working_set: Where the recipient's uses are.
        recipient: Id and address of the recipient.
        at: When the use would be reserved.
        policy: Names the lifetime of a reservation, after which a held use is decided at the latest.
        freed: Reservations of the code whose uses the same commit refunds first.
        keeps_use: Whether the use is a freed one under another address, which no one waits for.

    Raises:
        CampaignHeld, CampaignExhausted, CampaignDayLimitReached, PersonLimitReached: It is not.
    """
    freed_of_code = len(freed)
    freed = [reservation for reservation in freed if campaign.counts(code, reservation)]
    recipient_id, _ = recipient
    places = () if keeps_use and freed else _find_ahead(campaign.without_expired_offers(at), working_set, recipient_id)
    ahead, left = len(places), None if campaign.available is None else campaign.available + len(freed)
    if left is not None and _is_for_ahead(left, ahead):
        raise CampaignExhausted(waiting_list=True, why="kept")
    # Without a waiting list in the answer: a place by this code would lead to no use.
    if left is not None and left >= 1 and _is_code_kept(code, places, freed_of_code):
        raise CampaignExhausted(why="kept")
    if left is not None and left < 1:
        waits = {} if campaign.terms.waiting_hours is None else {"waiting_list": True}
        deadline = working_set.campaign_deadlines.get(campaign.campaign_id)
        if deadline is None and not working_set.has_reserved_in_campaign(campaign):
            raise CampaignExhausted(**waits)
        is_ahead = deadline is not None and deadline > at
        raise CampaignHeld(
            retry_after_s=_seconds_until(deadline, at) if is_ahead and deadline else policy.reservation_ttl_s, **waits
        )
    counted_at = max(at, campaign.last_at)
    freed_of_day = sum(campaign.frees_place_of_day(reservation.reserved_at, counted_at) for reservation in freed)
    on_day = campaign.find_available_on_day(at)
    if on_day is not None and on_day + freed_of_day - ahead < 1:
        next_day = datetime.combine(utc_day(counted_at) + timedelta(days=1), time(), UTC)
        raise CampaignDayLimitReached(retry_after_s=_seconds_until(next_day, at), starts_at=next_day)
    _check_limit_of_person(campaign, working_set, recipient, freed)


@campaign_rule
def check_person_limit(
    campaign: Campaign, _code: RedeemCode, working_set: WorkingSet, recipient: tuple[UUID, RecipientDraft]
) -> None:
    """Check that one more use of a recipient is within the limit of one person.

    Raises:
        PersonLimitReached: It is not.
    """
    _check_limit_of_person(campaign, working_set, recipient, ())


def _check_limit_of_person(
    campaign: Campaign, working_set: WorkingSet, recipient: tuple[UUID, RecipientDraft], freed: Sequence[Reservation]
) -> None:
    if (limit := campaign.terms.max_per_person) is None:
        return
    recipient_id, draft = recipient
    person = working_set.find_person(campaign, recipient_id)
    freed_of_person = sum(working_set.find_person(campaign, other.recipient_id) == person for other in freed)
    if working_set.count_uses_of_person(campaign, recipient_id) - freed_of_person >= limit:
        raise PersonLimitReached(mask_email(draft.mailbox) if campaign.counts_by_mailbox else None)


def has_shared_use_left(code: RedeemCode, reservation: Reservation, working_set: WorkingSet, at: datetime) -> bool:
    """Return whether the limits of the campaign of a code allow to count a use again; True without any."""
    try:
        check_shared_use_left(code, working_set, reservation, at)
    except ReservationNotResolvable:
        return False
    return True


@campaign_rule
def check_shared_use_left(
    campaign: Campaign, code: RedeemCode, working_set: WorkingSet, reservation: Reservation, at: datetime
) -> None:
    """Check that the limits that the codes of a campaign share allow to count a use again.

    A use that the limits do not count, such as one from before the code joined the campaign, takes none of its uses.
    It still takes one of the code, which may be kept for people who wait by it.

    Raises:
        ReservationNotResolvable: `why` no_free_use.
    """
    places = _find_ahead(campaign.without_expired_offers(at), working_set, reservation.recipient_id)
    if _is_code_kept(code, places):
        raise ReservationNotResolvable("no_free_use")
    if not campaign.counts(code, reservation):
        return
    limit, ahead = campaign.terms.max_per_person, len(places)
    lefts = campaign.available, campaign.find_available_on_day(at)
    is_full = any(left is not None and left - ahead < 1 for left in lefts)
    if is_full or (limit is not None and working_set.count_uses_of_person(campaign, reservation.recipient_id) >= limit):
        raise ReservationNotResolvable("no_free_use")


def count_only_for_waiting(campaign: Campaign, code: RedeemCode | None, at: datetime) -> int:
    """Return how many uses are left for people on the waiting list alone; 0 if others can take one, or no use is left.

    The uses are those of the campaign, of the UTC day, or of a code whose uses are kept; the fewest of them. None is
    kept while the state of the campaign refuses everyone.
    """
    campaign = campaign.without_expired_offers(at)
    if campaign.state(at) != "active":
        return 0
    lefts = campaign.available, campaign.find_available_on_day(at)
    fewest = [left for left in lefts if left is not None and _is_for_ahead(left, len(campaign.waiting))]
    if code is not None and code.available is not None and _is_code_kept(code, campaign.waiting):
        fewest.append(max(0, code.available))
    return min(fewest, default=0)


def _is_for_ahead(left: int, ahead: int) -> bool:
    """Return whether all uses that are left are for the people ahead."""
    return 1 <= left <= ahead


def _is_code_kept(code: RedeemCode, ahead: WaitingPlaces, freed: int = 0) -> bool:
    """Return whether all uses that are left of a code are for people ahead who wait by it."""
    by_code = sum(place.code_id == code.code_id for place in ahead)
    return by_code > 0 and code.available is not None and code.available + freed <= by_code


def _find_ahead(campaign: Campaign, working_set: WorkingSet, recipient_id: UUID) -> WaitingPlaces:
    """Return the places ahead of a person, who may have one under another spelling of their inbox."""
    places = working_set.find_places(campaign, recipient_id) if campaign.counts_by_mailbox else ()
    own = next(iter(places), None)
    return campaign.waiting[: campaign.count_ahead(recipient_id if own is None else own.recipient_id)]


def _seconds_until(ahead: datetime, at: datetime) -> int:
    """Return the whole seconds until a time ahead, rounded up, so that a retry after them is not too early."""
    return max(1, math.ceil((ahead - at).total_seconds()))
