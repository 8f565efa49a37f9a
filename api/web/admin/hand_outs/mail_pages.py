"""The emails of a hand-out at the admin console: as recipients see them, and a test to the member of staff."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, Response

from api.schemas.parsing import parse_email
from api.use_cases.hand_outs.hand_out_preview import preview_hand_out, send_hand_out_test
from api.use_cases.run_blocking import run_blocking
from api.web.admin.context import AdminContext, AdminContextDep
from api.web.admin.groups import EXTRA_WAIT_S
from api.web.rendering import see_other
from api.web.security_headers import MAIL_POLICY, security_headers
from api.web.staff_auth.sessions import AdminWithForm, SupportRoute, Viewer
from api.web.staff_auth.staff import Staff
from domain.ports import Language

router = APIRouter(prefix="/admin/hand-outs/{hand_out_id}", route_class=SupportRoute)


@router.get("/mail")
def show_email(
    admin: AdminContextDep, _: Viewer, hand_out_id: UUID, language: Annotated[Language, Query()]
) -> Response:
    """Show the HTML of a hand-out's email, for the frame on its page."""
    services = admin.services
    shown = preview_hand_out(services, services.settings, admin.preview_sender, hand_out_id, language)
    return HTMLResponse(shown.html, 200, security_headers(MAIL_POLICY))


@router.post("/test")
async def send_test(
    admin: AdminContextDep,
    staff: AdminWithForm,
    hand_out_id: UUID,
    language: Annotated[Language, Form()],
) -> Response:
    """Send a hand-out's email, with a code that does not exist, to the member of staff who asks for it."""
    settings = admin.services.settings
    wait_s = max(settings.smtp_timeout_s, settings.webhook_timeout_s) + EXTRA_WAIT_S
    return await run_blocking(wait_s, _send_test, admin, staff, hand_out_id, language)


def _send_test(admin: AdminContext, staff: Staff, hand_out_id: UUID, language: Language) -> Response:
    services, to = admin.services, parse_email(staff.address)
    outcome, why = send_hand_out_test(
        services, services.settings, admin.preview_sender, staff.caller(), hand_out_id, language, to
    )
    return see_other(f"/admin/hand-outs/{hand_out_id}?test={outcome}{f'.{why}' if why else ''}")
