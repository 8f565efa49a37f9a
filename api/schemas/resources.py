"""Wire models of the HTTP API."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from uuid import UUID

from msgspec import Struct, structs
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    create_model,
)

from api.errors import ERROR_CODES
from api.schemas.code_terms import FIRST_TERMS, TERMS, TermFormat
from api.schemas.domain_list import DomainList, DomainListView
from api.schemas.numbers import Strict
from api.schemas.parsing import VISIBLE
from api.schemas.threshold_list import ThresholdList, ThresholdListView
from api.schemas.timestamps import Timestamp
from domain.events.campaign import Counting
from domain.events.code_terms import SINGLE_USE, TERM_NAMES, CodeTerms
from domain.model.reservation import PublicState
from domain.values.email_domains import DomainNames
from domain.values.group_name import NAME_LENGTH_MAX, checked_group
from domain.values.identifiers import TYPED_LENGTH_MAX
from domain.values.limits.thresholds import Thresholds
from domain.values.mail.bounce_reason import BounceReason
from domain.values.number_bounds import DURATION_LENGTH_MAX, DURATION_PATTERN, DurationError, parse_days
from domain.values.quiet_hours import QUIET_HOURS_PATTERN
from domain.values.quiet_hours import TEXT_LENGTH_MAX as HOURS_LENGTH_MAX

PRINTABLE: Final = r"^[^\x00-\x1f\x7f]+$"
GroupName = Annotated[
    str,
    Field(min_length=1, max_length=NAME_LENGTH_MAX, pattern=PRINTABLE),
    AfterValidator(checked_group),
]
"""One printable line without spaces around it, and not an email address."""
Typed = Annotated[str, Field(min_length=1, max_length=TYPED_LENGTH_MAX)]
Note = Annotated[str, Field(min_length=1, max_length=2000)]
KEY_LENGTH_MAX: Final = 255
"""Characters of an `Idempotency-Key`."""


def _read_days(typed: object) -> int:
    if not isinstance(typed, str):
        raise DurationError
    return parse_days(typed)


_DURATION: Final = {"type": "string", "pattern": DURATION_PATTERN, "maxLength": DURATION_LENGTH_MAX}
Days = Annotated[int, BeforeValidator(_read_days), WithJsonSchema(_DURATION)]
"""Days or weeks, as ISO 8601 writes them; the number of days in a request that was read."""
Reason = Annotated[str | None, Field(min_length=1, max_length=2000)]


class StrictRequest(Strict):
    """A request of staff or integrators. Unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


def describe_terms(terms: Sequence[TermFormat], defaults: Mapping[str, object]) -> dict[str, Any]:
    """Return a field of a request for each term; a term without a default is required."""
    aliases = {term.name: AliasChoices(*term.api_names) if term.api_names else None for term in terms}
    return {
        term.name: (
            _type_of(term) | None,
            Field(default=defaults.get(term.name, ...), validation_alias=aliases[term.name]),
        )
        for term in terms
    }


def _type_of(term: TermFormat) -> Any:  # noqa: ANN401 - a type, which pydantic reads
    match term.kind:
        case "number":
            return Annotated[int, Field(ge=term.bounds.least, le=term.bounds.most)]
        case "days":
            return Days
        case "timestamp":
            return Timestamp
        case "group":
            return GroupName
        case "domains":
            return DomainList
        case "hours":
            return Annotated[str, Field(pattern=QUIET_HOURS_PATTERN, max_length=HOURS_LENGTH_MAX)]
        case "thresholds":
            return ThresholdList
        case "choice":
            return Annotated[Literal[term.words], AfterValidator(lambda word: None if word == term.none_word else word)]


def show_terms(terms: type[Struct]) -> dict[str, Any]:
    """Return a field of a response for each term."""
    views = {DomainNames | None: DomainListView | None, Thresholds | None: ThresholdListView | None}
    return {field.name: (views.get(field.type, field.type), ...) for field in structs.fields(terms)}


def show_renamed_terms(terms: Sequence[TermFormat]) -> dict[str, Any]:
    """Return a field of a response for each name of a term that is a choice or a duration there."""
    renamed = [(name, term) for term in terms if term.kind in {"choice", "days"} for name in term.fields]
    return {name: (Literal[term.words] if term.choices else str | None, ...) for name, term in renamed}


if TYPE_CHECKING:  # the fields are made from `TERMS`, which a type checker does not run

    class NewTerms(StrictRequest):
        """Terms that an issue may name."""

    class ChangedTerms(StrictRequest):
        """Terms that a change may name."""

    class NeededTerms(StrictRequest):
        """Terms that a request must name."""

    class TermsView(BaseModel):
        """What a code promises."""

    class IssuedView(BaseModel):
        """What a code is and promises."""

        id: UUID
        issued_at: datetime
