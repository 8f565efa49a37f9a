"""One webhook message: rendered from an event, signed, posted, and the meaning of the response.

It holds ids and a time: which event of which code and reservation, and when. Clients read the rest from the API.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from domain.events.campaign import CampaignEvent
from domain.events.registry import EVENT_TYPES
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


@dataclass(frozen=True, slots=True)
class WebhookSender:
    """Sends messages. Thread-safe."""

    http: PinnedHttpClient

    def send(self, url: str, secrets: Sequence[str], delivery: DueDelivery, now: datetime) -> WebhookResult:
        """Send a message about an event."""
        headers = _trace_headers(delivery)
        return self._post(url, secrets, f"msg_{delivery.delivery_id.hex}", render_message(delivery), now, headers)

    def test(self, url: str, secrets: Sequence[str], delivery_id: UUID, now: datetime) -> WebhookResult:
        """Send a test message, which is about no event."""
        body = msgspec.json.encode({"type": TEST_TYPE, "timestamp": now, "data": {}})
        return self._post(url, secrets, f"msg_{delivery_id.hex}", body, now)

    def _post(
        self,
        url: str,
        secrets: Sequence[str],
        message_id: str,
        body: bytes,
        now: datetime,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> WebhookResult:
        started_at = time.perf_counter()
        status, asked_s = None, None
        try:
            answer = self.http.post(url, {**sign(secrets, message_id, now, body), **headers}, body)
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


def render_message(delivery: DueDelivery) -> bytes:
    """Return the body, equal to the last byte on every attempt."""
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
    return msgspec.json.encode({"type": name, "timestamp": envelope.at, "data": data})


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
