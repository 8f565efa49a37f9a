"""A relay: reads the log by position, passes it on in order, and stores the position after each acknowledgement.

It reads through the feed, so it leaves out no event: positions become visible in order. It ends at any time without
loss; what the target had acknowledged and was not stored is sent again.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from domain.values.wait import Wait
from projections.database.errors import StorageUnavailableError
from projections.read_models.event_feed import EventFeed
from projections.read_models.stream_entry import Entry
from projections.work_queue.relays import AFTER_A_RESTORE, OtherTargetError, RelayLease, RemovedRelayError
from workers.relay.sink import RelayRecord, Sink, SinkRefusedError, SinkTooLargeError, SinkUnavailableError

EVENTS_MAX: Final = 500
"""Most events of one batch."""
BYTES_MAX: Final = 900_000
"""Most bytes of a batch of several events: below the megabyte that brokers and web servers accept by default."""
POLL_S: Final = 0.5
"""Seconds between two questions for new events, and for the lease of another process."""
WAIT: Final = Wait(0.5, 2.0, 10.0, 0.25)
"""After failures in a row."""
LEASE_MARGIN_S: Final = 15.0
"""Seconds by which a lease is longer than one batch may take, so that a relay keeps it through its longest wait."""

log = logging.getLogger(__name__)


class RelayStoppedError(Exception):
    """The relay cannot continue until an operator has changed something."""


@dataclass(slots=True)
class Relay:
    """Relays to one target.

    Attributes:
        describe: Returns an event as a CloudEvent.
        chance: Random numbers from 0 to 1, for jitter.
        clock: Monotonic seconds.
    """

    name: str
    feed: EventFeed
    lease: RelayLease
    sink: Sink
    describe: Callable[[Entry[None]], Mapping[str, Any]]
    chance: Callable[[], float]
    clock: Callable[[], float] = time.monotonic
    _events_max: int = field(default_factory=lambda: EVENTS_MAX)
    _failures: int = 0
    _was_holder: bool = field(default=True)
    _position: int | None = None
    _held_at: float = 0.0

    def run(self, stop: threading.Event) -> None:
        """Relay until `stop` is set.

        Raises:
            RelayStoppedError: The target refuses what is sent, or the relay was removed, moved or is after the log.
        """
        try:
            while not stop.is_set():
                stop.wait(self._take_turn())
        finally:
            self.sink.close()
            try:
                self.lease.release()
            except StorageUnavailableError as error:
                log.warning("relaying events failed", extra={"component": self.name, "why": str(error)})

    def _take_turn(self) -> float:
        """Relay a batch; return after how many seconds the next one follows."""
        try:
            sent = self.relay_batch()
        except (SinkUnavailableError, StorageUnavailableError) as error:
            return self._report_failure(error)
        if sent and self._failures:
            log.info("relaying events continues", extra={"component": self.name, "count": self._failures})
        self._failures = 0
        return 0.0 if sent else POLL_S

    def relay_batch(self) -> int:
        """Send the next events and store the position; return how many were sent.

        Raises:
            SinkUnavailableError: The target did not acknowledge them.
            StorageUnavailableError: The database is unavailable.
            RelayStoppedError: The target refuses them.
        """
        before, events = self._position, self._read_ahead()
        if events == [] or (position := self._hold()) is None:
            return 0
        if events is None or position != before:
            events = self.feed.read_page(position, self._events_max).events
        batch = self._fill_batch(events)
        if not batch:
            return 0
        try:
            self.sink.send(batch)
        except SinkTooLargeError as error:
            return self._shrink(batch, error)
        except SinkRefusedError as error:
            raise self._stop(f"relay {self.name}: {error}") from error
        self._events_max = min(self._events_max * 2, EVENTS_MAX)
        if self.lease.advance(position, batch[-1].position):
            self._position = batch[-1].position
        else:  # `hold` tells whether another process relays, or the position went back
            log.info("another process relays", extra={"component": self.name})
        return len(batch)

    def _read_ahead(self) -> list[Entry[None]] | None:
        """Return the next events; None if the lease comes first. While there are none, nothing is written."""
        is_fresh = self.clock() - self._held_at < self.lease.lease_s / 3
        if self._position is None or not is_fresh:
            return None
        return self.feed.read_page(self._position, self._events_max).events

    def _hold(self) -> int | None:
        try:
            position = self.lease.hold()
        except RemovedRelayError as error:
            raise RelayStoppedError(f"relay {self.name} was removed") from error
        except OtherTargetError as error:
            raise RelayStoppedError(f"relay {self.name} sends to {error.target} now") from error
        if position is not None and self._position is not None and position < self._position:
            raise self._stop(
                f"relay {self.name}: its position went back from {self._position} to {position}. If the database was"
                " restored, or failed over to a server that lacked these events, positions are used again for other"
                f" events: follow {AFTER_A_RESTORE}"
            )
        if position is not None and self._position is None and position > (newest := self.feed.find_newest_position()):
            raise self._stop(
                f"the position {position} of relay {self.name} is after the end of the log, {newest}: follow"
                f" {AFTER_A_RESTORE}"
            )
        if position is None and self._was_holder:
            log.info("another process relays", extra={"component": self.name})
        self._was_holder, self._position, self._held_at = position is not None, position, self.clock()
        return position

    def _fill_batch(self, entries: list[Entry[None]]) -> list[RelayRecord]:
        """Return the records of the first events, as many as fit into a batch; one at least, if there is one."""
        batch: list[RelayRecord] = []
        size = 0
        for entry in entries:
            record = self._write_record(entry)
            size += len(record.envelope)
            if batch and size > BYTES_MAX:
                break
            batch.append(record)
        return batch

    def _write_record(self, entry: Entry[None]) -> RelayRecord:
        envelope = self.describe(entry)
        attributes = {name: value for name, value in envelope.items() if name != "data"}
        texts: dict[str, str] = orjson.loads(orjson.dumps(attributes))
        data = orjson.dumps(envelope["data"])
        return RelayRecord(entry.position, entry.stream_id, texts, data, orjson.dumps(envelope))

    def _shrink(self, batch: list[RelayRecord], error: SinkTooLargeError) -> int:
        """Halve the next batch. A single event that is too large stops the relay: leaving it out would lose it."""
        if len(batch) == 1:
            size = len(batch[0].envelope)
            message = (
                f"relay {self.name}: the event at position {batch[0].position} has {size} bytes, which the target does"
                f" not accept ({error}): raise its limit (Kafka: max.message.bytes of the topic), and start it again"
            )
            raise self._stop(message) from error
        self._events_max = len(batch) // 2
        return len(batch)

    def _stop(self, message: str) -> RelayStoppedError:
        self._record_failure(message)
        return RelayStoppedError(message)

    def _report_failure(self, error: Exception) -> float:
        """Record a failure; return the wait until the next attempt."""
        self._failures += 1
        log.warning(
            "relaying events failed", extra={"component": self.name, "why": str(error), "count": self._failures}
        )
        if isinstance(error, SinkUnavailableError):
            self._events_max = max(1, self._events_max // 2)  # fewer events may be answered in time
            self._record_failure(str(error))
        return WAIT.after(self._failures, self.chance()).total_seconds()

    def _record_failure(self, why: str) -> None:
        try:
            self.lease.record_failure(why)
        except StorageUnavailableError as error:
            log.warning("relaying events failed", extra={"component": self.name, "why": str(error)})