else:
    NewTerms = create_model("NewTerms", __base__=StrictRequest, **describe_terms(TERMS, structs.asdict(SINGLE_USE)))
    ChangedTerms = create_model(
        "ChangedTerms", __base__=StrictRequest, **describe_terms(TERMS, dict.fromkeys(TERM_NAMES))
    )
    _LEFT_OUT = {name: None for name in TERM_NAMES if name not in FIRST_TERMS}
    NeededTerms = create_model("NeededTerms", __base__=StrictRequest, **describe_terms(TERMS, _LEFT_OUT))
    _SHOWN = show_terms(CodeTerms)
    TermsView = create_model(
        "TermsView", __doc__="Terms of a code. null: no limit, no expiry, no end of access, no group.", **_SHOWN
    )
    IssuedView = create_model("IssuedView", id=(UUID, ...), issued_at=(datetime, ...), **_SHOWN)


class RedeemRequest(BaseModel):
    """Code and email address for a redemption."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"examples": [{"email": "li.wei@example.com", "code": "MCM1-PRY5-KC9W-VE1A-S4PD"}]},
    )

    email: Typed
    code: Typed
    again: UUID | None = Field(
        default=None, description="ID of a sent reservation of this recipient, to consume another use."
    )


class RedeemOnBehalfRequest(RedeemRequest):
    """Code and email address for a redemption by an integrator. Unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class WaitingRequest(StrictRequest):
    """A person who waits for a use of the campaign of a code."""

    email: Typed
    code: Typed


class WaitingView(BaseModel):
    """A place on a waiting list, as its person sees it."""

    state: Annotated[
        Literal["waiting", "listed"], Field(description="`listed`: the address was on the list before this request.")
    ]
    ahead: Annotated[int | None, Field(description="People who are before it. Nothing is promised. Null if `listed`.")]
    status_url: Annotated[
        str | None,
        Field(description="Page of the place, to take or decline an offer and to leave. Null if `listed`."),
    ]


class RedemptionView(BaseModel):
    """A reservation, as the redeemer sees it."""

    success: bool
    message: str
    reservation_id: UUID
    state: PublicState
    detail_code: str | None = Field(default=None, description="Why the reservation was refunded; null while it is not.")
    status_url: str
    correction_token: str | None = Field(
        default=None,
        description="Only in the 202 response to the client that made the reservation; store it. Correcting the email "
        "address and moving the access grant require it. A 200 response never contains it, because a client that "
        "repeats a request, even with the same Idempotency-Key, may be another client.",
    )


class FieldError(BaseModel):
    """A malformed part of a request."""

    where: str
    what: str


_CODES = "\n".join(f"- {code}: {error.meaning}" for code, error in ERROR_CODES.items())


class Problem(BaseModel):
    """Problem document (RFC 9457) with a stable `code`."""

    type: str
    title: str
    status: int
    detail: str
    code: Annotated[str, WithJsonSchema({"type": "string", "enum": list(ERROR_CODES), "description": _CODES})]
    instance: str | None = None
    errors: list[FieldError] | None = None
    approval_id: UUID | None = Field(default=None, description="ID of the proposal, of APPROVAL_REQUIRED.")
    approval_url: str | None = Field(default=None, description="Path of the proposal, of APPROVAL_REQUIRED.")


class GroupedRequest(NewTerms):
    """Terms of new codes, and whether they may name a new group."""

    new_groups: bool | None = Field(
        default=None,
        description="Whether `group` may be one that the ledger does not have yet; false: such a request is refused.",
    )


class IssueRequest(GroupedRequest):
    """Number and terms of new codes."""

    count: int = Field(default=1, ge=1, le=1000)
    open: bool = Field(default=False, description="Whether the code is not bound to its first recipient.")
    prefix: str = Field(
        default="",
        max_length=12,
        pattern=r"^[A-Za-z0-9]*$",
        description="Prefix of every code, such as the name of a campaign.",
    )
    campaign: UUID | None = Field(
        default=None,
        strict=False,
        description="Campaign that the codes belong to permanently. Its group applies if `group` is null, and the terms"
        " of its codes if the request leaves them out.",
    )
    valid_for: Days | None = Field(
        default=None,
        description="How long each code is valid, from its issue or from `starts_at` if that is later: an ISO 8601"
        " duration in days or weeks, such as `P7D` or `P2W`. `expires_at` ends it before. null: only `expires_at` does,"
        " or `valid_for` of the campaign if that is null too.",
    )
    note: Note | None = Field(
        default=None, description="Note in the history of each code; stored encrypted in the vault."
    )


class JoinRequest(StrictRequest):
    """The campaign that a code joins."""

    campaign: UUID = Field(strict=False, description="ID of the campaign.")


class IssuedCode(BaseModel):
    """A new code. No other response contains it in plain text."""

    code: str
    id: UUID


