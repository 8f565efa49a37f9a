"""Wire models of the HTTP API."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from msgspec import structs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, create_model

from api.errors import ERROR_CODES
from api.schemas.code_terms import TERMS
from api.schemas.numbers import Strict
from api.schemas.timestamps import Timestamp
from domain.events.code_terms import SINGLE_USE, TERM_NAMES, CodeTerms
from domain.model.reservation import PublicState
from domain.values.group_name import NAME_LENGTH_MAX, checked_group
from domain.values.identifiers import TYPED_LENGTH_MAX

GroupName = Annotated[
    str,
    Field(min_length=1, max_length=NAME_LENGTH_MAX, pattern=r"^[^\x00-\x1f\x7f]+$"),
    AfterValidator(checked_group),
]
"""One printable line without spaces around it, and not an email address."""
Typed = Annotated[str, Field(min_length=1, max_length=TYPED_LENGTH_MAX)]
Note = Annotated[str, Field(min_length=1, max_length=2000)]
Reason = Annotated[str | None, Field(min_length=1, max_length=2000)]
BounceReason = Literal["mailbox_unknown", "mailbox_full", "refused", "other"]


class StrictRequest(Strict):
    """A request of staff or integrators. Unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


def _describe_terms(defaults: Mapping[str, object]) -> dict[str, Any]:
    """Make a field of a request for each term; one without a default is needed."""
    fields: dict[str, Any] = {}
    for term in TERMS:
        kinds = {"timestamp": Timestamp, "group": GroupName}
        kind = kinds.get(term.kind) or Annotated[int, Field(ge=term.bounds.least, le=term.bounds.most)]
        description = f"null: {term.api_none}" if term.api_none else None
        fields[term.name] = (kind | None, Field(default=defaults.get(term.name, ...), description=description))
    return fields


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
    NewTerms = create_model("NewTerms", __base__=StrictRequest, **_describe_terms(structs.asdict(SINGLE_USE)))
    ChangedTerms = create_model("ChangedTerms", __base__=StrictRequest, **_describe_terms(dict.fromkeys(TERM_NAMES)))
    NeededTerms = create_model("NeededTerms", __base__=StrictRequest, **_describe_terms({}))
    _SHOWN = {name: (kind, ...) for name, kind in CodeTerms.__annotations__.items()}
    TermsView = create_model(
        "TermsView", __doc__="What a code promises. null: without limit, never, for ever, no group.", **_SHOWN
    )
    IssuedView = create_model("IssuedView", id=(UUID, ...), issued_at=(datetime, ...), **_SHOWN)


class RedeemRequest(BaseModel):
    """A code and the address that the invitation goes to."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"examples": [{"email": "li.wei@example.com", "code": "MCM1-PRY5-KC9W-VE1A-S4PD"}]},
    )

    email: Typed
    code: Typed
    again: UUID | None = Field(default=None, description="Id of a sent reservation of yours, to take a further use.")


class RedemptionView(BaseModel):
    """A reservation as its owner may see it."""

    success: bool
    message: str
    reservation_id: UUID
    state: PublicState
    detail_code: str | None = Field(default=None, description="Why a refunded reservation was given back.")
    status_url: str
    correction_token: str | None = Field(
        default=None,
        description="Only in a 202 to the client that made the reservation: keep it. Correcting the email address and "
        "moving the access need it. A 200 never carries it, also not under the same Idempotency-Key: a key may be "
        "guessed, and who repeats a request is not known to have made the reservation.",
    )


class FieldError(BaseModel):
    """Which part of a request is malformed, and why."""

    where: str
    what: str


_CODES = "\n".join(f"- {code}: {error.meaning}" for code, error in ERROR_CODES.items())


class Problem(BaseModel):
    """RFC 9457 problem document with a stable `code`. `errors`: the parts that are malformed."""

    type: str
    title: str
    status: int
    detail: str
    code: Annotated[str, WithJsonSchema({"type": "string", "enum": list(ERROR_CODES), "description": _CODES})]
    instance: str | None = None
    errors: list[FieldError] | None = None


class IssueRequest(NewTerms):
    """Terms of new codes."""

    count: int = Field(default=1, ge=1, le=1000)
    open: bool = Field(default=False, description="Not bound to the first person who redeems it.")
    prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9]{0,12}$",
        description="Letters that every code begins with, such as a campaign's name.",
    )
    note: Note | None = Field(default=None, description="Stands in each code's history; kept sealed in the vault.")


class IssuedCode(BaseModel):
    """A new code; its text is shown here and nowhere else in clear."""

    code: str
    id: UUID


class CodeView(IssuedView):
    """Balance and terms of one code."""

    used_count: int
    reserved: int
    available: int | None
    state: str
    open: bool


class CodePage(BaseModel):
    """A page of codes in order of issue; `next` is the cursor of the following page, null on the last."""

    codes: list[CodeView]
    next: str | None


class HistoryEvent(BaseModel):
    """One event and the balance after it."""

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
    """A code's balance and the events that made it."""

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
        description="Whether the access that a sent invitation gave is revoked too. Required where the invitation was "
        "accepted: without it, 422 ACCESS_CHOICE_REQUIRED. Otherwise, null revokes what a group's own system may have "
        "given; the link of an email ends with the refund."
    ),
]


