"""Terms of codes and campaigns for tests: what a test does not name is as on a code for which nothing is said."""

from typing import Any

from msgspec import structs

from domain.events.campaign import CAMPAIGN_TERM_NAMES, CampaignTerms
from domain.events.code_terms import SINGLE_USE, CodeTerms


def make_terms(**named: Any) -> CodeTerms:
    """Make terms with these values; one use, and nothing else bounded."""
    return structs.replace(SINGLE_USE, **named)


def make_campaign_terms(**named: Any) -> CampaignTerms:
    """Make terms of a campaign with these values; a name, and nothing bounded."""
    return CampaignTerms(**{**dict.fromkeys(CAMPAIGN_TERM_NAMES), "name": "Autumn", **named})
