"""Facts about a campaign: limits that many codes share.

A campaign has its own stream. From its first limit over all its codes on, every use that one of its codes reserves or
counts again is there too, and every use that is refunded: the sum of both is what its limits are compared with.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import fields

from domain.events.code_terms import BOUNDS, list_checks
from domain.events.event import Event
from domain.values.email_domains import DomainNames, find_useless_name
from domain.values.group_name import is_group_name
from domain.values.limits.thresholds import Thresholds
from domain.values.number_bounds import DAYS, REMINDER_DAYS, USES, WAITING_HOURS, Bounds
from domain.values.persons.mailboxes import PersonRule, is_person_rule
from domain.values.persons.throwaway_domains import ThrowawayRule, is_throwaway_rule
from domain.values.quiet_hours import is_quiet_hours
from domain.values.timestamps import utc_day


class CampaignTerms(Struct, frozen=True, gc=False):
    """What a campaign is about and what its codes share. No term has a default, so nothing can leave one out.

    Attributes:
        name: Its name, for staff. Events hold it permanently, as they hold names of groups.
        group: Group of codes that are issued in it without naming one; none: no group.
        starts_at: When its codes begin to take reservations; none: at once.
        ends_at: When they stop; none: never.
        max_uses: Uses of all its codes together; none: no limit.
        max_per_person: Uses of one recipient over all its codes; none: no limit.
        max_per_day: Uses of all its codes on one UTC day; none: no limit.
        person_rule: Whose uses count as those of one person: `mailbox` for all spellings of an inbox; none: those of
            exactly the same address.
        allowed_domains: The only domains of email addresses that may redeem its codes; none: all.
        denied_domains: Domains of email addresses that may not redeem them, even if they are allowed; none: no domain.
        throwaway: What happens to requests with throw-away addresses: `refuse` or `flag`; none: nothing.
        remind_days: How many days before its end recipients are reminded of an unaccepted invitation; none: not at all.
        quiet_hours: When no reminder is sent, such as `22:00-08:00 Europe/Berlin`; none: at no time.
        code_max_uses: Limit of codes that are issued in it without naming one; none: that of any other code.
        code_validity_days: Days of access by codes that are issued in it without naming them; none: without end.
        notify_at: Thresholds of `max_uses` and before its end whose crossing is reported; none: no threshold.
        waiting_hours: Hours for which a free use is offered to the first person on its waiting list; none: it has no
            waiting list.
        valid_for_days: Days from the issue or hand-out of each of its codes, or the start of the code if that is later,
            to its end, for codes that name no end; none: such codes end with the campaign.
    """

    name: str
    group: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    max_uses: int | None
    max_per_person: int | None
    max_per_day: int | None
    person_rule: PersonRule | None
    allowed_domains: DomainNames | None
    denied_domains: DomainNames | None
    throwaway: ThrowawayRule | None
    remind_days: int | None
    quiet_hours: str | None
    code_max_uses: int | None
    code_validity_days: int | None
    notify_at: Thresholds | None
    waiting_hours: int | None
    valid_for_days: int | None

    @property
    def has_shared_limits(self) -> bool:
        """Whether its codes share a limit, so that their uses are counted in its stream."""
        return any(getattr(self, name) is not None for name in SHARED_LIMITS)


CampaignContradiction = Literal[
    "end_before_start", "person_above_total", "day_above_total", "domains_overlap", "waiting_without_limit"
]
CAMPAIGN_TERM_NAMES: Final = tuple(field.name for field in fields(CampaignTerms))
"""Every term of a campaign, in order."""
SHARED_LIMITS: Final = ("max_uses", "max_per_person", "max_per_day")
"""Limits of the uses of all codes together."""
CAMPAIGN_TERM_BOUNDS: Final[Mapping[str, Bounds]] = {
    **dict.fromkeys(SHARED_LIMITS, USES),
    "remind_days": REMINDER_DAYS,
    "waiting_hours": WAITING_HOURS,
    "valid_for_days": DAYS,
    **{f"code_{name}": bounds for name, bounds in BOUNDS.items()},
}
"""Bounds of the terms that are numbers; terms of its codes have those of the codes' own."""
CAMPAIGN_CHECKS: Final = list_checks(
    CampaignTerms,
    CAMPAIGN_TERM_BOUNDS,
    {
        "name": is_group_name,
        "person_rule": is_person_rule,
        "throwaway": is_throwaway_rule,
        "quiet_hours": is_quiet_hours,
    },
)


def find_campaign_contradictions(terms: CampaignTerms) -> list[CampaignContradiction]:
    """Return every way in which two terms contradict each other."""
    total, starts_at, ends_at = terms.max_uses, terms.starts_at, terms.ends_at
    contradictions: dict[CampaignContradiction, bool] = {
        "end_before_start": starts_at is not None and ends_at is not None and ends_at <= starts_at,
        "person_above_total": total is not None and (terms.max_per_person or 0) > total,
        "day_above_total": total is not None and (terms.max_per_day or 0) > total,
        "domains_overlap": find_useless_name(terms.allowed_domains, terms.denied_domains) is not None,
        "waiting_without_limit": terms.waiting_hours is not None and total is None,
    }
    return [name for name, is_contradiction in contradictions.items() if is_contradiction]


