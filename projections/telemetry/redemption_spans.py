"""The spans of one redemption: what each transaction, wake-up and attempt to send took, and how it ended.

Only `projections.telemetry.tracing` imports this module, when tracing starts: the packages are the extra `tracing`.
"""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Protocol
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, TraceFlags, set_span_in_context

from domain.model.reservation import Lease, Reservation
from domain.ports import Outcome
from projections.telemetry.traced import TracedCommand, TracedResult

QUEUE_MAX: Final = 8192
"""Finished spans that wait for the collector; further ones are dropped, so an absent collector costs bounded memory."""
EXPORT_TIMEOUT_S: Final = 5
"""Seconds that one export to the collector may take; it runs in a thread of its own."""
OUTCOME_FIELDS: Final = ("server", "reason", "cause", "reply_code")
"""What spans say of an outcome: stable words only, since what a server says may hold the address."""
ROOT_NAME: Final = "redemption"
_HALF: Final = (1 << 64) - 1


def trace_id_of(reservation_id: UUID) -> int:
    """Return the 128-bit trace id of a reservation.

    The lower 64 bits of the UUID are rotated left by two. Ratio samplers compare them with a bound, and the two bits
    at their front are the same in every UUID (RFC 9562 section 4.1); the 62 bits behind those are random.
    """
    high, low = reservation_id.int >> 64, reservation_id.int & _HALF
    return high << 64 | (low << 2 & _HALF | low >> 62)


def is_sampled(reservation_id: UUID, ratio: float) -> bool:
    """Return whether a reservation is among the share of all that is traced: the rule of TraceIdRatioBased."""
    return trace_id_of(reservation_id) & _HALF < round(ratio * (1 << 64))


def export_to(url: str) -> SpanProcessor:
    """Return a processor that sends finished spans to a collector, by OTLP over HTTP from a thread of its own."""
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=EXPORT_TIMEOUT_S), max_queue_size=QUEUE_MAX)


class Clock(Protocol):
    """Returns database time, so that the spans of several hosts fit together."""

    def __call__(self) -> datetime:
        """Return the time without waiting."""


class RandomBytes(Protocol):
    """Returns random bytes."""

    def __call__(self, count: int, /) -> bytes:
        """Return this many."""


class SendSpan:
    """The span of one attempt to send.

    Args:
        span: The span, not ended.
        now: Database time.
    """

    def __init__(self, span: Span, now: Clock) -> None:
        self._span = span
        self._now = now

    def end(self, attempt: Future[Outcome]) -> None:
        """End the span with the outcome of the attempt, or with the name of the error that ended it."""
        outcome = attempt.exception() or attempt.result()
        self._span.set_attribute("ledger.outcome", type(outcome).__name__)
        for name in OUTCOME_FIELDS:
            value = getattr(outcome, name, None)
            if value is not None:
                self._span.set_attribute(f"ledger.{name}", value)
        self._span.end(_ns(self._now()))


class RedemptionIds(IdGenerator):
    """Random ids, or the ids that a reservation gives to the root of its trace."""

    def __init__(self, draw: RandomBytes) -> None:
        self._draw = draw
        self._reserved_ids = threading.local()

    @contextmanager
    def use(self, trace_id: int, span_id: int) -> Iterator[None]:
        """Give these ids to the spans that this thread starts within the block."""
        self._reserved_ids.ids = (trace_id, span_id)
        try:
            yield
        finally:
            del self._reserved_ids.ids

    def generate_trace_id(self) -> int:
        """Return the trace id of a root span."""
        ids: tuple[int, int] | None = getattr(self._reserved_ids, "ids", None)
        return ids[0] if ids else int.from_bytes(self._draw(16), "big") | 1

    def generate_span_id(self) -> int:
        """Return the id of a span; never 0, which means none."""
        ids: tuple[int, int] | None = getattr(self._reserved_ids, "ids", None)
        return ids[1] if ids else int.from_bytes(self._draw(8), "big") | 1


