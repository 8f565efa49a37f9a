"""A relay over HTTP: batches of CloudEvents, signed, and acknowledged by a status of success only."""

from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
import pytest
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks import Webhook

from domain.webhooks.signatures import secret_text
from tests.integration.workers.relay.relay_bench import log_positions, open_relay, relay_all
from tests.support.channel_builders import LOOPBACK
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.servers.webhook_receiver import ScriptedReply, WebhookReceiver
from workers.http_client.client import PinnedHttpClient
from workers.relay.http_sink import HttpSink
from workers.relay.sink import SinkRefusedError, SinkTooLargeError, SinkUnavailableError

SECRET = secret_text(b"s" * 32)
TIMEOUT_S = 15.0


@pytest.fixture
def server() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        yield receiver


def open_sink(url: str, *secrets: str, client: PinnedHttpClient | None = None) -> HttpSink:
    return HttpSink(client or PinnedHttpClient(LOOPBACK, TIMEOUT_S), url, secrets, TIMEOUT_S, lambda: datetime.now(UTC))


def test_batch_is_one_signed_request(bench: LedgerBench, server: WebhookReceiver) -> None:
    """The packages of both standards read it."""
    for _ in range(3):
        bench.issue()
    relay_all(open_relay(bench, open_sink(server.url, SECRET)))
    (request,) = server.received
    events = orjson.loads(request.body)
    parsed = [JSONFormat().read(None, orjson.dumps(event)) for event in events]

    assert request.headers["content-type"] == "application/cloudevents-batch+json"
    assert Webhook(SECRET).verify(request.body, request.headers) == events
    assert [int(event.get_id()) for event in parsed] == log_positions(bench)
    assert request.headers["webhook-id"] == f"relay_{log_positions(bench)[0]}_{log_positions(bench)[-1]}"


def test_request_without_secrets_has_no_signature(bench: LedgerBench, server: WebhookReceiver) -> None:
    """As of a receiver in a private network."""
    bench.issue()
    relay_all(open_relay(bench, open_sink(server.url)))

    assert [name for name in server.received[0].headers if name.startswith("webhook-")] == []


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410, 429, 500, 503])
def test_other_answers_acknowledge_nothing(bench: LedgerBench, server: WebhookReceiver, status: int) -> None:
    """Each may be that of a receiver which is being deployed, so the same batch comes again."""
    bench.issue()
    server.then(ScriptedReply(status))
    relay = open_relay(bench, open_sink(server.url))
    with pytest.raises(SinkUnavailableError, match=f"it answered {status}"):
        relay.relay_batch()
    relay_all(relay)

    assert [request.body for request in server.received] == [server.received[0].body] * 2


def test_size_that_is_refused_is_named(bench: LedgerBench, server: WebhookReceiver) -> None:
    """So that the next batch is smaller."""
    bench.issue()
    server.then(ScriptedReply(413))
    relay = open_relay(bench, sink := open_sink(server.url))
    position = relay.lease.hold()
    assert position == 0
    records = [relay._write_record(entry) for entry in relay.feed.read_page(0, 10).events]
    with pytest.raises(SinkTooLargeError, match="it answered 413"):
        sink.send(records)


def test_receiver_without_an_answer_is_unavailable(bench: LedgerBench, server: WebhookReceiver) -> None:
    """It may have read the batch."""
    bench.issue()
    server.then(ScriptedReply(raw=b""))
    with pytest.raises(SinkUnavailableError, match="it closed the connection before it answered"):
        open_relay(bench, open_sink(server.url)).relay_batch()


def test_port_without_a_receiver_is_unavailable(bench: LedgerBench) -> None:
    """As while it restarts."""
    bench.issue()
    with pytest.raises(SinkUnavailableError, match="it cannot be reached"):
        open_relay(bench, open_sink("http://127.0.0.1:9/")).relay_batch()


def test_private_address_stops_the_relay(bench: LedgerBench, server: WebhookReceiver) -> None:
    """Unless its network is permitted: a name must not lead into ours."""
    bench.issue()
    relay = open_relay(bench, sink := open_sink(server.url, client=PinnedHttpClient((), TIMEOUT_S)))
    records = [relay._write_record(entry) for entry in relay.feed.read_page(0, 10).events]
    with pytest.raises(SinkRefusedError, match="LEDGER_WEBHOOK_ALLOW_PRIVATE"):
        sink.send(records)
    assert server.received == []
