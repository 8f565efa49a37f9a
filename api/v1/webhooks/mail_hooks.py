"""Hooks of mail providers: a provider reports bounces, delays and complaints of emails that it accepted.

Each request is verified as the provider signs it. A report changes something once, so a request that comes again needs
no record: it is accepted and changes nothing. One without a valid token is accepted too, because providers repeat what
is refused.
"""

import logging
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field

from api.errors import ApplicationError
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import TheServices, request_id_of
from api.http.openapi import problem_responses
from api.use_cases.mail_hooks.hook import BODY_BYTES_MAX, HookRequest, MailHook
from api.use_cases.mail_reports import take_reports
from api.use_cases.services import Caller
from domain.values.mail.mail_provider import PROVIDERS
from projections.telemetry.metrics import MAIL_REPORTS

log = logging.getLogger(__name__)

BODIES: Final = {f"/api/v1/callbacks/mail/{provider}": BODY_BYTES_MAX for provider in PROVIDERS}
"""Longest body by path."""
REFUSED: Final = {"SIGNATURE_INVALID": "forged", "CALLBACK_STALE": "stale", "MALFORMED": "malformed"}
"""What the metric calls a refused request."""
SCHEMA: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "One event or several, with the headers and the signature of the provider.",
        "content": {
            "application/json": {"schema": {"description": "What the provider posts."}},
            "text/plain": {"schema": {"type": "string", "description": "What Amazon SNS posts."}},
        },
    }
}

router = APIRouter(route_class=BlockingRoute, prefix="/api/v1/callbacks/mail", tags=["channels"])


class HookResult(BaseModel):
    """What became of the events of a request."""

    taken: int = Field(description="Events that were recorded now.")
    ignored: int = Field(
        description="Events without effect: already recorded, of another kind, or without the token of an email."
    )


async def _mail_hook(request: Request) -> MailHook | None:
    hook: MailHook | None = request.app.state.mail_hook
    return hook


TheMailHook = Annotated[MailHook | None, Depends(_mail_hook)]
Provider = Annotated[
    str,
    Path(description="The mail provider; only the configured one exists.", json_schema_extra={"enum": list(PROVIDERS)}),
]


@router.post(
    "/{provider}",
    responses=problem_responses("SIGNATURE_INVALID", "CALLBACK_STALE", "MALFORMED", "NOT_FOUND", "UNAVAILABLE"),
    openapi_extra=SCHEMA,
    summary="Report bounces and complaints of emails",
)
async def mail_hook(
    provider: Provider,
    request: Request,
    services: TheServices,
    hook: TheMailHook,
) -> HookResult:
    """Report what became of emails, as the mail provider of this ledger posts and signs it."""
    if hook is None or provider != services.settings.mail_provider:
        raise ApplicationError("NOT_FOUND")
    hook_request = HookRequest(request.headers, await request.body(), services.now())
    caller = Caller("channel", request_id_of(request), provider)
    line = {"action": "mail_hook", "kind": provider, "request_id": caller.request_id}
    try:
        results = await services.run_blocking(take_reports, services, hook, hook_request, caller)
    except ApplicationError as error:
        if error.code in REFUSED:
            MAIL_REPORTS.labels(provider, REFUSED[error.code]).inc()
            log.warning("mail hook refused", extra={**line, "reason": REFUSED[error.code]})
        raise
    log.info("mail hook accepted", extra={**line, "accepted": results.recorded, "count": results.events})
    return HookResult(taken=results.recorded, ignored=results.events - results.recorded)
