"""One redemption as a waterfall: what was waited for and what was worked on, from the request to the outcome.

Only recorded times are used. What was not measured, as in older events, is one span without parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final, Literal, NamedTuple, assert_never
from uuid import UUID

from api.web.support.history.time_axis import Quiet, TimeAxis, round_place
from domain.events.event import Event
from domain.events.reservation import (
    CaseClosed,
    CaseOpened,
    InviteAccepted,
    InviteAttempted,
    InviteDeferred,
    InviteFailed,
    InviteOutcomeUnknown,
    InviteReleased,
    InviteSent,
    LateSuccessRecorded,
    OutcomeEvent,
    ResendRequested,
    ReservationStarted,
    UseRefunded,
)
from domain.ports import EMAIL_CHANNELS

QUIET_LEAST_S: Final = 0.02
"""Seconds that are never squeezed: a mail server close by takes about as long."""
TRUE_SCALE_UP_TO_S: Final = 60.0
"""Longest reservation, in seconds, that is drawn in true scale unless the reader chooses the other one."""
DETAILED_MAX: Final = 4
"""Attempts that are shown in their parts, the newest; each earlier one is one span, so that a page stays small."""
SPANS_MAX: Final = 30
REQUEST_S_MAX: Final = 60.0
"""A reservation's id that is older than so many seconds was not made for the request that reserved it."""
_MEASURED_MIN: Final = 3
_MEASURED_MAX: Final = 5
_VERSION_7: Final = 7
_BITS_BEHIND_TIME: Final = 80
_MS: Final = timedelta(milliseconds=1)

