"""Any other address of the office, so that its fault is a page of the office. It is the last route."""

from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from api.http.allowed_methods import not_found
from api.use_cases.administration.batch_runner import BatchRunner
from api.use_cases.administration.webhooks import HookPost
from api.use_cases.services import Services
from api.web.staff_auth.sessions import Admin, SupportRoute
from api.web.support import SupportContext
from domain.ports import OutboundMessage, Outcome
from projections.read_models.code_list import CodeListReader
from projections.repositories.api_keys import ApiKeyRepository
from projections.repositories.groups import GroupRepository
from projections.repositories.issue_batches import BatchRepository
from projections.repositories.staff_accounts import StaffAccountRepository


class InvitationPreview(Protocol):
    """A letter as its reader sees it."""

    @property
    def subject(self) -> str:
        """One line."""

    @property
    def text(self) -> str:
        """The text part."""

    @property
    def html(self) -> str:
        """The HTML part, a page of its own."""


class PreviewSender(HookPost, Protocol):
    """Writes letters and sends single ones at once; sends tests to webhook endpoints."""

    def preview(self, invitation: OutboundMessage) -> InvitationPreview:
        """The letter as it would arrive."""

    def send(self, invitation: OutboundMessage) -> Outcome:
        """Send one letter now, in the calling thread; for as long as the channel's time-out at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminContext:
    """One process's admin office. `support` is that of support: sessions and the audit are the same."""

    services: Services
    support: SupportContext
    preview_sender: PreviewSender
    runner: BatchRunner
    batches: BatchRepository
    codes: CodeListReader
    groups: GroupRepository
    keys: ApiKeyRepository
    accounts: StaffAccountRepository

    @classmethod
    def from_services(
        cls, services: Services, support: SupportContext, preview_sender: PreviewSender
    ) -> "AdminContext":
        """An office over the services of a started application; its runner works from now on."""
        storage = services.storage
        batches, codes = BatchRepository(storage), CodeListReader(storage)
        runner = BatchRunner(storage, batches, codes, services.new_id)
        runner.start()
        return cls(
            services=services,
            support=support,
            preview_sender=preview_sender,
            runner=runner,
            batches=batches,
            codes=codes,
            groups=GroupRepository(storage),
            keys=ApiKeyRepository(storage),
            accounts=StaffAccountRepository(storage),
        )


async def _admin_context(request: Request) -> AdminContext:
    admin: AdminContext = request.app.state.admin
    return admin


AdminContextDep = Annotated[AdminContext, Depends(_admin_context)]


router = APIRouter(prefix="/admin", route_class=SupportRoute)


@router.get("/{_path:path}")
async def unknown_page(request: Request, _: Admin, _path: str) -> Response:
    """Not found, or only for other methods."""
    raise not_found(request)
