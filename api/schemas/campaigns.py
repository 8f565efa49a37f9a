"""Requests and responses about campaigns."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, create_model

from api.schemas.campaign_terms import CAMPAIGN_TERMS
from api.schemas.code_terms import document_of_terms
from api.schemas.resources import Reason, StrictRequest, describe_terms, show_renamed_terms, show_terms
from api.schemas.threshold_list import ReachedThreshold
from domain.events.campaign import CAMPAIGN_TERM_NAMES, CampaignTerms, Counting
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
    _SHOWN = {
        name: field for name, field in show_terms(CampaignTerms).items() if name not in {"name", "valid_for_days"}
    }
    _SHOWN |= show_renamed_terms(CAMPAIGN_TERMS)
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
    counting: Annotated[
        Counting | None,
        Field(
            description="Which uses the limits count from now on. all: every use that its codes have, also limits below"
            " them, which stay. from_now: only uses that are reserved from now on. null: as before, or all if the"
            " campaign counted none; then a limit below the uses is refused."
        ),
    ] = None
    note: Reason = None

    def changes(self) -> dict[str, Any]:
        """Return the terms that the request names."""
        return {name: getattr(self, name) for name in CAMPAIGN_TERM_NAMES if name in self.model_fields_set}


class CampaignView(_CampaignTermsView):
    """Terms and balance of a campaign."""

    codes: Annotated[int, Field(description="Number of its codes.")]
    used_count: Annotated[int, Field(description="Uses of all its codes that count.")]
    reserved: Annotated[int, Field(description="Reserved uses of all its codes.")]
    available: Annotated[
        int | None,
        Field(
            description="Uses that are left over all its codes; null without a limit over all codes. Negative by as"
            " many uses as were there when a limit was set below them."
        ),
    ]
    available_today: Annotated[
        int | None, Field(description="Uses that are left on this UTC day by the limit per day; null without one.")
    ]
    counted: Annotated[
        int | None, Field(description="Uses that its limits count; null if it never had a limit of uses.")
    ]
    counts_from: Annotated[
        datetime | None, Field(description="Only uses that were reserved at this time or later are counted; null: all.")
    ]


class WaitingListEntry(BaseModel):
    """A place on the waiting list of a campaign."""

    number: Annotated[int, Field(description="From 1, in the order in which uses are offered.")]
    place_id: UUID
    code_id: Annotated[UUID, Field(description="The code by which the person joined.")]
    email: Annotated[str | None, Field(description="Masked; null if the person's data was erased.")]
    joined_at: Annotated[datetime, Field(description="When the person joined.")]
    offered_until: Annotated[datetime | None, Field(description="Until when a use is kept; null: none is.")]


class WaitingListView(BaseModel):
    """The waiting list of a campaign, in order."""

    id: UUID
    places: Annotated[list[WaitingListEntry], Field(description="In the order in which uses are offered.")]


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
    thresholds: Annotated[
        list[ReachedThreshold], Field(description="Thresholds that are reached, with what crossed them last.")
    ]


class UseOver(BaseModel):
    """A use that would be over a limit. It stays, and new uses are refused."""

    code_id: UUID
    reservation_id: UUID
    reserved_at: datetime


class LimitChoiceView(BaseModel):
    """What limits would mean if they counted all uses, or those from now on."""

    counting: Annotated[Counting, Field(description="Which uses the limits would count, as in a change.")]
    refused: Annotated[str | None, Field(description="Why the change would be refused; null: it would be made.")]
    counted: Annotated[int | None, Field(description="Uses that the limits would count; null if refused.")]
    available: Annotated[int | None, Field(description="As in the campaign, after the change.")]
    available_today: Annotated[int | None, Field(description="As in the campaign, after the change.")]
    over: Annotated[int, Field(description="Uses that would be over a limit. They stay, and new ones are refused.")]
    crossed: Annotated[
        list[str], Field(description="Thresholds that the change would cross, such as `80%`; they would be reported.")
    ]
    uses_over: Annotated[list[UseOver], Field(description="The newest of them, at most 100.")]


class CodeLimitChoiceView(BaseModel):
    """What a limit of a code would mean if it counted all uses, or those from now on."""

    counting: Annotated[Counting, Field(description="Which uses the limit would count, as in a change.")]
    refused: Annotated[str | None, Field(description="Why the change would be refused; null: it would be made.")]
    max_uses: Annotated[int | None, Field(description="The limit of the code after the change; null if refused.")]
    counted: Annotated[int | None, Field(description="Uses that are used or reserved; null if refused.")]
    available: Annotated[int | None, Field(description="As in the code, after the change.")]
    over: Annotated[int, Field(description="Uses that would be over the limit. They stay, and new ones are refused.")]
    crossed: Annotated[
        list[str], Field(description="Thresholds that the change would cross, such as `80%`; they would be reported.")
    ]
    uses_over: Annotated[list[UseOver], Field(description="The newest of them, at most 100.")]


class CodeLimitPreview(BaseModel):
    """What a limit of a code would mean, for each choice of the uses that it counts."""

    id: UUID
    choices: Annotated[list[CodeLimitChoiceView], Field(description="all, then from_now.")]


class LimitPreview(BaseModel):
    """What limits of a campaign would mean, for each choice of the uses that they count."""

    id: UUID
    choices: Annotated[list[LimitChoiceView], Field(description="all, then from_now.")]


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
        counted=campaign.occupied if campaign.counts_uses else None,
        counts_from=campaign.counts_from,
        **document_of_terms(campaign.terms)
        | {
            name: getattr(campaign.terms, term.name) or term.none_word
            for term in CAMPAIGN_TERMS
            if term.choices
            for name in term.fields
        },
    )
