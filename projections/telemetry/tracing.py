"""Traces of redemptions (OpenTelemetry), off unless LEDGER_TRACES_URL is set.

All spans of one reservation are one trace, whichever process records them. The trace id is made of the reservation's
id, and the choice of what is sampled is made of the trace id. So processes hand nothing on to each other: a lost
wake-up message loses no trace, and nothing about traces is stored.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from uuid import UUID

from projections.telemetry.after_commit import after_commit
from projections.telemetry.traced import TracedCommand, TracedResult

if TYPE_CHECKING:
    from domain.model.reservation import Lease, Reservation
    from projections.telemetry.redemption_spans import Clock, RandomBytes, RedemptionTracer, SendSpan


NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class TracerSlot:
    """The tracer of this process, or none: then each call costs one comparison."""

    def __init__(self) -> None:
        self.tracer: RedemptionTracer | None = None

    def read_clock(self) -> datetime | None:
        """Return when what follows starts; None if nothing is traced."""
        return None if self.tracer is None else self.tracer.now()

    def record_commit(
        self,
        commands: Sequence[TracedCommand],
        results: Sequence[TracedResult | Exception],
        started_at: datetime | None,
    ) -> None:
        """Record a transaction with what each of its commands led to, in their order. Never raises."""
        if self.tracer is not None and started_at is not None:
            with after_commit("recording a trace"):
                self.tracer.record_commit(commands, results, started_at)

    def record_wake_up(self, reservation_ids: Sequence[UUID], started_at: datetime | None) -> None:
        """Record the message that woke a worker for reservations."""
        if self.tracer is not None and started_at is not None:
            self.tracer.record_wake_up(reservation_ids, started_at)

    def start_send(self, reservation: "Reservation", lease: "Lease") -> "SendSpan | None":
        """Begin the span of one attempt to send; None if nothing is traced."""
        return None if self.tracer is None else self.tracer.start_send(reservation, lease)

    def headers_of(self, reservation_id: UUID | None) -> Mapping[str, str]:
        """Return the headers that name a reservation's trace to a receiver, the same on every attempt."""
        if self.tracer is None or reservation_id is None:
            return NO_HEADERS
        return self.tracer.headers_of(reservation_id)

    def find_trace_id(self, reservation_id: UUID) -> str | None:
        """Return the id of a reservation's trace in hexadecimal; None if it is not traced."""
        return None if self.tracer is None else self.tracer.find_trace_id(reservation_id)


TRACING: Final = TracerSlot()
"""The tracer of this process."""


@contextmanager
def trace_redemptions(url: str | None, ratio: float, part: str, now: "Clock", draw: "RandomBytes") -> Iterator[None]:
    """Send the spans of this process to a collector until the block ends; with no URL, trace nothing.

    Args:
        url: Where the collector takes traces by OTLP over HTTP.
        ratio: Share of the reservations that is traced, 0 to 1.
        part: Name of this process's part: backend or worker.
        now: Database time.
        draw: Returns random bytes.

    Raises:
        ImportError: The extra `tracing` is not installed. The settings refuse a URL without it.
    """
    if url is None:
        yield
        return
    from projections.telemetry.redemption_spans import (  # noqa: PLC0415 - its packages are optional
        RedemptionTracer,
        export_to,
    )

    TRACING.tracer = tracer = RedemptionTracer(export_to(url), ratio, part, now, draw)
    try:
        yield
    finally:
        TRACING.tracer = None
        tracer.close()
