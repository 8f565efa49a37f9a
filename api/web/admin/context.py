"""What the admin pages share: their context, rendering, and the page of an unknown path."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from api.http.allowed_methods import not_found
from api.use_cases.administration.batch_runner import BatchRunner
from api.use_cases.administration.webhook_endpoints import HookPost
from api.use_cases.services import Services
from api.web.rendering import page
from api.web.staff_auth.rendering import find_usual_rebinds, get_language
from api.web.staff_auth.sessions import Admin, SupportRoute
from api.web.staff_auth.staff import Staff
from api.web.support import SupportContext
from domain.model.campaign import Campaign
from domain.ports import OutboundMessage, Outcome
from projections.read_models.code_list import CodeListReader
from projections.read_models.statements import HistoryReader
from projections.repositories.api_keys import ApiKeyRepository
from projections.repositories.groups import GroupRepository
from projections.repositories.issue_batches import BatchRepository
from projections.repositories.staff_accounts import StaffAccountRepository


class InvitationPreview(Protocol):
    """An invitation as its recipient sees it."""

    @property
    def subject(self) -> str:
        """One line."""

    @property
    def text(self) -> str:
        """The text part."""

    @property
    def html(self) -> str:
        """The HTML part, as a complete page."""


class PreviewSender(HookPost, Protocol):
    """Renders invitations, sends a single one, and sends tests to webhook endpoints."""

    def preview(self, invitation: OutboundMessage) -> InvitationPreview:
        """Render an invitation as its recipient would see it."""

    def send(self, invitation: OutboundMessage) -> Outcome:
        """Send one invitation in the calling thread; returns within the channel's timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminContext:
    """What the admin pages of one process work with; sessions and audit log are those of the support console."""

    services: Services
    support: SupportContext
    preview_sender: PreviewSender
    runner: BatchRunner
    batches: BatchRepository
    codes: CodeListReader
    groups: GroupRepository
    keys: ApiKeyRepository
    accounts: StaffAccountRepository
    campaign_histories: HistoryReader[Campaign]

    @classmethod
    def from_services(
        cls, services: Services, support: SupportContext, preview_sender: PreviewSender
    ) -> "AdminContext":
        """Build the context of a started application, and start the runner of its batches."""
        storage = services.storage
        batches = BatchRepository(storage)
        runner = BatchRunner(services, batches)
        runner.start()
        return cls(
            services=services,
            support=support,
            preview_sender=preview_sender,
            runner=runner,
            batches=batches,
            codes=CodeListReader(storage),
            groups=GroupRepository(storage),
            keys=ApiKeyRepository(storage),
            accounts=StaffAccountRepository(storage),
            campaign_histories=services.campaign_histories,
        )

    def find_suffixes(self, code_ids: Sequence[UUID]) -> dict[UUID, str]:
        """Return what may be shown of the texts of codes, their ends, by id."""
        return {code_id: text.suffix for code_id, text in self.codes.find_texts(code_ids, clear=False).items()}


async def _admin_context(request: Request) -> AdminContext:
    admin: AdminContext = request.app.state.admin
    return admin


AdminContextDep = Annotated[AdminContext, Depends(_admin_context)]


def admin_page(request: Request, template: str, staff: Staff, *, status: int = 200, **context: Any) -> Response:
    """Render a page for an admin who is signed in."""
    return page(
        request,
        f"admin/{template}",
        get_language(request),
        status=status,
        staff=staff,
        usual_rebinds=find_usual_rebinds(request),
        **context,
    )


router = APIRouter(prefix="/admin", route_class=SupportRoute)


@router.get("/{_path:path}")
def unknown_page(request: Request, _: Admin, _path: str) -> Response:
    """Answer any other path below /admin with an error page. This is the last route."""
    raise not_found(request)
