"""One webhook message: rendered from an event, signed, posted, and the meaning of the response.

It holds ids and a time: which event of which code and reservation, and when. Clients read the rest from the API.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from domain.events.campaign import CampaignEvent
from domain.events.registry import EVENT_TYPES
from domain.webhooks.cloud_events import ONE_EVENT, CloudEventSource, MessageFormat
from domain.webhooks.signatures import sign
from projections.event_store.stored_state import state_decoder
from projections.repositories.webhook_deliveries import TEST_TYPE, DueDelivery
from projections.telemetry.metrics import WEBHOOK_SECONDS
from projections.telemetry.tracing import NO_HEADERS, TRACING
from workers.http_client.client import NotSentError, PinnedHttpClient, UnansweredError, parse_retry_after

OK, REDIRECTS, CLIENT_ERRORS, SERVER_ERRORS = 200, 300, 400, 500
GONE, TOO_MANY_REQUESTS = 410, 429
UNAVAILABLE: Final = 503


class WebhookResult(NamedTuple):
    """The result of one attempt.

    Attributes:
        outcome: Stable word: taken, redirected, refused, gone, throttled, server_error, or why there was no answer.
        status: Status of the response, if there was one.
        ms: Duration in milliseconds.
        asked_s: Seconds that the endpoint asked to wait, if it did.
    """

    outcome: str
    status: int | None
    ms: int
    asked_s: float | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether the endpoint accepted it."""
        return self.outcome == "taken"

    @property
    def is_gone(self) -> bool:
        """Whether the endpoint wants no more messages at all."""
        return self.outcome == "gone"

    @property
    def is_unavailable(self) -> bool:
        """Whether the endpoint should back off, rather than this one message."""
        return self.outcome not in {"taken", "gone", "refused", "redirected"}


class EventEnvelope(msgspec.Struct, frozen=True):
    """The fields of an event that a message holds, for every type and version of event."""

    at: datetime
    code_id: UUID | None = None
    reservation_id: UUID | None = None
    crossed_by: UUID | None = None
    threshold: str | None = None


CAMPAIGN_EVENTS: Final = frozenset(name for name, kind in EVENT_TYPES.items() if issubclass(kind, CampaignEvent))
"""Names of events whose stream is a campaign's; all other streams are those of codes."""
_read_envelope: Final = state_decoder(EventEnvelope)


AS_CLOUD_EVENT: Final = {"Content-Type": ONE_EVENT}
"""Structured mode: the signature covers the body, and so the whole event. Binary mode has its attributes in headers."""


class MessageTarget(NamedTuple):
    """Where messages go, and how they are signed and written."""

    url: str
    secrets: Sequence[str]
    format: MessageFormat


@dataclass(frozen=True, slots=True)
class WebhookSender:
    """Sends messages. Thread-safe.

    Attributes:
        source: Of messages that are CloudEvents.
    """

    http: PinnedHttpClient
    source: CloudEventSource

    def send(self, target: MessageTarget, delivery: DueDelivery, now: datetime) -> WebhookResult:
        """Send a message about an event."""
        body, headers = build_message(delivery), _trace_headers(delivery)
        if target.format == "cloudevents":
            body, headers = wrap_message(delivery, body, self.source), {**headers, **AS_CLOUD_EVENT}
        return self._post(target, f"msg_{delivery.delivery_id.hex}", msgspec.json.encode(body), now, headers)

    def test(self, target: MessageTarget, delivery_id: UUID, now: datetime) -> WebhookResult:
        """Send a test message, which is about no event."""
        message_id, headers = f"msg_{delivery_id.hex}", NO_HEADERS
        body: dict[str, Any] = {"type": TEST_TYPE, "timestamp": now, "data": {}}
        if target.format == "cloudevents":
            body, headers = self.source.wrap(TEST_TYPE, message_id, now, body), AS_CLOUD_EVENT
        return self._post(target, message_id, msgspec.json.encode(body), now, headers)

    def _post(
        self,
        target: MessageTarget,
        message_id: str,
        body: bytes,
        now: datetime,
        headers: Mapping[str, str],
    ) -> WebhookResult:
        started_at = time.perf_counter()
        status, asked_s = None, None
        try:
            answer = self.http.post(target.url, {**sign(target.secrets, message_id, now, body), **headers}, body)
            status, asked_s, outcome = (
                answer.status,
                parse_retry_after(answer.retry_after, now),
                status_label(answer.status),
            )
        except NotSentError as error:
            outcome = error.reason
        except UnansweredError as error:
            outcome = error.cause
        seconds = time.perf_counter() - started_at
        WEBHOOK_SECONDS.observe(seconds)
        return WebhookResult(
            outcome, status, int(seconds * 1000), asked_s if outcome in {"throttled", "server_error"} else None
        )


def build_message(delivery: DueDelivery) -> dict[str, Any]:
    """Return the body, the same on every attempt."""
    envelope = _read_envelope(delivery.state)
    name = delivery.topic.partition(":")[0]
    stream = "campaign_id" if name in CAMPAIGN_EVENTS else "code_id"
    data: dict[str, UUID | int | str] = {
        stream: delivery.stream_id,
        "version": delivery.version,
        "position": delivery.position,
    }
    if name in CAMPAIGN_EVENTS and envelope.code_id is not None:
        data["code_id"] = envelope.code_id
    if (reservation_id := envelope.reservation_id or envelope.crossed_by) is not None:
        data["reservation_id"] = reservation_id
    if envelope.threshold is not None:
        data["threshold"] = envelope.threshold
    return {"type": name, "timestamp": envelope.at, "data": data}


def wrap_message(delivery: DueDelivery, message: dict[str, Any], source: CloudEventSource) -> dict[str, Any]:
    """Return a message as a CloudEvent."""
    is_of_campaign = message["type"] in CAMPAIGN_EVENTS
    place = (delivery.stream_id, delivery.position)
    return source.wrap_stored(message["type"], place, message["timestamp"], message, is_of_campaign=is_of_campaign)


def _trace_headers(delivery: DueDelivery) -> Mapping[str, str]:
    """Return the headers that name the trace of the event's reservation; the event is decoded only while tracing."""
    if TRACING.tracer is None:
        return NO_HEADERS
    return TRACING.headers_of(_read_envelope(delivery.state).reservation_id)


def status_label(status: int) -> str:
    """Return the meaning of a status (Standard Webhooks 1.0: only 2xx is success, 410 disables, redirects fail)."""
    if OK <= status < REDIRECTS:
        return "taken"
    if status == GONE:
        return "gone"
    if status in {TOO_MANY_REQUESTS, UNAVAILABLE}:
        return "throttled"
    if status < CLIENT_ERRORS:
        return "redirected"
    return "refused" if status < SERVER_ERRORS else "server_error"
