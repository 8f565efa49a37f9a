"""One redemption is one trace, from the request to the acceptance, in whichever process its steps run."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any
from urllib.parse import urljoin
from uuid import UUID, uuid4

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from domain.ports import Accepted, OutboundMessage, Outcome
from domain.values.link_token import DeliveryRef, link_token
from projections.storage.group_commit import execute_isolated
from projections.telemetry.redemption_spans import RedemptionTracer, trace_id_of
from projections.telemetry.tracing import TRACING, trace_redemptions
from tests.support.clients.app_client import AppClient
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.code_template import make_template
from tests.support.servers.webhook_receiver import WebhookReceiver
from workers.channels.mail_message import message_bytes
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.invitations import InvitationBatchSender
from workers.sending.message_factory import create_message_factory

STEPS = ["redemption", "reserve use", "claim attempt", "send invitation", "record outcome", "accept invite"]


class KeepingChannel(FakeChannel):
    def __init__(self) -> None:
        super().__init__()
        self.emails: list[bytes] = []

    def send(self, message: OutboundMessage) -> Outcome:
        self.emails.append(message_bytes(message, "ledger@example.com"))
        return Accepted(server="mx1:25", reply_code=250)


@pytest.fixture
def spans(shared_app: AppClient) -> Iterator[InMemorySpanExporter]:
    """Everything is traced into memory."""
    exporter = InMemorySpanExporter()
    now = shared_app.services.storage.recorder.clock.now
    TRACING.tracer = RedemptionTracer(SimpleSpanProcessor(exporter), 1.0, "test", now, os.urandom)
    yield exporter
    TRACING.tracer = None


def deliver(app: AppClient, reservation_id: str) -> bytes:
    storage = app.services.storage
    secret = app.services.settings.secret_key.get_secret_value()
    steps = DeliverySteps(
        execute=lambda commands: execute_isolated(storage.ledger.execute, commands),
        addresses=app.services.reader.find_recipients,
        message_factory=create_message_factory(secret, "http://testserver", "ledger@example.com"),
        draft_text=lambda text, about: storage.vault.seal_text(text, uuid4(), about),
        now=storage.recorder.clock.now,
        new_id=uuid4,
        worker="w1",
    )
    channel = KeepingChannel()
    with ThreadPoolExecutor(1) as threads:
        InvitationBatchSender(steps, threads, 1, lambda: channel).run([UUID(reservation_id)], "t1", lambda: False)
    return channel.emails[0]


def test_one_redemption_is_one_trace(shared_app: AppClient, spans: InMemorySpanExporter) -> None:
    """Request, commit, claim, sending, record and acceptance are spans of the trace that the reservation names."""
    code = shared_app.issue(make_template(max_uses=5, bound=False))
    response = shared_app.redeem(code, "li.wei@example.com")
    reservation_id = response.json()["reservation_id"]
    email = deliver(shared_app, reservation_id)
    secret = shared_app.services.settings.secret_key.get_secret_value().encode()
    shared_app.client.post(f"/a/{link_token(secret, DeliveryRef(UUID(reservation_id), 1))}")

    trace_id = trace_id_of(UUID(reservation_id))
    own = [span for span in spans.get_finished_spans() if _context(span).trace_id == trace_id]
    root = own[0]

    assert TRACING.find_trace_id(UUID(reservation_id)) == f"{trace_id:032x}"
    assert [span.name for span in sorted(own, key=lambda span: (span.start_time or 0, span.name != "redemption"))] == (
        STEPS
    )
    assert {span.parent.span_id if span.parent else None for span in own} == {None, _context(root).span_id}
    assert all((span.start_time or 0) <= (span.end_time or 0) for span in own)
    assert _attributes(own, "send invitation")["ledger.outcome"] == "Accepted"
    assert _attributes(own, "reserve use")["ledger.request_id"] == response.headers["x-request-id"]
    assert f"traceparent: 00-{trace_id:032x}-{_context(root).span_id:016x}-01\r\n".encode() in email
    commits = {_context(span).span_id for span in spans.get_finished_spans() if span.name == "commit"}
    assert {link.context.span_id for span in own for link in span.links} <= commits
    assert "li.wei" not in str([dict(span.attributes or {}) for span in spans.get_finished_spans()])


def test_refused_request_has_no_trace(shared_app: AppClient, spans: InMemorySpanExporter) -> None:
    """There is no reservation to name it."""
    shared_app.redeem("0000-0000-0000-0000-0000")

    assert spans.get_finished_spans() == ()


def test_without_a_tracer_emails_have_no_header(shared_app: AppClient) -> None:
    """Tracing is off unless a collector is named."""
    code = shared_app.issue()
    reservation_id = shared_app.redeem(code).json()["reservation_id"]

    assert TRACING.read_clock() is None
    assert b"traceparent" not in deliver(shared_app, reservation_id)


def test_spans_reach_a_collector(shared_app: AppClient) -> None:
    """By OTLP over HTTP; the rest is sent when the process ends."""
    reservation_id = uuid4()
    now = shared_app.services.now
    with (
        WebhookReceiver() as collector,
        trace_redemptions(urljoin(collector.url, "/v1/traces"), 1.0, "worker", now, os.urandom),
    ):
        TRACING.record_wake_up([reservation_id], TRACING.read_clock())
    request = collector.received[0]
    # Texts and ids are plain bytes within the protocol buffer.
    parts = (b"redemption-ledger", b"worker", b"wake worker", trace_id_of(reservation_id).to_bytes(16, "big"))

    assert (request.path, request.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
    assert [part in request.body for part in parts] == [True] * 4
    assert TRACING.tracer is None


def _context(span: ReadableSpan) -> Any:  # noqa: ANN401 - the library's type is not exported
    return span.get_span_context()


def _attributes(spans: list[ReadableSpan], name: str) -> dict[str, Any]:
    by_name = {key: list(group) for key, group in groupby(spans, key=lambda span: span.name)}
    return dict(by_name[name][0].attributes or {})
