"""The deliverer of webhooks: reads the log for each endpoint, sends due messages, and stores the results.

It runs in its own threads, and a Celery task wakes it. Each endpoint with due work gets a thread for a bounded time, so
a slow or unavailable one delays neither another endpoint nor any invitation.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from domain.webhooks.retry_schedule import RETRY_WINDOW, next_try, rest
from projections.database.errors import StorageUnavailableError
from projections.repositories.webhook_deliveries import (
    DeliveryResult,
    DueDelivery,
    EndpointProgress,
    EndpointUpdate,
    LeasedEndpoint,
    WebhookDeliveryRepository,
)
from projections.repositories.webhook_endpoints import DisabledReason, WebhookEndpointRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository
from projections.storage.bootstrap import LedgerStore
from projections.telemetry.metrics import ERRORS, WEBHOOK_DELIVERIES
from workers.webhooks.message import MessageTarget, WebhookResult, WebhookSender

log = logging.getLogger(__name__)

ENDPOINTS_AT_ONCE: Final = 8
"""Threads of one process; a further endpoint waits until one is free, the longest waiting first."""
RUN_MAX_S: Final = 10.0
"""Longest time in seconds for one endpoint in one run."""
LEASE_S: Final = 120
"""Length of a lease in seconds: longer than a run and two timeouts of 60 s for its last messages."""
CLOSE_S: Final = 5.0
"""Seconds for the end of the deliverer; a worker that shuts down has ten for everything."""
RANGES_PER_SEND: Final = 10
"""Ranges of the log that are read between two sends, so that an endpoint with few event types keeps up."""


@dataclass(slots=True)
class WebhookDeliverer:
    """The deliverer of one process.

    Attributes:
        runner: Id of the lease holder.
        chance: Random numbers from 0 to 1, for jitter.
    """

    deliveries: WebhookDeliveryRepository
    endpoints: WebhookEndpointRepository
    secrets: WebhookSecretRepository
    sender: WebhookSender
    now: Callable[[], datetime]
    chance: Callable[[], float]
    runner: UUID
    clock: Callable[[], float] = time.monotonic
    _free: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(ENDPOINTS_AT_ONCE))
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(ENDPOINTS_AT_ONCE, thread_name_prefix="webhooks")
    )
    _closing: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def create(
        cls, storage: LedgerStore, sender: WebhookSender, chance: Callable[[], float], runner: UUID
    ) -> "WebhookDeliverer":
        """Create one for a database; its threads begin with their first work."""
        return cls(
            deliveries=WebhookDeliveryRepository(storage),
            endpoints=WebhookEndpointRepository(storage),
            secrets=WebhookSecretRepository(storage),
            sender=sender,
            now=storage.recorder.clock.now,
            chance=chance,
            runner=runner,
        )

    def wake(self) -> int:
        """Begin with every endpoint with due work, as far as threads are free; return how many. Does not block.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        started = 0
        while not self._closing.is_set() and self._free.acquire(blocking=False):
            lease = None
            try:
                now = self.now()
                lease = self.deliveries.lease(self.runner, now, now + timedelta(seconds=LEASE_S))
            finally:
                if lease is None:
                    self._free.release()
            if lease is None:
                break
            self._threads.submit(self._run, lease)
            started += 1
        return started

    def close(self) -> None:
        """Begin nothing more and wait a little for work in progress; other processes repeat what takes longer."""
        self._closing.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        ends = self.clock() + CLOSE_S
        for _ in range(ENDPOINTS_AT_ONCE):
            self._free.acquire(timeout=max(ends - self.clock(), 0.0))

    def _run(self, lease: LeasedEndpoint) -> None:
        try:
            self.work(lease)
        except StorageUnavailableError as error:
            log.warning("delivering webhooks failed", extra={"why": str(error)})
        except Exception:
            ERRORS.labels("internal_error").inc()
            log.exception("delivering to a webhook endpoint failed")
        finally:
            self._free.release()

    def work(self, lease: LeasedEndpoint) -> None:
        """Send an endpoint what is due, until nothing is, or until the end of its run.

        Raises:
            StorageUnavailableError: The database is unavailable; lease and log take it from here.
        """
        try:
            self._work(lease)
        finally:
            with contextlib.suppress(StorageUnavailableError):
                self.deliveries.release(lease.endpoint_id, self.runner)

    def _work(self, lease: LeasedEndpoint) -> None:
        ends = self.clock() + RUN_MAX_S
        with ThreadPoolExecutor(lease.concurrency, thread_name_prefix="webhook") as executor:
            while not self._closing.is_set() and self.clock() < ends:
                looked_at = self._follow(lease)
                due = self.deliveries.list_due(lease.endpoint_id, self.now(), lease.concurrency)
                if looked_at is None or not (due or looked_at):
                    break
                if due and not self._send(lease, due, executor):
                    break

    def _follow(self, lease: LeasedEndpoint) -> int | None:
        """Read the next ranges of the log; return None if the lease was lost."""
        looked_at: int | None = 0
        for _ in range(RANGES_PER_SEND):
            looked_at = self.deliveries.enqueue_new_events(lease, self.runner, self.now())
            if not looked_at:
                break
        return looked_at

    def _send(self, lease: LeasedEndpoint, due: Sequence[DueDelivery], executor: ThreadPoolExecutor) -> bool:
        """Send deliveries concurrently and store their results.

        Return False if the endpoint gets nothing more for now.
        """
        secrets = self.secrets.list_valid_texts(lease.endpoint_id, self.now())
        target = MessageTarget(lease.url, secrets, lease.format)
        results = list(executor.map(lambda delivery: self.sender.send(target, delivery, self.now()), due))
        now = self.now()
        attempts = [self._attempt(delivery, result, now) for delivery, result in zip(due, results, strict=True)]
        states: list[EndpointProgress] = []

        def update_state(standing: EndpointProgress) -> EndpointUpdate:
            states.append(standing)
            return self._endpoint_state(standing, results, now)

        if not self.deliveries.save_results(lease.endpoint_id, self.runner, attempts, update_state):
            return False
        if any(result.is_gone for result in results):
            return self._disable(lease, "gone", now)
        is_healthy = any(result.is_delivered for result in results)
        if (
            any(delivery.state == "failed" for delivery in attempts)
            and not is_healthy
            and _delivered_nothing(states[0], now)
        ):
            return self._disable(lease, "failing", now)
        return not any(result.is_unavailable for result in results)

    def _disable(self, lease: LeasedEndpoint, reason: DisabledReason, now: datetime) -> bool:
        """Disable the endpoint; pending messages are kept until an admin enables it."""
        if self.endpoints.disable(lease.endpoint_id, reason, now):
            log.warning("webhook endpoint disabled", extra={"action": "webhook", "reason": reason})
        return False

    def _attempt(self, delivery: DueDelivery, result: WebhookResult, now: datetime) -> DeliveryResult:
        outcome = (result.outcome, result.status, result.ms)
        if result.is_delivered:
            WEBHOOK_DELIVERIES.labels("delivered").inc()
            return DeliveryResult(delivery.delivery_id, "delivered", None, now, *outcome)
        retry_at = next_try(delivery.first_at or now, now, delivery.attempts + 1, self.chance(), result.asked_s)
        WEBHOOK_DELIVERIES.labels("failed" if retry_at is None else "retried").inc()
        return DeliveryResult(
            delivery.delivery_id, "failed" if retry_at is None else "pending", retry_at, now, *outcome
        )

    def _endpoint_state(
        self, standing: EndpointProgress, results: Sequence[WebhookResult], now: datetime
    ) -> EndpointUpdate:
        """Return the state after a run: an endpoint that is unavailable, or asks for it, backs off."""
        asked_s = max((result.asked_s or 0.0 for result in results), default=0.0)
        is_healthy = any(result.is_delivered for result in results)
        if is_healthy and not asked_s:
            return EndpointUpdate(0, None, now)
        if not any(result.is_unavailable for result in results):
            return EndpointUpdate(standing.failures, None, now if is_healthy else None)
        failures = 1 if is_healthy else standing.failures + 1
        return EndpointUpdate(failures, rest(now, failures, self.chance(), asked_s), now if is_healthy else None)


def _delivered_nothing(standing: EndpointProgress, now: datetime) -> bool:
    """Return whether an endpoint has accepted no message for the whole retry window."""
    return standing.succeeded_at is None or standing.succeeded_at <= now - RETRY_WINDOW
