"""A relay over a real log, with what its target accepted and what a test wants it to answer."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

from api.schemas.events.event_view import as_cloud_event
from domain.webhooks.cloud_events import CloudEventSource
from projections.read_models.event_feed import EventFeed
from projections.work_queue.relays import RelayLease, RelayRow, list_relays
from tests.support.ledger.ledger_bench import LedgerBench
from workers.relay.relay import Relay
from workers.relay.sink import RelayRecord, Sink

SOURCE = CloudEventSource.feed_of("https://codes.example.com")


@dataclass
class ScriptedSink:
    """Keeps what it gets, and fails as a test says, the next failure first.

    Attributes:
        keeps: How many records of a batch are there although it fails.
    """

    failures: deque[Exception | None] = field(default_factory=deque)
    received: list[list[RelayRecord]] = field(default_factory=list)
    keeps: int = 0
    longest_send_s: float = 1.0
    is_closed: bool = False

    def send(self, records: Sequence[RelayRecord]) -> None:
        failure = self.failures.popleft() if self.failures else None
        if failure is not None:
            if self.keeps:
                self.received.append(list(records[: self.keeps]))
            raise failure
        self.received.append(list(records))

    def is_same(self, _: str, /) -> bool:
        """No other URL is."""
        return False

    def close(self) -> None:
        self.is_closed = True

    @property
    def positions(self) -> list[int]:
        return [record.position for batch in self.received for record in batch]


def open_relay(bench: LedgerBench, sink: Sink, *, start: int | None = None) -> Relay:
    lease = RelayLease(
        bench.storage,
        name="r",
        target="https://example.com",
        target_id="t",
        holder="host:1",
        holder_id=uuid4(),
        lease_s=20.0,
    )
    lease.begin(start)
    describe = partial(as_cloud_event, source=SOURCE)
    return Relay("r", EventFeed(bench.storage), lease, sink, describe, lambda: 0.0)


def log_positions(bench: LedgerBench) -> list[int]:
    return [position for (position,) in bench.rows("SELECT notification_id FROM ledger_events ORDER BY 1")]


def only_row(bench: LedgerBench) -> RelayRow:
    """The relay as the list shows it."""
    (row,) = list_relays(bench.storage)
    return row


def relay_all(relay: Relay) -> None:
    while relay.relay_batch():
        pass


class Stopping(threading.Event):
    """Ends a run after a number of waits, and keeps how long they would have been."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after, self.waits = after, list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        """Do not wait."""
        self.waits.append(timeout or 0.0)
        if len(self.waits) >= self._after:
            self.set()
        return self.is_set()
