"""The aggregate of a campaign: its terms, how many uses of its codes are reserved or counted, and its waiting list.

Its size does not grow with its codes or their recipients, and a waiting list is bounded. Uses per recipient are
counted from the reservations (`domain.working_set`), under the lock of its stream.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.events.campaign import (
    CampaignCreated,
    CampaignEnded,
    CampaignEvent,
    CampaignPaused,
    CampaignResumed,
    CampaignTerms,
    CampaignTermsChanged,
    CampaignUseEvent,
    CampaignUseReturned,
    CampaignUseTaken,
    Counting,
)
from domain.events.event import Event
from domain.events.waiting_list import (
    WaitingListEvent,
    WaitingListJoined,
    WaitingOfferMade,
    WaitingOfferMailed,
    WaitingPlaceRespelled,
)
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.model.waiting_list import (
    OFFER_MAIL_MAX,
    OFFER_MAX,
    WAITING_MAX,
    WaitingPlace,
    WaitingPlaces,
    count_ahead,
    evolve_places,
    find_first_without_offer,
    find_place,
    without_person,
)
from domain.ports import RecipientDraft
from domain.values.email_domains import admits_domain
from domain.values.limits.thresholds import find_next_time, find_passed, find_reached
from domain.values.timestamps import utc_day

CAMPAIGN_SNAPSHOT_VERSION: Final = 4
"""Version of the fold. Raise it whenever the same events lead to another state."""

CampaignState = Literal["active", "not_started", "paused", "expired", "ended", "full"]


class Campaign(Struct, frozen=True, kw_only=True, gc=False):
    """State of one campaign after `version` events.

    Attributes:
        last_at: `at` of the newest event; no later event takes effect before it.
        terms: What its codes share now.
        counts_uses: Whether its stream has an event for every use of its codes. It has or had a shared limit.
        counts_from: Its limits count only uses that were reserved at this time or later; None: all.
        recounted_by: Version of the event since which its stream has all uses that its limits count; None: since it
            was created.
        occupied: Uses that its limits count and that are reserved or counted now; 0 if it counts none.
        occupied_on_day: Those of them that were taken on the UTC day of `last_at`.
        ended_by: Version of the event that ended it; None if staff did not end it.
        waiting: Its waiting list: the places in the order in which people joined. Offers were made to the first ones.
    """

    campaign_id: UUID
    version: int
    created_at: datetime
    last_at: datetime
    terms: CampaignTerms
    counts_uses: bool
    counts_from: datetime | None = None
    recounted_by: int | None = None
    occupied: int = 0
    occupied_on_day: int = 0
    is_paused: bool = False
    ended_by: int | None = None
    waiting: WaitingPlaces = ()

    @property
    def counts_by_mailbox(self) -> bool:
        """Whether all addresses with one mailbox are one person for its limit."""
        return self.terms.person_rule == "mailbox" and self.terms.max_per_person is not None

    @property
    def available(self) -> int | None:
        """Uses that new reservations may take; None without a limit over all codes.

        It is negative while more uses are counted than a limit allows that was set below them.
        """
        return None if self.terms.max_uses is None else self.terms.max_uses - self.occupied

    def find_left_for(self, recipient_id: UUID) -> int | None:
        """Return the uses that a person may take, besides those for all who wait longer; None without a limit."""
        available = self.available
        return None if available is None else available - self.count_ahead(recipient_id)

    @property
    def for_waiting(self) -> int:
        """Uses that are left for the people on its waiting list; others can take what is left beyond them."""
        return 0 if self.available is None else max(0, min(self.available, len(self.waiting)))

    def count_ahead(self, recipient_id: UUID) -> int:
        """Return how many people on its waiting list are ahead of a person."""
        return count_ahead(self.waiting, recipient_id) if self.waiting else 0

    @property
    def offers(self) -> int:
        """Uses that are offered to people on its waiting list."""
        return sum(place.offered_until is not None for place in self.waiting)

    def find_expired_offers(self, now: datetime) -> Sequence[WaitingPlace]:
        """Return the places whose offers have ended by a time, the first one first: none that cannot be taken then."""
        return [
            place for place in self.find_takable_offers(now) if (end := self.find_end(place)) is not None and end <= now
        ]

    def find_takable_offers(self, now: datetime) -> Sequence[WaitingPlace]:
        """Return the places with offers that can be taken, as far as a pause, the start and the limit are concerned.

        So no offer ends during a pause, before the start, or behind as many as there are uses.
        """
        if self.is_paused or not self.has_started(now):
            return []
        offered = [place for place in self.waiting if place.offered_until is not None]
        return offered if self.available is None else offered[: max(0, self.available)]

    def find_end(self, place: WaitingPlace) -> datetime | None:
        """Return when the offer of a place ends, if it can be taken; None without one.

        One that lost hours to a start that was moved is made again after it, and ends as if that were done at once.
        """
        is_short, starts_at = self._lost_hours_to_start(place), self.terms.starts_at
        return place.offered_until if starts_at is None or not is_short else self.find_offer_end(starts_at)

    def find_reserved_until(self, place: WaitingPlace, now: datetime) -> datetime | None:
        """Return until when at least the campaign keeps a use for a place; None without an offer.

        Until its email is sent, an offer lasts longer by the time that may take, which no one is promised.
        """
        end, start = self.find_end(place), max(now, self.terms.starts_at or now)
        return None if end is None else min(end, self.find_deadline(start))

    def _lost_hours_to_start(self, place: WaitingPlace) -> bool:
        """Return whether an offer ends earlier than any that was made since the start."""
        until, starts_at = place.offered_until, self.terms.starts_at
        return until is not None and starts_at is not None and until < self.find_deadline(starts_at)

    def without_expired_offers(self, now: datetime) -> "Campaign":
        """Return it without places whose offers have ended by a time. So it decides, whether the sweep ran or not."""
        expired = {place.place_id for place in self.find_expired_offers(now)} if self.waiting else ()
        if not expired:
            return self
        return replace(self, waiting=tuple(place for place in self.waiting if place.place_id not in expired))

    def find_offers_in_the_way(self, recipient_id: UUID, now: datetime) -> Sequence[WaitingPlace]:
        """Return the places with expired offers that must end before a person takes a use; the first ones, no more."""
        ahead = {place.place_id for place in self.waiting[: self.count_ahead(recipient_id)]}
        too_many = 0 if self.available is None else len(ahead) + 1 - self.available
        return [place for place in self.find_expired_offers(now) if place.place_id in ahead][: max(0, too_many)]

    def find_offers_to_renew(self, now: datetime) -> Sequence[WaitingPlace]:
        """Return the places with offers to make again.

        A wrong clock put their deadline further ahead than any can be, or they lost hours to a start that was moved.
        """
        endless = [
            each for each in self.waiting if each.offered_until is not None and each.offered_until > now + OFFER_MAX
        ]
        short = [] if self.has_ended(now) else list(filter(self._lost_hours_to_start, self.find_takable_offers(now)))
        return endless + short

    def find_deadline(self, now: datetime) -> datetime:
        """Return the deadline of an offer whose email is sent at a time. No use is kept beyond the campaign's end."""
        deadline = now + timedelta(hours=self.terms.waiting_hours or 0)
        return deadline if self.terms.ends_at is None else min(deadline, max(now, self.terms.ends_at))

    def find_offer_end(self, now: datetime) -> datetime:
        """Return when an offer that is made at a time ends if no email of it is sent."""
        return self.find_deadline(now) + OFFER_MAIL_MAX

    def keeps_use_for(self, place: WaitingPlace, now: datetime) -> bool:
        """Return whether the person of a place can take a use now, as far as the campaign is concerned."""
        lefts, ahead = (self.available, self.find_available_on_day(now)), self.count_ahead(place.recipient_id)
        return self.state(now) == "active" and all(left is None or left > ahead for left in lefts)

    def needs_offers(self, now: datetime) -> bool:
        """Return whether an offer has ended, another can be made, or one must be made again."""
        has_other = self.find_expired_offers(now) or self.find_offers_to_renew(now)
        return bool(has_other) or self.count_offerable(now) > 0

    def count_offerable(self, now: datetime) -> int:
        """Return how many more uses may be offered to people on its waiting list now."""
        if not self.waiting or self.state(now) != "active":
            return 0
        left = [uses for uses in (self.available, self.find_available_on_day(now)) if uses is not None]
        return max(0, min([*left, len(self.waiting)]) - self.offers)

    @property
    def reached_thresholds(self) -> tuple[str, ...]:
        """The thresholds that the uses of its codes, or the time of its newest event, reach; in order."""
        terms = self.terms
        of_uses = find_reached(terms.notify_at, terms.max_uses, self.occupied)
        is_over = self.ended_by is not None
        return of_uses if is_over else of_uses + find_passed(terms.notify_at, terms.ends_at, self.last_at)

    @property
    def next_report_at(self) -> datetime | None:
        """When it reaches the next threshold before its end; None: none, or staff ended it."""
        is_over = self.ended_by is not None
        return None if is_over else find_next_time(self.terms.notify_at, self.terms.ends_at, self.last_at)

    def find_available_on_day(self, at: datetime) -> int | None:
        """Return the uses that reservations may take on the UTC day of a time; None without a limit per day.

        No event takes effect before the newest one, so an earlier time has the day of that event.
        """
        if self.terms.max_per_day is None:
            return None
        return self.terms.max_per_day - self.count_on_day(max(at, self.last_at))

    def count_on_day(self, at: datetime) -> int:
        """Return the uses that were taken on the UTC day of a time, which is not before `last_at`."""
        return self.occupied_on_day if utc_day(at) == utc_day(self.last_at) else 0

    def frees_place_of_day(self, reserved_at: datetime | None, at: datetime) -> bool:
        """Return whether a use that is returned at a time frees a place of that UTC day.

        A use is counted on the day on which it was reserved or on a later one, so it never frees a place of another.
        """
        return reserved_at is not None and utc_day(reserved_at) == utc_day(at)

    def counts(self, code: RedeemCode, reservation: Reservation) -> bool:
        """Return whether its limits count the use of a reservation of one of its codes, while that occupies one."""
        is_late_enough = self.counts_from is None or reservation.reserved_at >= self.counts_from
        return is_late_enough and code.counts_in_campaign(reservation.versions)

    def changes_count(self, terms: CampaignTerms, counting: Counting | None) -> bool:
        """Return whether its limits count other uses than before, once it has these terms and that is the choice."""
        if not self.counts_uses:
            return terms.has_shared_limits
        return counting == "from_now" or (counting == "all" and self.counts_from is not None)

    def has_started(self, now: datetime) -> bool:
        """Return whether its codes take reservations already, as far as its start is concerned."""
        return self.terms.starts_at is None or self.terms.starts_at <= now

    def has_ended(self, now: datetime) -> bool:
        """Return whether it has ended: by staff, or at its end."""
        return self.ended_by is not None or (self.terms.ends_at is not None and self.terms.ends_at <= now)

    def admits(self, recipient: RecipientDraft) -> bool:
        """Return whether its terms admit the domain of a recipient's address."""
        allowed, denied = self.terms.allowed_domains, self.terms.denied_domains
        return (allowed is None and denied is None) or admits_domain(recipient.domain, allowed, denied)

    def state(self, now: datetime) -> CampaignState:
        """Return the state for lists and pages: the first reason why its codes would refuse everyone, or active."""
        if self.ended_by is not None:
            return "ended"
        if not self.has_started(now):
            return "not_started"
        if self.has_ended(now):
            return "expired"
        if self.is_paused:
            return "paused"
        left = self.available, self.find_available_on_day(now)
        return "full" if any(uses is not None and uses < 1 for uses in left) else "active"


