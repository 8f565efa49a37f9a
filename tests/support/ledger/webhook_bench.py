"""A ledger with webhook endpoints and a deliverer whose time a test moves."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from domain.webhooks.cloud_events import CloudEventSource, MessageFormat
from projections.repositories.webhook_deliveries import WebhookDeliveryRepository
from projections.repositories.webhook_endpoints import WebhookEndpoint, WebhookEndpointRepository
from tests.support.channel_builders import LOOPBACK
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.servers.webhook_receiver import WebhookReceiver
from tests.support.waiting import WAIT_S_MAX
from workers.http_client.client import PinnedHttpClient
from workers.webhooks.deliverer import WebhookDeliverer
from workers.webhooks.message import WebhookSender

TIMEOUT_S = 15.0
SOURCE = CloudEventSource.webhooks_of("https://codes.example.com")


@dataclass
class WebhookBench:
    bench: LedgerBench
    ahead: timedelta = field(default_factory=timedelta)
    secrets: dict[UUID, str] = field(default_factory=dict)

    @property
    def endpoints(self) -> WebhookEndpointRepository:
        return WebhookEndpointRepository(self.bench.storage)

    @property
    def deliveries(self) -> WebhookDeliveryRepository:
        return WebhookDeliveryRepository(self.bench.storage)

    def now(self) -> datetime:
        """The time that deliverers go by."""
        return self.bench.storage.recorder.clock.now() + self.ahead

    def endpoint(
        self, server: WebhookReceiver, *types: str, concurrency: int = 1, message_format: MessageFormat = "standard"
    ) -> UUID:
        """A new endpoint, told from now on."""
        endpoint_id = uuid4()
        secret = self.endpoints.insert(
            endpoint_id, server.url, types, concurrency, uuid4(), self.now(), message_format=message_format
        )
        assert secret is not None
        self.secrets[endpoint_id] = secret
        return endpoint_id

    def deliverer(self, chance: float = 0.0) -> WebhookDeliverer:
        """A process's deliverer."""
        deliverer = WebhookDeliverer.create(
            self.bench.storage, WebhookSender(PinnedHttpClient(LOOPBACK, TIMEOUT_S), SOURCE), lambda: chance, uuid4()
        )
        deliverer.now = self.now
        return deliverer

    def deliver(self, deliverer: WebhookDeliverer | None = None) -> None:
        """Work on every endpoint that has something to do, one after the other, until none has."""
        deliverer = deliverer or self.deliverer()
        while lease := deliverer.deliveries.lease(deliverer.runner, self.now(), self.now() + timedelta(seconds=60)):
            deliverer.work(lease)

    def sent(self, count: int = 1) -> list[UUID]:
        code = self.bench.issue(None, bound=False)
        reservation_ids = []
        for number in range(count):
            reservation_id = (
                done(self.bench.redeem(code, f"p{number}@example.com")).require_reservation().reservation_id
            )
            self.bench.attempt(reservation_id)
            reservation_ids.append(reservation_id)
        return reservation_ids

    def find(self, endpoint_id: UUID) -> WebhookEndpoint:
        endpoint = self.endpoints.find(endpoint_id)
        assert endpoint is not None
        return endpoint

    def states(self) -> list[tuple[Any, ...]]:
        """State, tries and outcome of each delivery, in the log's order."""
        return self.bench.rows("SELECT state, attempts, last_outcome FROM webhook_deliveries ORDER BY position")


def at_once(*acts: Any) -> None:
    barrier = threading.Barrier(len(acts))

    def run(one: Any) -> None:  # noqa: ANN401 - any function without arguments
        barrier.wait(WAIT_S_MAX)
        one()

    with ThreadPoolExecutor(len(acts)) as threads:
        list(threads.map(run, acts))


def types(server: WebhookReceiver) -> list[str]:
    return [one.json()["type"] for one in server.received]


def ids(server: WebhookReceiver) -> Sequence[str]:
    return [one.headers["webhook-id"] for one in server.received]