class CodeView(IssuedView):
    """Balance and terms of one code."""

    used_count: int
    reserved: int
    available: int | None = Field(
        description="Uses that are left; null without a limit. Negative by as many uses as were there when a limit was"
        " set below them."
    )
    state: str
    open: bool
    campaign: UUID | None = Field(description="Campaign that the code belongs to.")


class CodePage(BaseModel):
    """A page of codes, in order of issue."""

    codes: list[CodeView]
    next: str | None


class HistoryEvent(BaseModel):
    """An event and the balance after it."""

    position: int
    version: int
    type: str
    at: datetime
    recorded_at: datetime
    reservation_id: UUID | None
    used_count: int
    reserved: int
    available: int | None
    sentence: str


class History(BaseModel):
    """A code's balance and events."""

    id: UUID
    max_uses: int | None
    used_count: int
    reserved: int
    available: int | None
    state: str
    events: list[HistoryEvent]


RevokeAccess = Annotated[
    bool | None,
    Field(
        description="Whether the access grant is revoked too. Required if the invitation was accepted; without it, the "
        "response is 422 ACCESS_CHOICE_REQUIRED. Otherwise, null revokes access that an external system may have "
        "granted. The link in an email always stops working with the refund."
    ),
]


class RefundRequest(StrictRequest):
    """Reason for a refund, and whether the access grant is revoked."""

    note: Note
    revoke_access: RevokeAccess = None


class ReasonRequest(StrictRequest):
    """Reason for a change; stored encrypted in the vault."""

    note: Reason = None


StatedReason = Annotated[str, Field(min_length=1, max_length=2000, pattern=VISIBLE)]


class RevealRequest(StrictRequest):
    """Why the link of an invitation is revealed."""

    reason: StatedReason


class LinkView(BaseModel):
    """The link of an invitation."""

    link: Annotated[str, Field(description="The link by which the recipient accepts the invitation.")]


class ForgetRequest(StrictRequest):
    """The person whose data is erased or exported, and the reason."""

    email: Annotated[str, Field(min_length=3, max_length=320)]
    reason: StatedReason


class ForgottenView(BaseModel):
    """Result of erasing a person."""

    forgotten: list[UUID]
    closed: int


class PersonView(BaseModel):
    """Everything that the ledger stores about a person."""

    format: str
    exported_at: datetime
    email: str
    people: list[dict[str, Any]]
    refused_tries: list[dict[str, Any]]


class NoteRequest(StrictRequest):
    """Text for the history; stored encrypted in the vault."""

    note: Note


class TermsRequest(ChangedTerms):
    """Changed terms of a code. Terms without a field stay as they are."""

    counting: Counting | None = Field(
        default=None,
        description="Which uses a changed `max_uses` counts. all: every use that the code has, also a limit below them,"
        " which stay. from_now: further uses, so those that exist are added to the limit; `If-Match` is required."
        " null: all, and a limit that is lowered below the uses is refused.",
    )
    valid_for: Days | None = Field(
        default=None,
        description="How long the code stays valid, from this change or from `starts_at` if that is later: an ISO 8601"
        " duration in days or weeks, such as `P7D` or `P2W`. An `expires_at` of the same request ends it before. null:"
        " its end stays, or is that of `expires_at`.",
    )
    note: Reason = None


class WholeTerms(NeededTerms):
    """All terms of a code; null: no limit."""

    note: Reason = None


class StaffCorrectionRequest(ReasonRequest):
    """The right email address, set by staff."""

    email: Typed


class StaffRebindRequest(ReasonRequest):
    """Group that an access grant is moved to, set by staff."""

    group: GroupName


class ResolveRequest(StrictRequest):
    """Result of a manual review, and the reason."""

    as_: Literal["sent", "refunded", "retry"] = Field(
        alias="as", description="sent: count the use; refunded: refund it; retry: send the parked invitation again."
    )
    note: Note
    revoke_access: RevokeAccess = None


class BounceRequest(StrictRequest):
    """A bounced delivery."""

    delivery: int = Field(
        default=1, ge=1, le=1000, description="Number of the delivery: in the Message-ID, after the first dot."
    )
    reason: BounceReason = "other"
    reply_code: int | None = Field(default=None, ge=400, le=599, description="SMTP reply code of the server.")
    reply: Annotated[str, Field(max_length=2000)] = ""
    occurred_at: Timestamp | None = Field(
        default=None, description="Time of the bounce, if it was earlier than this request."
    )


class CaseView(BaseModel):
    """A case, which needs manual review."""

    case_id: UUID
    code_id: UUID
    reservation_id: UUID
    delivery: int
    cause: str
    opened_at: datetime
    closed_at: datetime | None
    closed_how: str | None


class CasePage(BaseModel):
    """A page of cases, oldest first."""

    cases: list[CaseView]
    next: str | None


class Readiness(BaseModel):
    """Whether redeem requests can be accepted, and which components are unavailable."""

    status: Literal["ready", "degraded", "unavailable"]
    missing: list[str]
    details: list[str]