def evolve_campaign(campaign: Campaign | None, campaign_id: UUID, version: int, event: Event) -> Campaign:
    """Return the state of a campaign after one more event of its stream. Rules are checked elsewhere.

    Args:
        campaign: The state before the event; None before the first one.
        campaign_id: Id of the stream.
        version: Version of the event in the stream, from 1.
        event: The event.

    Raises:
        TypeError: No campaign begins with such an event, or there is no fold for it: a bug.
    """
    match event:
        case CampaignCreated() if campaign is None:
            return Campaign(
                campaign_id=campaign_id,
                version=version,
                created_at=event.at,
                last_at=event.at,
                terms=event.terms,
                counts_uses=event.terms.has_shared_limits,
            )
        case _ if campaign is None:
            message = f"{type(event).__name__} can't begin a campaign's stream"
            raise TypeError(message)
        case CampaignUseTaken():
            on_day = campaign.count_on_day(event.at) + event.is_of_day(utc_day(event.at))
            occupied = campaign.occupied + 1
            after = replace(campaign, version=version, last_at=event.at, occupied=occupied, occupied_on_day=on_day)
            if campaign.waiting and takes_new_use(event):
                return replace(after, waiting=without_person(campaign.waiting, event.recipient_id))
            return after
        case CampaignUseReturned():
            on_day = campaign.count_on_day(event.at) - campaign.frees_place_of_day(event.reserved_at, event.at)
            occupied = campaign.occupied - 1
            return replace(campaign, version=version, last_at=event.at, occupied=occupied, occupied_on_day=on_day)
        case _:
            changes = {"occupied_on_day": campaign.count_on_day(event.at), **_changes_by(campaign, version, event)}
            return replace(campaign, version=version, last_at=event.at, **changes)