Activity = Literal["working", "waiting", "unknown"]
Phase = Literal[
    "request",
    "removal",
    "queue",
    "slot",
    "prepare",
    "connect",
    "announce",
    "content",
    "send",
    "record",
    "attempt",
    "lost",
    "retry",
    "deferred",
    "unknown",
    "case",
    "acceptance",
]
ACTIVITIES: Final[dict[Phase, Activity]] = {
    "request": "working",
    "removal": "waiting",
    "queue": "waiting",
    "slot": "waiting",
    "prepare": "working",
    "connect": "working",
    "announce": "working",
    "content": "working",
    "send": "working",
    "record": "working",
    "attempt": "working",
    "lost": "unknown",
    "retry": "waiting",
    "deferred": "waiting",
    "unknown": "unknown",
    "case": "waiting",
    "acceptance": "waiting",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What happened between two recorded times.

    Attributes:
        version: The event that says so: mostly the one at its end.
        attempt: Number of the attempt that it is part of; None outside of attempts.
        outcome: The outcome of the attempt, at the part in which it came.
        is_open: Whether it still lasts.
    """

    phase: Phase
    start: datetime
    end: datetime
    version: int
    attempt: int | None = None
    outcome: OutcomeEvent | None = None
    is_open: bool = False

    @property
    def activity(self) -> Activity:
        """Whether it is waiting, working or unknown."""
        return ACTIVITIES[self.phase]

    @property
    def length(self) -> timedelta:
        """How long it took."""
        return self.end - self.start


class DrawnSpan(NamedTuple):
    """A span with its place in percent of the width, and whether that is shorter than the time it took."""

    span: Span
    x: float
    width: float
    is_squeezed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """What the picture shows.

    Attributes:
        unmeasured: Whether an attempt has no measured parts.
        omitted: How many spans at the beginning are left out.
    """

    spans: list[DrawnSpan]
    quiet: list[Quiet]
    starts_at: datetime
    ends_at: datetime
    waiting: timedelta
    working: timedelta
    unmeasured: bool
    omitted: int
    is_true_scale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallWaterfall:
    """The same for a line of a list: neighbors of one activity are one part, and the acceptance is left out.

    Attributes:
        parts: Activity, position and width in percent.
    """

    parts: list[tuple[Activity, float, float]]
    total: timedelta
    waiting: timedelta


class _Wait(NamedTuple):
    """A wait that has not ended; after `until`, if that is given, it is one for a worker."""

    phase: Phase
    since: datetime
    version: int
    until: datetime | None = None


class _Measured(NamedTuple):
    """When an attempt came how far."""

    woken: datetime
    begun: datetime
    ended: datetime
    connected: datetime | None = None
    content: datetime | None = None


def draw_waterfall(
    events: Sequence[tuple[int, Event]], now: datetime, *, is_true_scale: bool | None = None
) -> Waterfall | None:
    """Draw the events of one reservation, given with their versions; None if no time has passed.

    Without a choice, a short one is in true scale, and quiet time of others is squeezed.
    """
    spans = list_spans(events, now)
    if not spans:
        return None
    shown = spans[-SPANS_MAX:]
    times = sorted({time for span in shown for time in (span.start, span.end)})
    axis = TimeAxis(
        times, is_true_scale=is_true_scale, quiet_least_s=QUIET_LEAST_S, true_scale_up_to_s=TRUE_SCALE_UP_TO_S
    )
    return Waterfall(
        spans=[_place(span, axis) for span in shown],
        quiet=axis.list_quiet(),
        starts_at=times[0],
        ends_at=times[-1],
        waiting=_sum(spans, "waiting"),
        working=_sum(spans, "working"),
        unmeasured=any(span.outcome is not None and not span.outcome.ms_ago for span in shown),
        omitted=len(spans) - len(shown),
        is_true_scale=axis.is_true_scale,
    )


def draw_small_waterfall(events: Sequence[tuple[int, Event]], now: datetime) -> SmallWaterfall | None:
    """Draw the events of one reservation for a list; None if no time has passed."""
    spans = [span for span in list_spans(events, now) if span.phase != "acceptance"]
    if not spans:
        return None
    runs = [(activity, list(run)) for activity, run in groupby(spans, key=lambda span: span.activity)]
    times = sorted({time for _, run in runs for time in (run[0].start, run[-1].end)})
    axis = TimeAxis(times, is_true_scale=False, quiet_least_s=QUIET_LEAST_S)
    places = [(activity, axis.place(run[0].start), axis.place(run[-1].end)) for activity, run in runs]
    return SmallWaterfall(
        parts=[(activity, round_place(start), round_place(end - start)) for activity, start, end in places],
        total=times[-1] - times[0],
        waiting=_sum(spans, "waiting"),
    )


def list_spans(events: Sequence[tuple[int, Event]], now: datetime) -> list[Span]:
    """Return the spans of one reservation in their order; without empty ones that have no outcome."""
    attempts = [event.attempt for _, event in events if isinstance(event, InviteAttempted)]
    spans = _SpanList(
        outcomes={event.attempt: event for _, event in reversed(events) if isinstance(event, OutcomeEvent)},
        detailed=frozenset(attempts[-DETAILED_MAX:]),
    )
    for version, event in events:
        spans.add(version, event)
    spans.finish(now)
    return [span for span in spans.spans if span.end > span.start or span.outcome is not None]


class _SpanList:
    """Collects the spans, event by event.

    Args:
        outcomes: The first outcome of each attempt.
        detailed: The attempts that are shown in their parts.
    """

    def __init__(self, outcomes: dict[int, OutcomeEvent], detailed: frozenset[int]) -> None:
        self.spans: list[Span] = []
        self._outcomes, self._detailed = outcomes, detailed
        self._wait: _Wait | None = None
        self._attempt: tuple[int, InviteAttempted] | None = None
        self._sent: tuple[int, datetime] | None = None

    def add(self, version: int, event: Event) -> None:
        """Add what an event ends, and note what it begins."""
        at = event.at
        match event:
            case ReservationStarted():
                self._add_request(version, event)
                self._wait = _Wait("removal" if event.waits_for else "queue", at, version)
            case InviteReleased() | ResendRequested():
                self._end_wait(at, version)
                self._wait = _Wait("queue", at, version)
            case InviteAttempted():
                self._begin_attempt(version, event)
            case InviteSent() | InviteFailed() | InviteDeferred() | InviteOutcomeUnknown() | LateSuccessRecorded():
                self._end_attempt(version, event)
                self._follow_outcome(version, event)
            case CaseOpened():
                self._end_wait(at, version)
                self._wait = _Wait("case", at, version)
            case CaseClosed():
                self._end_wait(at, version)
                self._wait = _Wait("retry", at, version, event.retry_at) if event.retry_at else None
            case InviteAccepted():
                if self._sent is not None:
                    self._append("acceptance", self._sent[1], at, version)
            case UseRefunded():
                self._end_wait(at, version)
            case _:
                return

    def finish(self, now: datetime) -> None:
        """Add what still lasts."""
        if self._attempt is not None:
            version, event = self._attempt
            self._append("attempt", event.at, max(now, event.at), version, event.attempt, is_open=True)
        elif self._wait is not None:
            self._end_wait(now, self._wait.version, is_open=True)

    def _add_request(self, version: int, event: ReservationStarted) -> None:
        """Add the time before the decision: the id of the reservation says when it was made for the request."""
        made_at = find_time_of_id(event.reservation_id)
        if made_at is not None and timedelta(0) < event.at - made_at <= timedelta(seconds=REQUEST_S_MAX):
            self._append("request", made_at, event.at, version)

    def _end_wait(self, at: datetime, version: int, *, is_open: bool = False) -> None:
        wait, self._wait = self._wait, None
        if wait is None:
            return
        if wait.until is not None and wait.until < at:
            self._append(wait.phase, wait.since, wait.until, wait.version)
            wait = _Wait("queue", wait.until, version)
        self._append(wait.phase, wait.since, at, version, is_open=is_open)

    def _begin_attempt(self, version: int, event: InviteAttempted) -> None:
        measured = self._find_measured(event.attempt)
        if measured is not None and self._wait is not None and event.attempt in self._detailed:
            since = self._wait.since if self._wait.until is None else max(self._wait.since, self._wait.until)
            woken = min(max(measured.woken, since), event.at)
            self._end_wait(woken, version)
            self._append("slot", woken, event.at, version)
        else:
            self._end_wait(event.at, version)
        self._attempt = (version, event)

    def _end_attempt(self, version: int, outcome: OutcomeEvent) -> None:
        if self._attempt is None or self._attempt[1].attempt != outcome.attempt:
            return
        (_, begun), self._attempt = self._attempt, None
        measured = self._find_measured(outcome.attempt)
        if isinstance(outcome, InviteOutcomeUnknown) and outcome.cause == "lease_expired":
            self._append("lost", begun.at, outcome.at, version, outcome.attempt, outcome)
        elif measured is None or outcome.attempt not in self._detailed:
            self._append("attempt", begun.at, outcome.at, version, outcome.attempt, outcome)
        else:
            self._append_parts(begun, version, outcome, measured)

    def _append_parts(self, begun: InviteAttempted, version: int, outcome: OutcomeEvent, measured: _Measured) -> None:
        """Add the parts of an attempt. Each begins where the one before ends, so no time is counted twice."""
        parts: list[tuple[Phase, datetime]] = [("prepare", measured.begun)]
        if begun.channel not in EMAIL_CHANNELS:
            parts.append(("send", measured.ended))
        elif measured.connected is None:
            parts.append(("connect", measured.ended))
        elif measured.content is None:
            parts += [("connect", measured.connected), ("announce", measured.ended)]
        else:
            parts += [("connect", measured.connected), ("announce", measured.content), ("content", measured.ended)]
        recorded_at = _time_of_record(outcome)
        start, last = begun.at, parts[-1][0]
        for phase, at in [*parts, ("record", recorded_at)]:
            end = min(max(at, start), max(recorded_at, start))
            is_answer = phase == last
            self._append(phase, start, end, version, outcome.attempt, outcome if is_answer else None)
            start = end

    def _follow_outcome(
        self,
        version: int,
        event: InviteSent | InviteFailed | InviteDeferred | InviteOutcomeUnknown | LateSuccessRecorded,
    ) -> None:
        """Note what is waited for after an outcome."""
        match event:
            case InviteFailed():
                self._wait = _Wait("retry", event.at, version, event.retry_at) if event.retry_at else None
            case InviteDeferred():
                self._wait = _Wait("deferred", event.at, version, event.until)
            case InviteOutcomeUnknown():
                self._wait = _Wait("unknown", event.at, version, event.retry_at)
            case InviteSent():
                self._end_wait(event.at, version)
                self._sent = (version, event.at)
            case LateSuccessRecorded():
                return
            case _:
                assert_never(event)

    def _find_measured(self, attempt: int) -> _Measured | None:
        outcome = self._outcomes.get(attempt)
        if outcome is None or not _MEASURED_MIN <= len(outcome.ms_ago) <= _MEASURED_MAX:
            return None
        recorded_at = _time_of_record(outcome)
        return _Measured(*(recorded_at - ms * _MS for ms in outcome.ms_ago))

    def _append(
        self,
        phase: Phase,
        start: datetime,
        end: datetime,
        version: int,
        attempt: int | None = None,
        outcome: OutcomeEvent | None = None,
        *,
        is_open: bool = False,
    ) -> None:
        self.spans.append(
            Span(phase=phase, start=start, end=end, version=version, attempt=attempt, outcome=outcome, is_open=is_open)
        )


def find_time_of_id(identifier: UUID) -> datetime | None:
    """Return when an id that sorts by time was made, by the clock of the host that made it; None for other ids."""
    if identifier.version != _VERSION_7:
        return None
    return datetime.fromtimestamp((identifier.int >> _BITS_BEHIND_TIME) / 1000, UTC)


def _time_of_record(event: Event) -> datetime:
    """Return when an event was stored: the durations before it were measured until then."""
    return event.recorded_at or event.at


def _sum(spans: Sequence[Span], activity: Activity) -> timedelta:
    return sum((span.length for span in spans if span.activity == activity), timedelta(0))


def _place(span: Span, axis: TimeAxis) -> DrawnSpan:
    x = axis.place(span.start)
    width = round_place(axis.place(span.end) - x)
    return DrawnSpan(span, round_place(x), width, axis.squeezes(span.start, span.end))
