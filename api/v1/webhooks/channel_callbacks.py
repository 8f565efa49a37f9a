"""Callbacks: an external system reports on invitations that were posted to it: accepted, bounced, removed.

Each callback is signed with the channel's secret. Forged, stale and repeated ones are refused and recorded. A callback
that is sent again because its answer was lost must be signed again; it is accepted and changes nothing.
"""

import hashlib
import logging
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, ValidationError

from api.errors import ApplicationError, malformed
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import TheServices, request_id_of
from api.http.openapi import problem_responses
from api.http.validation_errors import field_errors
from api.schemas.json_members import IS_REPEATED, RepeatedMemberError, check_members
from api.schemas.numbers import Strict
from api.schemas.timestamps import Timestamp
from api.use_cases.reservation_actions import accept_invite, record_bounce, record_external_removal
from api.use_cases.services import Caller, Services
from domain.events.reservation import CALLBACK
from domain.model.reservation import PublicState
from domain.results import CommandResult
from domain.values.mail.bounce_reason import BounceReason
from domain.webhooks.signatures import SignatureHeaders, verification_error
from projections.repositories.group_channels import CallbackRefusal, ChannelRow, GroupChannelRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository
from projections.telemetry.metrics import CALLBACKS

log = logging.getLogger(__name__)

REASONS: Final[dict[CallbackRefusal, str]] = {
    "malformed": "MALFORMED",
    "forged": "SIGNATURE_INVALID",
    "stale": "CALLBACK_STALE",
    "replayed": "CALLBACK_REPEATED",
    "foreign": "NOT_FOUND",
}
"""The problem code of each refusal."""

router = APIRouter(route_class=BlockingRoute, prefix="/api/v1/channels", tags=["channels"])


class CallbackData(Strict):
    """The invitation that it is about, and further facts."""

    reservation_id: UUID
    delivery: int = Field(default=1, ge=1, le=1000, description="As in the invitation that was posted.")
    reason: BounceReason = Field(default="other", description="Reason of the bounce.")
    reply: Annotated[str, Field(max_length=2000)] = Field(
        default="", description="Details of the bounce; stored encrypted."
    )
    occurred_at: Timestamp | None = Field(default=None, description="Time of the result, if it was earlier.")


class Callback(BaseModel):
    """One callback."""

    type: Literal["invite.accepted", "invite.bounced", "invite.removed"]
    data: CallbackData


class CallbackTaken(BaseModel):
    """Result of a callback."""

    reservation_id: UUID
    state: PublicState
    changed: bool


def _schema() -> dict[str, Any]:
    """Return the body's schema without references. The body is parsed in the handler, so nothing else declares it."""
    schema = Callback.model_json_schema()
    schema["properties"]["data"] = schema.pop("$defs")["CallbackData"]
    return schema


SCHEMA: Final = {
    "parameters": [
        {"in": "header", "name": f"webhook-{name}", "required": True, "schema": {"type": "string"}}
        for name in ("id", "timestamp", "signature")
    ],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _schema()}},
    },
}


@router.post(
    "/{channel_id}/callbacks",
    responses=problem_responses(
        *("SIGNATURE_INVALID", "CALLBACK_STALE", "MALFORMED", "NOT_FOUND", "CALLBACK_REPEATED"),
        *(accept_invite, record_bounce, record_external_removal, "UNAVAILABLE"),
    ),
    openapi_extra=SCHEMA,
    summary="Report the result of a posted invitation",
)
async def callback(channel_id: UUID, request: Request, services: TheServices) -> CallbackTaken:
    """Sign the callback as Standard Webhooks 1.0 with the channel's secret. Sign each attempt separately."""
    channels, body = GroupChannelRepository(services.storage), await request.body()
    channel = await services.run_blocking(channels.find, channel_id)
    if channel is None:
        CALLBACKS.labels("unknown").inc()
        raise ApplicationError("NOT_FOUND")
    handler = CallbackHandler(services, channels, channel, request_id_of(request))
    report = await handler.checked(SignatureHeaders.of(request.headers), body)
    try:
        result = await handler.record(report)
    except ApplicationError as error:
        if error.code not in {"UNAVAILABLE", "OVERLOADED"}:
            await handler.write_down("refused")
        raise
    CALLBACKS.labels(report.type.removeprefix("invite.")).inc()
    reservation = result.require_reservation()
    return CallbackTaken(
        reservation_id=reservation.reservation_id, state=reservation.public_state, changed=result.changed
    )