def _changes_by(campaign: Campaign, version: int, event: Event) -> dict[str, Any]:
    """Return the fields that an event of staff changes, other than version and time."""
    match event:
        case CampaignTermsChanged() if event.counting is not None:
            return {
                "terms": event.terms,
                "waiting": _keep_waiting(campaign, event.terms),
                "counts_uses": True,
                "counts_from": event.at if event.counting == "from_now" else None,
                "recounted_by": version,
                "occupied": 0,
                "occupied_on_day": 0,
            }
        case CampaignTermsChanged():
            return {"terms": event.terms, "waiting": _keep_waiting(campaign, event.terms)}
        case WaitingListEvent():
            return {"waiting": evolve_places(campaign.waiting, event)}
        case CampaignPaused() | CampaignResumed():
            return {"is_paused": isinstance(event, CampaignPaused)}
        case CampaignEnded():
            return {"ended_by": version, "waiting": ()}
        case CampaignEvent() if not event.CHANGES_STATE:
            return {}
        case _:
            message = f"no fold for {type(event).__name__} in a campaign's stream"
            raise TypeError(message)


def _keep_waiting(campaign: Campaign, terms: CampaignTerms) -> WaitingPlaces:
    """Return who still waits under new terms: no one, once they have no waiting list."""
    return () if terms.waiting_hours is None else campaign.waiting


