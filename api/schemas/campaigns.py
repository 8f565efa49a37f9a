"""Requests and responses about campaigns."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, create_model

from api.schemas.campaign_terms import CAMPAIGN_TERMS
from api.schemas.code_terms import document_of_terms
from api.schemas.resources import StrictRequest, describe_terms, show_terms
from domain.events.campaign import CAMPAIGN_TERM_NAMES, CampaignTerms
from domain.values.group_name import NAME_LENGTH_MAX
from projections.read_models.campaign_list import CampaignBalance

Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=NAME_LENGTH_MAX,
        description="Name for staff: one printable line. Events store it permanently.",
    ),
]


class _CampaignHead(BaseModel):
    id: UUID
    created_at: datetime
    state: Annotated[
        str,
        Field(
            description="active, not_started, paused, expired, ended, or full: no use is left over all codes"
            " (`available` is 0) or on this UTC day (`available_today` is 0)."
        ),
    ]
    name: Annotated[str, Field(description="Its name, for staff.")]


if TYPE_CHECKING:  # the fields are made from `CAMPAIGN_TERMS`, which a type checker does not run

    class _CampaignTermsRequest(StrictRequest):
        name: str

    class _CampaignTermsView(_CampaignHead): ...
else:
    _TERMS = describe_terms(CAMPAIGN_TERMS, dict.fromkeys(CAMPAIGN_TERM_NAMES))
    _CampaignTermsRequest = create_model("_CampaignTermsRequest", __base__=StrictRequest, name=(Name, ...), **_TERMS)
    _SHOWN = {name: field for name, field in show_terms(CampaignTerms).items() if name != "name"}
    _SHOWN |= {term.name: (Literal[term.words], ...) for term in CAMPAIGN_TERMS if term.choices}
    _CampaignTermsView = create_model("_CampaignTermsView", __base__=_CampaignHead, **_SHOWN)


class CampaignRequest(_CampaignTermsRequest):
    """Terms of a new campaign. null: no bound."""

    def terms(self, defaults: Mapping[str, Any]) -> CampaignTerms:
        """Return the terms as one value; those that the request does not name are the defaults, or bound nothing."""
        unnamed = {name: value for name, value in defaults.items() if name not in self.model_fields_set}
        return CampaignTerms(*(unnamed.get(name, getattr(self, name)) for name in CAMPAIGN_TERM_NAMES))


class CampaignChange(_CampaignTermsRequest):
    """Terms of a campaign to change. Terms that are left out stay as they are; null removes a bound."""

    # The API document must not name a default that the type refuses.
    name: Name = Field(default_factory=str)

    def changes(self) -> dict[str, Any]:
        """Return the terms that the request names."""
        return {name: getattr(self, name) for name in CAMPAIGN_TERM_NAMES if name in self.model_fields_set}


class CampaignView(_CampaignTermsView):
    """Terms and balance of a campaign."""

    codes: Annotated[int, Field(description="Number of its codes.")]
    used_count: Annotated[int, Field(description="Uses of all its codes that count.")]
    reserved: Annotated[int, Field(description="Reserved uses of all its codes.")]
    available: Annotated[
        int | None, Field(description="Uses that are left over all its codes; null without a limit over all codes.")
    ]
    available_today: Annotated[
        int | None, Field(description="Uses that are left on this UTC day by the limit per day; null without one.")
    ]


class CampaignPage(BaseModel):
    """A page of campaigns, in order of creation."""

    campaigns: list[CampaignView]
    next: str | None


class CampaignHistoryEvent(BaseModel):
    """An event of a campaign and the uses after it."""

    position: int
    version: int
    type: str
    at: datetime
    code_id: UUID | None
    reservation_id: UUID | None
    occupied: Annotated[int, Field(description="Uses of all its codes that count or are reserved, after the event.")]
    sentence: str


class CampaignHistory(BaseModel):
    """Events of a campaign."""

    id: UUID
    events: list[CampaignHistoryEvent]


class CampaignUse(BaseModel):
    """A use of a campaign that counts: its reservation is pending or sent."""

    code_id: UUID
    reservation_id: UUID
    since: datetime
    version: int
    position: int
    state: Annotated[
        Literal["used", "reserved"], Field(description="used: the invitation was sent; reserved: it is pending.")
    ]


class CampaignExplanation(BaseModel):
    """The numbers of a campaign as sums of events."""

    id: UUID
    as_of: Annotated[datetime, Field(description="Time for which the uses are counted.")]
    version: int
    position: int
    state: str
    max_uses: int | None
    max_per_person: int | None
    max_per_day: int | None
    occupied: Annotated[int, Field(description="Uses of all its codes that count or are reserved.")]
    used: Annotated[
        int | None, Field(description="Uses whose invitation was sent; null if the campaign has no shared limit.")
    ]
    reserved: Annotated[int | None, Field(description="Pending uses; null if the campaign has no shared limit.")]
    available: int | None
    most_per_person: Annotated[int | None, Field(description="The most uses that one person has; null: not counted.")]
    taken_today: Annotated[int | None, Field(description="Uses taken on the UTC day; null: not counted.")]
    available_today: Annotated[int | None, Field(description="Uses left on the UTC day; null without a limit.")]
    takes: Annotated[int, Field(description="How often a use was taken.")]
    returns: Annotated[int, Field(description="How often a use was returned.")]
    terms_version: Annotated[int, Field(description="Version of the event that set the terms.")]
    terms: Annotated[str, Field(description="The terms, as a sentence.")]
    sentence: str
    numbers: Annotated[list[str], Field(description="A sentence about each number: what it is the sum of.")]
    uses: Annotated[list[CampaignUse], Field(description="Uses that count, by the order in which they were taken.")]
    left_out: Annotated[int, Field(description="Number of older uses that are not listed.")]


def view_of_campaign(balance: CampaignBalance, now: datetime) -> CampaignView:
    """Return a campaign as the API shows it."""
    campaign = balance.campaign
    return CampaignView(
        id=campaign.campaign_id,
        created_at=campaign.created_at,
        state=campaign.state(now),
        codes=balance.codes,
        used_count=balance.used,
        reserved=balance.reserved,
        available=campaign.available,
        available_today=campaign.find_available_on_day(now),
        **document_of_terms(campaign.terms)
        | {term.name: getattr(campaign.terms, term.name) or term.none_word for term in CAMPAIGN_TERMS if term.choices},
    )
