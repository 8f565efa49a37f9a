"""Requests and responses about hand-outs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.code_terms import document_of_terms
from api.schemas.groups import TEXT_LENGTH_MAX, Subject
from api.schemas.parsing import SEVERAL_LINES
from api.schemas.resources import Days, GroupedRequest, ReasonRequest, StatedReason, StrictRequest
from api.schemas.timestamps import Timestamp
from domain.commands.hand_out.manage_hand_out import TextChange
from domain.events.code_terms import TERM_NAMES, CodeTerms
from domain.model.hand_out import HandOutText
from domain.ports import Language
from domain.values.group_name import NAME_LENGTH_MAX
from domain.values.identifiers import TYPED_LENGTH_MAX
from domain.values.number_bounds import DAYS, MAILS_PER_MINUTE, format_days
from projections.hand_outs.hand_out_reader import HandOutProgress, Person

Text = Annotated[
    str,
    Field(
        max_length=TEXT_LENGTH_MAX,
        pattern=SEVERAL_LINES,
        description="`{name}` stands for the variable `name` of the recipient, `{group}` for the group.",
    ),
]
Rate = Annotated[
    int | None,
    Field(
        ge=MAILS_PER_MINUTE.least,
        le=MAILS_PER_MINUTE.most,
        description="Most emails per minute; null: as fast as workers send.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOutOrder:
    """What a new hand-out is.

    Attributes:
        name: For staff.
        terms: Of its codes.
        named: Names of the terms that the order names; others follow the campaign.
        bound: Whether only the first recipient of each code may redeem it.
        existing_codes: Whether its lists name codes that exist, which keep their terms.
        is_draft: Whether nothing is sent until it is started.
        valid_for_days: Days from the hand-out of each code to its end; None: only the terms end it.
        per_minute: Most emails per minute; None for as fast as workers send.
        texts: Its own subject and text by language, which replace those of the ledger.
    """

    name: str
    terms: CodeTerms
    named: Collection[str]
    bound: bool = True
    existing_codes: bool = False
    is_draft: bool = False
    valid_for_days: int | None = None
    per_minute: int | None = None
    texts: Mapping[Language, HandOutText]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailingChange:
    """What changes about the emails of a hand-out.

    Attributes:
        changes_rate: Whether `per_minute` is the new rate.
        per_minute: Most emails per minute; None for as fast as workers send.
        texts: New texts by language; other languages keep theirs.
    """

    changes_rate: bool = False
    per_minute: int | None = None
    texts: Mapping[Language, TextChange]


class HandOutTextRequest(StrictRequest):
    """Subject and text of a hand-out's emails in one language. Empty ones are those of the ledger."""

    subject: Subject = ""
    text: Text = ""


class HandOutTextsRequest(StrictRequest):
    """A hand-out's own texts by language."""

    en: Annotated[HandOutTextRequest | None, Field(description="In English.")] = None
    zh: Annotated[HandOutTextRequest | None, Field(description="In Chinese.")] = None

    def by_language(self) -> dict[Language, HandOutText]:
        """Return the texts that the request names."""
        named: dict[Language, HandOutTextRequest | None] = {"en": self.en, "zh": self.zh}
        return {name: HandOutText(text.subject, text.text) for name, text in named.items() if text is not None}


class ExportRequest(StrictRequest):
    """Why email addresses are exported."""

    reason: StatedReason


class HandOutStartRequest(ReasonRequest):
    """From when recipients get their codes, and the reason."""

    starts_at: Timestamp | None = Field(default=None, description="From when; null: at once.")


class HandOutRequest(GroupedRequest):
    """A new hand-out, and the terms of its codes."""

    campaign: UUID = Field(strict=False, description="The campaign that its codes belong to.")
    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=NAME_LENGTH_MAX,
            description="Name for staff: one printable line. Events store it permanently.",
        ),
    ]
    per_minute: Rate = None
    open: bool = Field(default=False, description="Whether its codes are not bound to their first recipient.")
    existing_codes: bool = Field(
        default=False,
        description="Whether each line of its lists names a code of the campaign that exists. These codes keep their"
        " terms, so the request may name no term but `group`.",
    )
    draft: bool = Field(default=False, description="Whether nothing is sent until `resume` starts it.")
    valid_for: Days | None = Field(
        default=None,
        description="How long each code is valid, from when it is handed out or from `starts_at` if that is later: an"
        f" ISO 8601 duration in days or weeks, such as `P7D` or `P2W`, at most `P{DAYS.most}D`. `expires_at` ends it"
        " before. Null: only `expires_at` does, or `valid_for` of the campaign if that is null too.",
    )
    texts: HandOutTextsRequest | None = Field(default=None, description="Its own texts; null: those of the ledger.")

    def order(self) -> HandOutOrder:
        """Return what the hand-out is."""
        return HandOutOrder(
            name=self.name,
            terms=CodeTerms(**{name: getattr(self, name) for name in TERM_NAMES}),
            named=self.model_fields_set,
            bound=not self.open,
            existing_codes=self.existing_codes,
            is_draft=self.draft,
            valid_for_days=self.valid_for,
            per_minute=self.per_minute,
            texts={} if self.texts is None else self.texts.by_language(),
        )