def takes_new_use(event: CampaignEvent) -> bool:
    """Return whether a use is taken by an event now, and was not there before limits began to count it."""
    return isinstance(event, CampaignUseTaken) and event.reserved_at is None


def keeps_campaign_limit(_before: Campaign | None, event: CampaignEvent, after: Campaign) -> bool:
    """Invariant 12 holds for all codes together: no use is taken beyond the limit."""
    return after.occupied >= 0 and (after.available is None or after.available >= 0 or not takes_new_use(event))


def keeps_day_limit(_before: Campaign | None, event: CampaignEvent, after: Campaign) -> bool:
    """Invariant 12 holds for the uses that were taken on the day of the event: none is taken beyond the limit."""
    limit = after.terms.max_per_day
    is_within = limit is None or after.occupied_on_day <= limit or not takes_new_use(event)
    return after.occupied_on_day >= 0 and is_within


def keeps_waiting_order(before: Campaign | None, event: CampaignEvent, _after: Campaign) -> bool:
    """Invariant 19: enough uses are left for all who are ahead of the person who takes one, or to whom one is offered.

    A use is offered to the first person without an offer, and only while it is available. An offer may be renewed, and
    only the email of an offer changes its deadline. Only a campaign that counts by mailbox respells places.
    """
    if before is None or not before.waiting:
        return not isinstance(event, WaitingOfferMade | WaitingOfferMailed | WaitingPlaceRespelled)
    if isinstance(event, CampaignUseTaken) and takes_new_use(event) and event.corrects is None:
        left = before.find_left_for(event.recipient_id)
        return left is None or left > 0
    if isinstance(event, WaitingOfferMade):
        place = find_place(before.waiting, event.place_id)
        if place is not None and place.offered_until is not None:
            return True
        first = find_first_without_offer(before.waiting)
        return first is not None and first.place_id == event.place_id and (before.available or 0) > before.offers
    if isinstance(event, WaitingPlaceRespelled):
        place = find_place(before.waiting, event.place_id)
        return before.counts_by_mailbox and place is not None and place.recipient_id == event.former_id
    if isinstance(event, WaitingOfferMailed):
        place = find_place(before.waiting, event.place_id)
        return place is not None and place.offered_until is not None
    return True


