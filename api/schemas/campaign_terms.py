"""How people write the terms of a campaign: one row for each term of `CampaignTerms` but its name."""

from typing import ClassVar, Final, get_args

from msgspec.structs import fields

from api.schemas.code_terms import TermFormat
from domain.events.campaign import CAMPAIGN_TERM_BOUNDS, CAMPAIGN_TERM_NAMES, CampaignTerms
from domain.values.persons.mailboxes import PersonRule
from domain.values.persons.throwaway_domains import ThrowawayRule


class CampaignTermFormat(TermFormat):
    """How one term of a campaign is written. None bounds nothing, and is the value of a term that is not named."""

    TYPES: ClassVar = {field.name: field.type for field in fields(CampaignTerms)}
    TERM_BOUNDS = CAMPAIGN_TERM_BOUNDS
    DEFAULTS: ClassVar = dict.fromkeys(CAMPAIGN_TERM_NAMES)


CAMPAIGN_TERMS: Final = (
    CampaignTermFormat(
        name="group", option="--group", none_word="", means="Group of codes that are issued without naming one"
    ),
    CampaignTermFormat(
        name="starts_at",
        option="--starts-at",
        none_word="now",
        api_none="from its creation",
        means="Start of redemption (ISO 8601, UTC by default)",
    ),
    CampaignTermFormat(
        name="ends_at",
        option="--ends-at",
        none_word="never",
        api_none="never",
        means="End of redemption (ISO 8601, UTC by default)",
    ),
    CampaignTermFormat(
        name="max_uses",
        option="--max-uses",
        none_word="unlimited",
        api_none="without limit",
        means="Uses of all its codes",
    ),
    CampaignTermFormat(
        name="max_per_person",
        option="--max-per-person",
        none_word="unlimited",
        api_none="without limit",
        means="Uses of one person over all its codes",
    ),
    CampaignTermFormat(
        name="max_per_day",
        option="--max-per-day",
        none_word="unlimited",
        api_none="without limit",
        means="Uses of all its codes on one UTC day",
    ),
    CampaignTermFormat(
        name="person_rule",
        api_names=("same_person", "person_rule"),
        choices=get_args(PersonRule),
        option="--person-rule",
        none_word="exact",
        api_none="exact",
        means="Whose uses one person's are: exact for one email address, mailbox for all spellings of an inbox",
    ),
    CampaignTermFormat(
        name="allowed_domains",
        option="--allowed-domains",
        none_word="any",
        api_none="every domain",
        means="Only domains of email addresses that may redeem; *.example.com for all subdomains",
    ),
    CampaignTermFormat(
        name="denied_domains",
        option="--denied-domains",
        none_word="none",
        api_none="no domain",
        means="Domains of email addresses that may not redeem, even if allowed; *.example.com for all subdomains",
    ),
    CampaignTermFormat(
        name="throwaway",
        choices=get_args(ThrowawayRule),
        option="--throwaway",
        none_word="allow",
        api_none="allow",
        means="What happens to requests with throw-away email addresses: allow, flag in the history, or refuse",
    ),
    CampaignTermFormat(
        name="remind_days",
        option="--remind-days",
        none_word="none",
        api_none="no reminder",
        means="Days before its end at which an unaccepted invitation is reminded of",
    ),
    CampaignTermFormat(
        name="quiet_hours",
        text_kind="hours",
        option="--quiet-hours",
        none_word="none",
        api_none="reminders at any time",
        means="Hours without reminders, such as 22:00-08:00 Europe/Berlin",
    ),
    CampaignTermFormat(
        name="code_max_uses",
        option="--code-max-uses",
        none_word="usual",
        api_none="the usual limit",
        means="Uses of each code that is issued without naming them",
    ),
    CampaignTermFormat(
        name="code_validity_days",
        option="--code-validity-days",
        none_word="usual",
        api_none="the usual days",
        means="Days of access by each code that is issued without naming them",
    ),
    CampaignTermFormat(
        name="notify_at",
        option="--notify-at",
        none_word="none",
        api_none="no threshold",
        means="Thresholds of its uses and before its end that are reported, such as 80%, 10 left, 7 days, end",
    ),
    CampaignTermFormat(
        name="waiting_hours",
        option="--waiting-hours",
        none_word="none",
        api_none="no waiting list",
        means="Hours for which a free use is offered to the first person on the waiting list",
    ),
    CampaignTermFormat(
        name="valid_for_days",
        api_names=("valid_for",),
        is_duration=True,
        option="--valid-for",
        none_word="none",
        api_none="until the campaign ends",
        means="Time from the issue or hand-out of each code that names no end to its end, such as P7D or P2W",
    ),
)
"""Every term but the name, in the order of `CampaignTerms`."""