class HandOutTextChange(StrictRequest):
    """What changes about the text in one language. What is left out stays; null or an empty one is the ledger's."""

    subject: Annotated[Subject | None, Field(description="Subject of the email, one line.")] = None
    text: Annotated[Text | None, Field(description="Text of the email, with variables as at the creation.")] = None

    def change(self) -> TextChange:
        """Return what the request names."""
        named = self.model_fields_set
        return TextChange(
            subject=(self.subject or "") if "subject" in named else None,
            body=(self.text or "") if "text" in named else None,
        )


class HandOutTextsChange(StrictRequest):
    """What changes about the texts, by language. A language that is left out stays; null is the text of the ledger."""

    en: Annotated[HandOutTextChange | None, Field(description="In English.")] = None
    zh: Annotated[HandOutTextChange | None, Field(description="In Chinese.")] = None

    def by_language(self) -> dict[Language, TextChange]:
        """Return the changes that the request names."""
        changes: dict[Language, HandOutTextChange | None] = {"en": self.en, "zh": self.zh}
        return {
            name: TextChange("", "") if change is None else change.change()
            for name, change in changes.items()
            if name in self.model_fields_set
        }


class HandOutChange(StrictRequest):
    """What changes about the emails of a hand-out. What is left out stays as it is."""

    per_minute: Rate = None
    texts: Annotated[HandOutTextsChange | None, Field(description="Its own texts; null: those of the ledger.")] = None

    def change(self) -> MailingChange:
        """Return what the request names."""
        texts: dict[Language, TextChange] = {}
        if "texts" in self.model_fields_set:
            empty = TextChange("", "")
            texts = {"en": empty, "zh": empty} if self.texts is None else self.texts.by_language()
        return MailingChange(
            changes_rate="per_minute" in self.model_fields_set, per_minute=self.per_minute, texts=texts
        )


class HandOutTextView(BaseModel):
    """Subject and text of a hand-out's emails in one language. Empty ones are those of the ledger."""

    subject: Annotated[str, Field(description="Subject of the email.")]
    text: Annotated[str, Field(description="Text of the email.")]


class HandOutView(BaseModel):
    """A hand-out, and how many recipients are in each state."""

    id: UUID
    campaign: Annotated[UUID, Field(description="The campaign that its codes belong to.")]
    name: Annotated[str, Field(description="Its name, for staff.")]
    state: Annotated[
        str, Field(description="draft, scheduled, running, paused or ended. The end of the campaign ends it.")
    ]
    starts_at: Annotated[datetime | None, Field(description="Start that was planned last; null if none was.")]
    waits_for: Annotated[
        str | None,
        Field(
            description="Why it sends nothing although it is running: campaign_paused, or campaign_full if the campaign"
            " has no use left, or none but those that are kept for its waiting list; null otherwise."
        ),
    ]
    created_at: datetime
    per_minute: int | None
    open: bool
    existing_codes: Annotated[bool, Field(description="Whether each line of its lists names a code that exists.")]
    valid_for: Annotated[
        str | None, Field(description="How long each code is valid from when it is handed out, such as `P7D`.")
    ]
    texts: Annotated[
        dict[str, HandOutTextView], Field(description="Its own texts by language, `en` or `zh`; without: the ledger's.")
    ]
    terms: Annotated[dict[str, object], Field(description="Terms of its codes.")]
    recipients: Annotated[int, Field(description="Recipients of its list.")]
    codes: Annotated[int, Field(description="Codes of all recipients, issued or not.")]
    waiting_codes: Annotated[int, Field(description="Codes of the recipients who get their first email and have none.")]
    processed: Annotated[
        int, Field(description="Recipients whose first email ended, or who want none. Resends do not lower it.")
    ]
    resends: Annotated[int, Field(description="Recipients in the state queued who have had an email before.")]
    counts: Annotated[
        dict[str, int],
        Field(
            description="Recipients by state: queued, sent, reminded, redeemed, bounced, refused, unknown, opted_out,"
            " suppressed, expired or not_sent."
        ),
    ]


class HandOutPage(BaseModel):
    """A page of hand-outs, in order of creation."""

    hand_outs: list[HandOutView]
    next: str | None