def keeps_waiting_list_open(before: Campaign | None, event: CampaignEvent, _after: Campaign) -> bool:
    """Invariant 19: a person joins once, behind the others, and only while no use is left for them."""
    if not isinstance(event, WaitingListJoined):
        return True
    if before is None or before.terms.waiting_hours is None or len(before.waiting) >= WAITING_MAX:
        return False
    has_place = any(place.recipient_id == event.recipient_id for place in before.waiting)
    return not has_place and (before.find_left_for(event.recipient_id) or 0) < 1


def counts_in_counting_campaigns_only(before: Campaign | None, event: CampaignEvent, _after: Campaign) -> bool:
    """Uses are in the stream of a campaign that counts them, and in no other."""
    return not isinstance(event, CampaignUseEvent) or (before is not None and before.counts_uses)


def keeps_campaign_in_time(before: Campaign | None, event: CampaignEvent, _after: Campaign) -> bool:
    """`at` is never before `at` of the event before."""
    return before is None or event.at >= before.last_at


CAMPAIGN_RULES: Final[Mapping[str, Callable[[Campaign | None, CampaignEvent, Campaign], bool]]] = {
    "invariant 12: no use of a campaign is taken beyond its limit": keeps_campaign_limit,
    "invariant 12: no use of a day is taken beyond the campaign's limit": keeps_day_limit,
    "invariant 12: a campaign that never had a shared limit counts none": counts_in_counting_campaigns_only,
    "invariant 19: no one takes a use ahead of those who wait longer": keeps_waiting_order,
    "invariant 19: a person joins a waiting list once, while no use is left": keeps_waiting_list_open,
    "event log: time of a campaign never goes back": keeps_campaign_in_time,
}
PERSON_LIMIT_RULE: Final = "invariant 12: no use of a person is taken beyond the campaign's limit"
DAY_COUNT_RULE: Final = "invariant 12: a campaign counts every use of a day"
ALTERNATION_RULE: Final = "invariant 12: a use is taken and returned by turns"


def find_broken_campaign_rules(before: Campaign | None, event: CampaignEvent, after: Campaign) -> list[str]:
    """Return the names of the rules of a campaign that one event breaks."""
    return [name for name, holds in CAMPAIGN_RULES.items() if not holds(before, event, after)]


@dataclass
class OccupiedUses:
    """The uses of one campaign by reservation, by recipient and of a day: invariant 12 for each of them.

    It holds the reservations of one campaign that have a use now, about 200 bytes each.
    """

    _campaign_id: UUID | None = field(default=None, init=False)
    _reservations: dict[int, int] = field(default_factory=dict, init=False)
    _per_person: Counter[int] = field(default_factory=Counter, init=False)
    _day: date | None = field(default=None, init=False)
    _of_day: set[int] = field(default_factory=set, init=False)

    def find_broken_rules(self, event: CampaignEvent, after: Campaign) -> list[str]:
        """Return the names of the rules that one event breaks. Events of a campaign come in order."""
        if after.campaign_id != self._campaign_id or after.recounted_by == after.version:
            self._campaign_id, self._reservations, self._per_person = after.campaign_id, {}, Counter()
            self._day, self._of_day = None, set()
        if (day := utc_day(event.at)) != self._day:
            self._day, self._of_day = day, set()
        broken = []
        if isinstance(event, CampaignUseEvent) and not self._apply(event):
            broken.append(ALTERNATION_RULE)
        if after.counts_uses and len(self._of_day) > after.occupied_on_day:
            broken.append(DAY_COUNT_RULE)
        limit = after.terms.max_per_person
        uses = self._per_person[event.recipient_id.int] if isinstance(event, CampaignUseTaken) else 0
        if limit is not None and uses > limit and takes_new_use(event):
            broken.append(PERSON_LIMIT_RULE)
        return broken

    def count(self, recipient_id: UUID) -> int:
        """Return how many uses a recipient has now."""
        return self._per_person[recipient_id.int]

    def _apply(self, event: CampaignUseEvent) -> bool:
        """Apply a use that was taken or returned; return whether it could be."""
        key, person = event.reservation_id.int, event.recipient_id.int
        if isinstance(event, CampaignUseTaken):
            is_new = key not in self._reservations
            self._reservations[key] = person
            if event.is_of_day(utc_day(event.at)):
                self._of_day.add(key)
            self._per_person[person] += is_new
            return is_new
        self._of_day.discard(key)
        if self._reservations.pop(key, None) != person:
            return False
        self._per_person[person] -= 1
        if not self._per_person[person]:
            del self._per_person[person]
        return True
