"""What can be asked for and may need an approval: each kind as it is stored, without personal data."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, get_args
from uuid import UUID

import msgspec

from projections.config.approvals import ApprovalKind
from projections.config.staff_roles import Role


class GuardedRequest(msgspec.Struct, frozen=True, tag_field="what", forbid_unknown_fields=True):
    """A request that may need an approval. A process of an earlier version does not read one that has more fields.

    Attributes:
        KIND: The kind by which a setting names it.
        ROLE: The role that the action needs, and so its approval.
    """

    KIND: ClassVar[ApprovalKind]
    ROLE: ClassVar[Role]

    @property
    def subject_id(self) -> UUID | None:
        """What it is about, as the audit log names it; None if the request itself does not say so."""
        return None


class RefundUse(GuardedRequest, frozen=True, tag="refund_use"):
    """Refund the use of one reservation: by a refund, before it is sent, or as the decision of a case."""

    KIND: ClassVar[ApprovalKind] = "refund"
    ROLE: ClassVar[Role] = "support"

    reservation_id: UUID
    how: Literal["refund", "cancel", "resolve"]
    revoke_access: bool | None = None

    @property
    def subject_id(self) -> UUID | None:
        """The reservation."""
        return self.reservation_id


class RefundPending(GuardedRequest, frozen=True, tag="refund_pending"):
    """Refund each pending reservation of a code."""

    KIND: ClassVar[ApprovalKind] = "refund"
    ROLE: ClassVar[Role] = "support"

    code_id: UUID

    @property
    def subject_id(self) -> UUID | None:
        """The code."""
        return self.code_id


class RefundOutage(GuardedRequest, frozen=True, tag="refund_outage"):
    """Refund each reservation that an outage affected."""

    KIND: ClassVar[ApprovalKind] = "refund"
    ROLE: ClassVar[Role] = "support"

    start: datetime
    end: datetime
    include_sent: bool
    channel: str | None = None
    server: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeConditions:
    """Which codes are meant: those of a batch, or else of a list by its conditions; None or an empty text is none.

    `until` is the first time after the range of their issue.
    """

    state: str = ""
    group: str = ""
    campaign: UUID | None = None
    kind: str = ""
    since: datetime | None = None
    until: datetime | None = None


class RevokeCodes(GuardedRequest, frozen=True, tag="revoke_codes"):
    """Revoke the codes of a batch or of a list."""

    KIND: ClassVar[ApprovalKind] = "revoke_batch"
    ROLE: ClassVar[Role] = "admin"

    conditions: CodeConditions
    batch_id: UUID | None = None

    @property
    def subject_id(self) -> UUID | None:
        """The batch, if it is about one."""
        return self.batch_id


class RevokeLine(GuardedRequest, frozen=True, tag="revoke_line"):
    """Revoke the codes of a line of a hand-out, which has the id of its first code."""

    KIND: ClassVar[ApprovalKind] = "revoke_batch"
    ROLE: ClassVar[Role] = "admin"

    line_id: UUID

    @property
    def subject_id(self) -> UUID | None:
        """The line."""
        return self.line_id


class CampaignEnd(GuardedRequest, frozen=True, tag="end_campaign"):
    """End a campaign permanently."""

    KIND: ClassVar[ApprovalKind] = "end_campaign"
    ROLE: ClassVar[Role] = "admin"

    campaign_id: UUID

    @property
    def subject_id(self) -> UUID | None:
        """The campaign."""
        return self.campaign_id


class PersonExport(GuardedRequest, frozen=True, tag="export_person"):
    """Export everything about the person with an email address, which is stored encrypted."""

    KIND: ClassVar[ApprovalKind] = "export_person"
    ROLE: ClassVar[Role] = "admin"


class PersonErasureRequest(GuardedRequest, frozen=True, tag="erase_person"):
    """Erase the data of the person with an email address, which is stored encrypted."""

    KIND: ClassVar[ApprovalKind] = "erase_person"
    ROLE: ClassVar[Role] = "admin"


AnyRequest = (
    RefundUse
    | RefundPending
    | RefundOutage
    | RevokeCodes
    | RevokeLine
    | CampaignEnd
    | PersonExport
    | PersonErasureRequest
)
ROLES: dict[ApprovalKind, Role] = {each.KIND: each.ROLE for each in get_args(AnyRequest)}
"""The role that each kind of action needs."""


def store_request(request: AnyRequest) -> str:
    """Return the canonical form of a request: the same one for the same request."""
    return msgspec.json.encode(request, order="deterministic").decode()


def read_request(asked: str) -> AnyRequest:
    """Return the request of a canonical form."""
    request: AnyRequest = msgspec.json.decode(asked, type=AnyRequest)
    return request
