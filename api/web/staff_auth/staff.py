"""The staff member who asks for a page, and what their role opens."""

from dataclasses import dataclass
from uuid import UUID

from api.use_cases.services import Caller
from projections.config.staff_roles import RANK, Role
from projections.repositories.staff_sessions import Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """The signed-in member of staff.

    Attributes:
        form_token: It goes into every form of the page.
        proof: Their last proof that it is them.
        must_add_factor: Whether the session may do nothing but add a second factor, which the role needs.
        approvals: Proposals that they could decide; None where no action waits for a second person.
    """

    staff_id: UUID
    role: Role
    address: str
    form_token: str
    proof: Proof | None = None
    must_add_factor: bool = False
    approvals: int | None = None

    def has_role(self, role: Role) -> bool:
        """Return whether the member may do what this role may."""
        return RANK[self.role] >= RANK[role]

    def caller(self, request_id: str | None = None) -> Caller:
        """Return the member as events name them."""
        return Caller(actor="staff", actor_id=str(self.staff_id), request_id=request_id, proof=self.proof)
