"""The deliverer of webhooks: follows the log for each endpoint, sends what is due, and keeps what became of it.

It works beside Celery's tasks, in threads of its own: beat only wakes it. Each endpoint that has something to do gets a
thread for a bounded time, so one that is slow or away holds up neither another one nor any invitation.
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
from workers.http_client.client import PinnedHttpClient
from workers.webhooks.message import WebhookResult, WebhookSender

log = logging.getLogger(__name__)

ENDPOINTS_AT_ONCE: Final = 8
"""Threads of one process; a further endpoint waits until one is free, and who waits longest is next."""
WORK_S: Final = 10.0
"""How long an endpoint is worked on in one go; then it makes room for others."""
LEASE_S: Final = 120
"""Longer than one go with its last messages can take (WORK_S and two time-outs of 60 s at most)."""
CLOSE_S: Final = 5.0
"""A worker that ends has ten seconds for all it does."""
ROUNDS_PER_SEND: Final = 10
"""Stretches of the log that are looked at between two sends: an endpoint that wants few events must keep up."""


@dataclass(slots=True)
class WebhookDeliverer:
    """One process's deliverer.

    Attributes:
        runner: Whose leases they are.
        chance: From 0 to 1, at random, for jitter.
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
    _ending: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def over(
        cls, storage: LedgerStore, poster: PinnedHttpClient, chance: Callable[[], float], runner: UUID
    ) -> "WebhookDeliverer":
        """One over a database; its threads begin with their first work."""
        return cls(
            deliveries=WebhookDeliveryRepository(storage),
            endpoints=WebhookEndpointRepository(storage),
            secrets=WebhookSecretRepository(storage),
            sender=WebhookSender(poster),
            now=storage.recorder.clock.now,
            chance=chance,
            runner=runner,
        )

    def wake(self) -> int:
        """Begin with every endpoint that has something to do, as far as threads are free; how many. Waits for none.

        Raises:
            StorageUnavailableError: The database is away.
        """
        begun = 0
        while not self._ending.is_set() and self._free.acquire(blocking=False):
            taken = None
            try:
                now = self.now()
                taken = self.deliveries.lease(self.runner, now, now + timedelta(seconds=LEASE_S))
            finally:
                if taken is None:
                    self._free.release()
            if taken is None:
                break
            self._threads.submit(self._go, taken)
            begun += 1
        return begun

    def close(self) -> None:
        """Begin nothing more and wait a little for what is under way; what takes longer is sent again by others."""
        self._ending.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        ends = self.clock() + CLOSE_S
        for _ in range(ENDPOINTS_AT_ONCE):
            self._free.acquire(timeout=max(ends - self.clock(), 0.0))

    def _go(self, taken: LeasedEndpoint) -> None:
        try:
            self.work(taken)
        except StorageUnavailableError as error:
            log.warning("delivering webhooks failed, the database is unavailable: %s", error)
        except Exception:
            ERRORS.labels("internal_error").inc()
            log.exception("delivering to a webhook endpoint failed, the next run will retry it")
        finally:
            self._free.release()

    def work(self, taken: LeasedEndpoint) -> None:
        """Send an endpoint what is due, until nothing is, or for as long as its turn lasts.

        Raises:
            StorageUnavailableError: The database is away; lease and log take it from here.
        """
        try:
            self._work(taken)
        finally:
            with contextlib.suppress(StorageUnavailableError):
                self.deliveries.release(taken.endpoint_id, self.runner)

    def _work(self, taken: LeasedEndpoint) -> None:
        ends = self.clock() + WORK_S
        with ThreadPoolExecutor(taken.concurrency, thread_name_prefix="webhook") as hands:
            while not self._ending.is_set() and self.clock() < ends:
                followed = self._follow(taken)
                due = self.deliveries.list_due(taken.endpoint_id, self.now(), taken.concurrency)
                if followed is None or not (due or followed):
                    break
                if due and not self._send(taken, due, hands):
                    break

    def _follow(self, taken: LeasedEndpoint) -> int | None:
        """Look at the next stretches of the log; None if the endpoint is not ours any more."""
        looked_at: int | None = 0
        for _ in range(ROUNDS_PER_SEND):
            looked_at = self.deliveries.enqueue_new_events(taken, self.runner, self.now())
            if not looked_at:
                break
        return looked_at

    def _send(self, taken: LeasedEndpoint, due: Sequence[DueDelivery], hands: ThreadPoolExecutor) -> bool:
        """Send some at once and keep what became of them; False if no more is to be sent for now."""
        secrets = self.secrets.list_valid_texts(taken.endpoint_id, self.now())
        sent = list(hands.map(lambda one: self.sender.send(taken.url, secrets, one, self.now()), due))
        now = self.now()
        tried = [self._tried(one, what, now) for one, what in zip(due, sent, strict=True)]
        before: list[EndpointProgress] = []

        def judge(standing: EndpointProgress) -> EndpointUpdate:
            before.append(standing)
            return self._judged(standing, sent, now)

        if not self.deliveries.save_results(taken.endpoint_id, self.runner, tried, judge):
            return False
        if any(what.is_gone for what in sent):
            return self._disable(taken, "gone", now)
        is_well = any(what.is_taken for what in sent)
        if any(one.state == "failed" for one in tried) and not is_well and _took_nothing(before[0], now):
            return self._disable(taken, "failing", now)
        return not any(what.is_away for what in sent)

    def _disable(self, taken: LeasedEndpoint, why: DisabledReason, now: datetime) -> bool:
        """Send nothing more; what waits is kept for when an admin enables it."""
        if self.endpoints.disable(taken.endpoint_id, why, now):
            log.warning("a webhook endpoint was disabled", extra={"action": "webhook", "reason": why})
        return False

    def _tried(self, one: DueDelivery, what: WebhookResult, now: datetime) -> DeliveryResult:
        known = (what.outcome, what.status, what.ms)
        if what.is_taken:
            WEBHOOK_DELIVERIES.labels("delivered").inc()
            return DeliveryResult(one.delivery_id, "delivered", None, now, *known)
        again = next_try(one.first_at or now, now, one.attempts + 1, self.chance(), what.asked_s)
        WEBHOOK_DELIVERIES.labels("failed" if again is None else "retried").inc()
        return DeliveryResult(one.delivery_id, "failed" if again is None else "pending", again, now, *known)

    def _judged(self, standing: EndpointProgress, sent: Sequence[WebhookResult], now: datetime) -> EndpointUpdate:
        """One that took a message is well; one that is away, or asks for it, is left alone for a while."""
        asked_s = max((what.asked_s or 0.0 for what in sent), default=0.0)
        is_well = any(what.is_taken for what in sent)
        if is_well and not asked_s:
            return EndpointUpdate(0, None, now)
        if not any(what.is_away for what in sent):
            return EndpointUpdate(standing.failures, None, now if is_well else None)
        failures = 1 if is_well else standing.failures + 1
        return EndpointUpdate(failures, rest(now, failures, self.chance(), asked_s), now if is_well else None)


def _took_nothing(standing: EndpointProgress, now: datetime) -> bool:
    """Whether an endpoint has taken no message for as long as one is tried."""
    return standing.succeeded_at is None or standing.succeeded_at <= now - RETRY_WINDOW
