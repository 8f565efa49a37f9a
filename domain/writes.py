"""What a batch writes next to its events: the decisions say it, and the store knows no command."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct, field

from domain.model.hand_out import HandOutText
from domain.model.suppression import Suppression
from domain.ports import CodeDraft, Language, RecipientDraft, TextDraft


class IdempotencyKey(Struct, frozen=True, kw_only=True):
    """Digests of a client's Idempotency-Key within its scope, and of the body that came with it.

    `older`: the same under the peppers that were used before, by which it may be remembered.
    """

    scope_digest: bytes
    body_digest: bytes
    older: Sequence["IdempotencyKey"] = ()

    def spellings(self) -> Sequence["IdempotencyKey"]:
        """Return the digests under which the key may be stored, the present one first."""
        return (self, *self.older)


class RememberedKey(Struct, frozen=True):
    """What an Idempotency-Key stands for: the digest of the request's body, and the reservation it led to."""

    body_digest: bytes
    reservation_id: UUID


class NewKey(RememberedKey, frozen=True):
    """The same, as a command of this batch leaves it at a time."""

    at: datetime


class GivenCode(Struct, frozen=True, kw_only=True):
    """The row of a list with one recipient, who gets a code that existed before.

    Attributes:
        upload_id: The list.
        language: Of the email.
        sealed: The values that the text of the email names, encrypted; None without any.
        key_id: The key of `sealed`.
        now: From when the email is due.
    """

    code_id: UUID
    campaign_id: UUID
    recipient_id: UUID
    hand_out_id: UUID
    upload_id: UUID
    language: Language
    sealed: bytes | None
    key_id: int | None
    now: datetime


class RefusedRequest(Struct, frozen=True):
    """A refused request of a person for a code that exists. `reason` is the code of the refusal."""

    code_id: UUID
    at: datetime
    recipient: RecipientDraft
    reason: str


class NewSuppression(NamedTuple):
    """An address that is not written to for a time, by the id of its recipient.

    `text_id` names the report that says so, which is stored with it, so that it is recognized when it comes again; None
    if an event names it.
    """

    recipient_id: UUID
    suppression: Suppression
    since: datetime
    until: datetime
    text_id: UUID | None = None


class Writes(Struct):
    """What the commands of a batch write, in their order.

    Attributes:
        recipients: New recipients by their first digest.
        code_texts: Texts of new codes, by the ids of the codes.
        texts: Free texts. The store keeps those that a new event or suppression names, with the persons whom it is
            about.
        given_codes: Rows of the lists of hand-outs.
        hand_out_texts: Changed texts by hand-out and language.
        keys: What Idempotency-Keys led to, by their scope.
        refused_requests: Refused requests of persons for codes that exist.
        suppressions: Addresses that are not written to for a time.
        unknown_code_requests: When persons requested unknown codes.
    """

    recipients: dict[bytes, RecipientDraft] = field(default_factory=dict)
    code_texts: dict[UUID, CodeDraft] = field(default_factory=dict)
    texts: list[TextDraft] = field(default_factory=list)
    given_codes: list[GivenCode] = field(default_factory=list)
    hand_out_texts: dict[UUID, Mapping[Language, HandOutText]] = field(default_factory=dict)
    keys: dict[bytes, NewKey] = field(default_factory=dict)
    refused_requests: list[RefusedRequest] = field(default_factory=list)
    unknown_code_requests: list[datetime] = field(default_factory=list)
    suppressions: list[NewSuppression] = field(default_factory=list)