class RecipientView(BaseModel):
    """A recipient of a hand-out."""

    code_id: Annotated[
        UUID, Field(description="ID of the code that is, or will be, issued for the recipient; the first of several.")
    ]
    recipient_id: UUID
    language: Annotated[str, Field(description="Language of the email, `en` or `zh`.")]
    state: Annotated[
        str,
        Field(
            description="queued, sent, reminded, redeemed, bounced, refused, unknown, opted_out, suppressed, expired or"
            " not_sent."
        ),
    ]
    codes: Annotated[int, Field(description="How many codes the recipient gets: the count of the line.")]
    redeemed: Annotated[int, Field(description="How many of these codes have a reserved or counted use.")]
    mail: Annotated[int, Field(description="Number of the newest email; 0: none yet.")]
    handed_out_at: Annotated[datetime | None, Field(description="Time of the issue of the code; null before.")]
    changed_at: Annotated[datetime | None, Field(description="Time of the newest event of the email.")]


class RecipientPage(BaseModel):
    """A page of recipients, in the order of the list. `next`: send it as `after` for the next page."""

    recipients: list[RecipientView]
    next: int | None


class ListFault(BaseModel):
    """A line of a list, and what about it."""

    line: int
    reason: Annotated[str, Field(description="A stable word for what it is.")]
    column: Annotated[str, Field(description="The column that it is about; empty if it is about the whole line.")]
    why: str


class UploadView(BaseModel):
    """Result of an upload. If a line is rejected, nothing is stored."""

    applied: bool
    lines: int
    added: Annotated[int, Field(description="Recipients who get a code; of a dry run, who would get one.")]
    codes: Annotated[int, Field(description="Codes that these recipients get together: the sum of their counts.")]
    repeated: Annotated[int, Field(description="Lines whose recipient an earlier line has; they are left out.")]
    listed: Annotated[
        int, Field(description="Lines whose recipient gets a code of the campaign already; they are left out.")
    ]
    rejected: int
    faults: Annotated[list[ListFault], Field(description="The first 100 rejected lines.")]
    left_out: Annotated[list[ListFault], Field(description="The first 100 lines that are left out.")]
    warnings: Annotated[
        list[ListFault],
        Field(
            description="The first 100 lines that are added, and whose address is one person with an earlier line, or"
            " has a throw-away domain, by the rules of the campaign."
        ),
    ]
    missing_variables: Annotated[
        list[str],
        Field(description="Variables of the email's text that no line in its language fills; emails leave them out."),
    ]
    encoding: Annotated[str, Field(description="The encoding in which the list was read.")]
    rejects: str | None


class MailView(BaseModel):
    """An email as it would arrive."""

    subject: Annotated[str, Field(description="Subject of the email.")]
    text: Annotated[str, Field(description="The text part.")]
    html: Annotated[str, Field(description="The HTML part, a complete page.")]


class GivenCodeRequest(StrictRequest):
    """A code that exists, and the recipient who gets it."""

    code: Annotated[str, Field(max_length=TYPED_LENGTH_MAX, description="The code, or its ID.")]
    email: Annotated[str, Field(max_length=TYPED_LENGTH_MAX, description="One email address.")]
    language: Annotated[Language | None, Field(description="By default that of the ledger.")] = None
    variables: Annotated[
        dict[str, str] | None, Field(max_length=20, description="Values that the text of the email names.")
    ] = None


class TestMailRequest(StrictRequest):
    """Where a test email goes."""

    email: Annotated[str, Field(max_length=TYPED_LENGTH_MAX, description="One email address.")]
    language: Annotated[Language | None, Field(description="By default that of the ledger.")] = None


class TestMailView(BaseModel):
    """Outcome of a test email."""

    outcome: Annotated[str, Field(description="sent, failed, deferred or unknown.")]
    why: Annotated[str, Field(description="Why it was not sent, as a stable word; empty if it was.")]


def view_of_hand_out(progress: HandOutProgress, now: datetime) -> HandOutView:
    """Return a hand-out as the API shows it."""
    details = progress.details
    return HandOutView(
        id=details.hand_out.hand_out_id,
        campaign=details.hand_out.campaign_id,
        name=details.created.name,
        state=details.state_at(now, is_campaign_over=progress.campaign.has_ended(now)),
        starts_at=details.hand_out.starts_at,
        waits_for=progress.find_obstacle(now),
        created_at=details.created_at,
        per_minute=details.hand_out.per_minute,
        open=not details.created.bound,
        existing_codes=details.created.existing_codes,
        valid_for=None if (days := details.created.valid_for_days) is None else format_days(days),
        texts={name: HandOutTextView(subject=own.subject, text=own.body) for name, own in progress.texts.items()},
        terms=document_of_terms(details.created.terms),
        recipients=progress.people,
        codes=progress.codes,
        waiting_codes=progress.waiting_codes,
        processed=progress.processed,
        resends=progress.resends,
        counts={**progress.counts},
    )


def view_of_person(person: Person) -> RecipientView:
    """Return a recipient as the API shows them: without the email address."""
    return RecipientView(
        code_id=person.code_id,
        recipient_id=person.recipient_id,
        language=person.language,
        state=person.state,
        codes=person.codes,
        redeemed=person.redeemed,
        mail=person.mail,
        handed_out_at=person.handed_out_at,
        changed_at=person.changed_at,
    )