class RedemptionTracer:
    """Records the spans of the reservations that are sampled.

    Args:
        processor: Takes finished spans.
        ratio: Share of the reservations that is traced, 0 to 1.
        service: Name of this process's part: backend, worker or cli.
        now: Database time, so that the spans of several hosts fit together.
        draw: Returns random bytes.
    """

    def __init__(
        self,
        processor: SpanProcessor,
        ratio: float,
        service: str,
        now: Clock,
        draw: RandomBytes,
    ) -> None:

        self._ids = RedemptionIds(draw)
        self._provider = TracerProvider(
            resource=Resource({"service.name": "redemption-ledger", "service.instance.id": service}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("redemption-ledger")
        self._ratio = ratio
        self.now = now

    def record_commit(
        self, commands: Sequence[TracedCommand], results: Sequence[TracedResult | Exception], started: datetime
    ) -> None:
        """Record what one transaction did for the reservations in it that are sampled.

        Args:
            commands: The commands of the transaction.
            results: What each led to, in their order; refusals and errors are left out.
            started: When the transaction began.
        """
        sampled = [
            (command, result)
            for command, result in zip(commands, results, strict=True)
            if not isinstance(result, Exception)
            and result.changed
            and result.reservation is not None
            and is_sampled(result.reservation.reservation_id, self._ratio)
        ]
        if not sampled:
            return
        ended = self.now()
        commit = self._tracer.start_span("commit", context=Context(), start_time=_ns(started))
        commit.set_attribute("ledger.commands", len(commands))
        commit.end(_ns(ended))
        for command, result in sampled:
            self._record_command(command, result, commit.get_span_context(), ended)

    def record_wake_up(self, reservation_ids: Sequence[UUID], started: datetime) -> None:
        """Record the message that woke a worker for reservations, from `started` until now."""
        for reservation_id in reservation_ids:
            if is_sampled(reservation_id, self._ratio):
                self._start(reservation_id, "wake worker", started, []).end(_ns(self.now()))

    def start_send(self, reservation: Reservation, lease: Lease) -> SendSpan | None:
        """Begin the span of one attempt to send; None if the reservation is not sampled."""
        if not is_sampled(reservation.reservation_id, self._ratio):
            return None
        span = self._start(reservation.reservation_id, "send invitation", self.now(), [])
        span.set_attributes({"ledger.channel": lease.channel, "ledger.attempt": lease.attempt})
        return SendSpan(span, self.now)

    def find_trace_id(self, reservation_id: UUID) -> str | None:
        """Return the id of a reservation's trace in hexadecimal, as collectors show it; None if it is not sampled."""
        return f"{trace_id_of(reservation_id):032x}" if is_sampled(reservation_id, self._ratio) else None

    def headers_of(self, reservation_id: UUID) -> Mapping[str, str]:
        """Return the header `traceparent` (W3C Trace Context, version 00) of a sampled reservation, else nothing."""
        if not is_sampled(reservation_id, self._ratio):
            return {}
        return {"traceparent": f"00-{trace_id_of(reservation_id):032x}-{_root_span_id(reservation_id):016x}-01"}

    def close(self) -> None:
        """Export what waits, within the exporter's timeout, and stop."""
        self._provider.shutdown()

    def _record_command(
        self, command: TracedCommand, result: TracedResult, commit: SpanContext, ended: datetime
    ) -> None:

        reservation, context = result.reservation, command.context
        if reservation is None:
            raise AssertionError("only commands about a reservation are sampled")
        reservation_id = reservation.reservation_id
        attributes: dict[str, Any] = {
            "ledger.reservation_id": str(reservation_id),
            "ledger.state": reservation.public_state,
            "ledger.actor": context.actor,
            "ledger.code_version": result.code.version,
        }
        if context.request_id is not None:
            attributes["ledger.request_id"] = context.request_id
        if _begins_trace(reservation):
            with self._ids.use(trace_id_of(reservation_id), _root_span_id(reservation_id)):
                root = self._tracer.start_span(ROOT_NAME, context=Context(), start_time=_ns(context.now))
            root.set_attributes(attributes)
            root.end(_ns(ended))
        span = self._start(reservation_id, _span_name(type(command)), context.now, [Link(commit)])
        span.set_attributes(attributes)
        span.end(_ns(ended))

    def _start(self, reservation_id: UUID, name: str, started: datetime, links: list[Link]) -> Span:
        return self._tracer.start_span(name, context=_root_of(reservation_id), start_time=_ns(started), links=links)


def _begins_trace(reservation: Reservation) -> bool:
    """Return whether a command has just begun the reservation of a redeem request."""
    return len(reservation.versions) == 1 and reservation.is_use and reservation.corrects is None


def _root_span_id(reservation_id: UUID) -> int:
    """Return the id of the root span, which processes that did not start it name as their parent."""
    return reservation_id.int & _HALF


def _root_of(reservation_id: UUID) -> Context:
    flags = TraceFlags(TraceFlags.SAMPLED)
    root = SpanContext(trace_id_of(reservation_id), _root_span_id(reservation_id), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(root))


@lru_cache(maxsize=64)
def _span_name(command: type[TracedCommand]) -> str:
    """Return the words of a command's name: `claim attempt` for ClaimAttempt."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", command.__name__).lower()


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000