class CallbackHandler:
    """Checks the callbacks of one channel."""

    def __init__(
        self, services: Services, channels: GroupChannelRepository, channel: ChannelRow, request_id: str | None
    ) -> None:
        self._services = services
        self._channels = channels
        self._channel = channel
        self._request_id = request_id

    async def checked(self, signed: SignatureHeaders, body: bytes) -> Callback:
        """Return the callback if it is signed, recent, and about an invitation of the channel's group.

        Raises:
            ApplicationError: It is not; the refusal is recorded.
        """
        services, channel_id = self._services, self._channel.channel_id
        secrets = await services.run_blocking(
            WebhookSecretRepository(services.storage).list_valid_texts, channel_id, services.now()
        )
        if (fault := verification_error(secrets, signed, body, services.now())) is not None:
            raise await self._refused(fault)
        try:
            report = Callback.model_validate_json(body)
            check_members(body, None)
        except RepeatedMemberError as error:
            await self.write_down("malformed")
            raise malformed(f"body.{error.name}", IS_REPEATED) from None
        except ValidationError as error:
            await self.write_down("malformed")
            details = field_errors({**fault, "loc": ("body", *fault["loc"])} for fault in error.errors())
            raise ApplicationError(REASONS["malformed"], errors=details) from None
        reservation = await services.run_blocking(services.reader.find_reservation, report.data.reservation_id)
        if reservation is None or reservation.group != self._channel.group:
            raise await self._refused("foreign")
        signed_at, digest = datetime.fromtimestamp(int(signed.timestamp), UTC), hashlib.sha256(body).digest()
        if not await services.run_blocking(
            self._channels.insert_callback, channel_id, signed.message_id, signed_at, digest
        ):
            raise await self._refused("replayed")
        return report

    async def record(self, report: Callback) -> CommandResult:
        """Record what a report says.

        Raises:
            ApplicationError: The ledger refuses; UNAVAILABLE; OVERLOADED.
        """
        services, data = self._services, report.data
        caller = Caller("channel", self._request_id, str(self._channel.channel_id))
        reservation_id, delivery, at = data.reservation_id, data.delivery, data.occurred_at
        match report.type:
            case "invite.accepted":
                return await accept_invite.in_group(
                    services, caller, reservation_id, delivery=delivery, via=CALLBACK, occurred_at=at
                )
            case "invite.removed":
                return await record_external_removal.in_group(services, caller, reservation_id, occurred_at=at)
            case "invite.bounced":
                return await record_bounce.in_group(
                    services,
                    caller,
                    reservation_id,
                    delivery=delivery,
                    reason=data.reason,
                    reply=data.reply,
                    occurred_at=at,
                )

    async def _refused(self, reason: CallbackRefusal) -> ApplicationError:
        await self.write_down(reason)
        return ApplicationError(REASONS[reason])

    async def write_down(self, reason: CallbackRefusal) -> None:
        """Record a refusal."""
        CALLBACKS.labels(reason).inc()
        self._log_refusal(reason)
        services = self._services
        now, channel_id = services.now(), self._channel.channel_id
        await services.run_blocking(self._channels.insert_rejected_callback, channel_id, reason, now, self._request_id)

    def _log_refusal(self, reason: CallbackRefusal) -> None:
        line = {"action": "callback", "reason": reason, "request_id": self._request_id}
        log.warning("callback refused", extra=line)