class CampaignEvent(Event, frozen=True, kw_only=True):
    """A fact of a campaign's stream."""


class CampaignTermsEvent(CampaignEvent, frozen=True, kw_only=True):
    """An event that says all terms of a campaign, each under its name in `CampaignTerms`."""

    name: str
    group: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    max_uses: int | None = None
    max_per_person: int | None = None
    max_per_day: int | None = None
    person_rule: PersonRule | None = None
    allowed_domains: DomainNames | None = None
    denied_domains: DomainNames | None = None
    throwaway: ThrowawayRule | None = None
    remind_days: int | None = None
    quiet_hours: str | None = None
    code_max_uses: int | None = None
    code_validity_days: int | None = None
    notify_at: Thresholds | None = None
    waiting_hours: int | None = None
    valid_for_days: int | None = None

    @property
    def terms(self) -> CampaignTerms:
        """The terms as one value."""
        return CampaignTerms(*(getattr(self, name) for name in CAMPAIGN_TERM_NAMES))


class CampaignCreated(CampaignTermsEvent, frozen=True, kw_only=True):
    """A campaign exists from now on. Its uses are counted from the beginning if it has a shared limit now."""

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = True
    MEANING = "staff"


Counting = Literal["all", "from_now"]
"""Which uses limits that begin to count compare: all uses that codes have, or those that are reserved from then on."""


class CampaignTermsChanged(CampaignTermsEvent, frozen=True, kw_only=True):
    """These are the terms from now on, including the unchanged ones.

    Attributes:
        counting: Which uses its limits count from now on; none: the same as before. If they count all, an event for
            each use that its codes have follows in the same commit.
        text_id: The reason, in the vault.
    """

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = True
    MEANING = "staff"

    counting: Counting | None = None
    text_id: UUID | None = None


class ReasonedCampaignEvent(CampaignEvent, frozen=True, kw_only=True):
    """A fact of a campaign's stream for which staff may state a reason.

    Attributes:
        text_id: The reason, in the vault.
    """

    text_id: UUID | None = None


class CampaignPaused(ReasonedCampaignEvent, frozen=True, kw_only=True):
    """Its codes accept no new reservations until it is resumed."""

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = True
    MEANING = "staff"


class CampaignResumed(ReasonedCampaignEvent, frozen=True, kw_only=True):
    """Its codes accept new reservations again."""

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = True
    MEANING = "staff"


class CampaignEnded(ReasonedCampaignEvent, frozen=True, kw_only=True):
    """Its codes accept no new reservations permanently. What is reserved is still sent."""

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = True
    MEANING = "staff"


class CampaignUseEvent(CampaignEvent, frozen=True, kw_only=True):
    """A fact about one use of the campaign, in the commit of the code's event that it follows from.

    Attributes:
        code_id: The code.
        reservation_id: The reservation.
        recipient_id: The recipient, by their random id.
    """

    code_id: UUID
    reservation_id: UUID
    recipient_id: UUID


class CampaignThresholdReached(CampaignEvent, frozen=True, kw_only=True):
    """As many uses of the campaign are reserved or counted as one of its thresholds says, and were not before.

    Or the time before its end has come that one of its thresholds names.

    Attributes:
        threshold: The threshold, such as `80%`, `10 left`, `7 days` or `end`.
        code_id: The code whose use crossed it; none: a change of the terms did, or time.
        crossed_by: The reservation whose use crossed it; none: a change of the terms did, or time.
    """

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = False
    MEANING = "neutral"

    threshold: str
    code_id: UUID | None = None
    crossed_by: UUID | None = None


class CampaignUseTaken(CampaignUseEvent, frozen=True, kw_only=True):
    """A code of the campaign reserved a use, or counted a refunded one again; or limits begin to count an earlier use.

    Attributes:
        reserved_at: When a use was reserved that limits begin to count; none: the use is taken now.
        corrects: The reservation whose use it keeps after its address was corrected, while others wait for one.
    """

    IMPORTANCE = "noise"
    LANDMARK = False
    CHANGES_STATE = True
    MEANING = "use"

    reserved_at: datetime | None = None
    corrects: UUID | None = None

    def is_of_day(self, day: date) -> bool:
        """Return whether it takes a place of a UTC day."""
        return utc_day(self.at if self.reserved_at is None else self.reserved_at) == day


class CampaignUseReturned(CampaignUseEvent, frozen=True, kw_only=True):
    """A code of the campaign refunded a use.

    Attributes:
        reserved_at: When the use was reserved: it frees a place of that day; none: it frees no place of a day.
    """

    IMPORTANCE = "noise"
    LANDMARK = False
    CHANGES_STATE = True
    MEANING = "refund"

    reserved_at: datetime | None = None