class RefundRequest(StrictRequest):
    """Why a use is given back; kept sealed in the vault."""

    note: Note
    revoke_access: RevokeAccess = None


class ReasonRequest(StrictRequest):
    """Why; kept sealed in the vault."""

    note: Reason = None


class ForgetRequest(StrictRequest):
    """Who is meant, and why they are forgotten or their data given out (kept sealed, so without the address)."""

    email: Annotated[str, Field(min_length=3, max_length=320)]
    reason: Annotated[str, Field(min_length=1, max_length=2000)]


class ForgottenView(BaseModel):
    """What became of it: ids that were forgotten (none: nobody had this address), and reservations closed for it."""

    forgotten: list[UUID]
    closed: int


class PersonView(BaseModel):
    """All that is known of a person. `people` is empty where nobody with this address reserved anything."""

    format: str
    exported_at: datetime
    email: str
    people: list[dict[str, Any]]
    refused_tries: list[dict[str, Any]]


class NoteRequest(StrictRequest):
    """What is to stand in the history; kept sealed in the vault."""

    note: Note


class TermsRequest(ChangedTerms):
    """New terms of a code. What is not named stays as it is."""

    note: Reason = None


class WholeTerms(NeededTerms):
    """All terms of a code; each is needed, null where it does not bound anything."""

    note: Reason = None


class StaffCorrectionRequest(ReasonRequest):
    """The right address, by staff."""

    email: Typed


class StaffRebindRequest(ReasonRequest):
    """The group that an access is moved to, by staff."""

    group: GroupName


class ResolveRequest(StrictRequest):
    """What a person found out, and why; the note is kept sealed in the vault."""

    as_: Literal["sent", "refunded", "retry"] = Field(
        alias="as", description="sent: count it. refunded: give it back. retry: what is parked in doubt is tried on."
    )
    note: Note
    revoke_access: RevokeAccess = None


class BounceRequest(StrictRequest):
    """A delivery that came back; the server's words are kept sealed in the vault."""

    delivery: int = Field(default=1, ge=1, le=1000, description="The number in the Message-ID, after the first dot.")
    reason: BounceReason = "other"
    reply_code: int | None = Field(default=None, ge=400, le=599, description="The server's SMTP reply code.")
    reply: Annotated[str, Field(max_length=2000)] = ""
    occurred_at: Timestamp | None = Field(default=None, description="When it came back, if that was earlier.")


class CaseView(BaseModel):
    """Something that only a person may decide."""

    case_id: UUID
    code_id: UUID
    reservation_id: UUID
    delivery: int
    cause: str
    opened_at: datetime
    closed_at: datetime | None
    closed_how: str | None


class CasePage(BaseModel):
    """A page of cases in order of opening; `next` is the cursor of the following page, null on the last."""

    cases: list[CaseView]
    next: str | None


class Readiness(BaseModel):
    """Whether redemptions can be accepted; what is missing only delays the mail."""

    status: Literal["ready", "degraded", "unavailable"]
    missing: list[str]
    details: list[str]
