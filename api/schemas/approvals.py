"""Proposals that wait for the approval of a second person, as the API shows them."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from projections.config.approvals import ApprovalKind
from projections.repositories.approvals import ApprovalState, Proposal, ProposerKind


class ApprovalView(BaseModel):
    """A proposal, without the reason and without data of a person."""

    id: UUID
    kind: ApprovalKind = Field(description="The kind of action that is proposed.")
    subject_id: UUID | None = Field(description="ID of what the action is about, if it has one.")
    state: ApprovalState = Field(description="What became of the proposal.")
    outcome: str | None = Field(
        description="`done`, or the code of the refusal, once an approved action was performed; otherwise null."
    )
    proposed_by: ProposerKind = Field(description="Whether staff, an API key or an operator proposed it.")
    proposer_id: str | None = Field(description="ID of the member of staff, of the API key or of the operator.")
    proposed_at: datetime
    expires_at: datetime
    decided_by: UUID | None = Field(description="ID of the member of staff who approved, rejected or withdrew it.")
    decided_at: datetime | None

    @classmethod
    def of(cls, proposal: Proposal, now: datetime) -> Self:
        """Return a proposal as of now."""
        return cls(
            id=proposal.approval_id,
            kind=proposal.kind,
            subject_id=proposal.subject_id,
            state=proposal.state_at(now),
            outcome=proposal.outcome,
            proposed_by=proposal.proposer.actor,
            proposer_id=proposal.proposer.actor_id,
            proposed_at=proposal.proposed_at,
            expires_at=proposal.expires_at,
            decided_by=proposal.decided_by,
            decided_at=proposal.decided_at,
        )


class ApprovalPage(BaseModel):
    """One page of proposals."""

    approvals: list[ApprovalView]
    next: str | None
