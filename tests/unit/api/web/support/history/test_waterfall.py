from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.web.support.history.waterfall import (
    DETAILED_MAX,
    TRUE_SCALE_UP_TO_S,
    Span,
    draw_small_waterfall,
    draw_waterfall,
    list_spans,
)
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
    UseRefunded,
    UseReserved,
)

START = datetime(2026, 11, 27, 12, tzinfo=UTC)
R = UUID(int=7)
MEASURED = (900, 400, 100, 300, 200)


def stamp(seconds: float) -> dict[str, Any]:
    return {"at": START + timedelta(seconds=seconds), "actor": "worker", "reservation_id": R}


def reserved(seconds: float = 0, reservation_id: UUID = R, waits_for: UUID | None = None) -> UseReserved:
    return UseReserved(
        **{**stamp(seconds), "reservation_id": reservation_id},
        recipient_id=R,
        deadline=START + timedelta(hours=1),
        language="en",
        waits_for=waits_for,
    )


def attempted(seconds: float, attempt: int = 1, channel: str = "smtp") -> InviteAttempted:
    return InviteAttempted(**stamp(seconds), attempt=attempt, lease_until=START + timedelta(hours=1), channel=channel)


def failed(seconds: float, retry_s: float | None, attempt: int = 1, ms_ago: tuple[int, ...] = ()) -> InviteFailed:
    retry_at = None if retry_s is None else START + timedelta(seconds=retry_s)
    return InviteFailed(
        **stamp(seconds), attempt=attempt, server="mx:25", reason="temporary", retry_at=retry_at, ms_ago=ms_ago
    )


def sent(seconds: float, attempt: int = 1, ms_ago: tuple[int, ...] = ()) -> InviteSent:
    return InviteSent(**stamp(seconds), attempt=attempt, server="mx:25", ms_ago=ms_ago)


def spans_of(*events: Event, now_s: float = 1_000) -> list[Span]:
    return list_spans(list(enumerate(events, 2)), START + timedelta(seconds=now_s))


def words(*events: Event, now_s: float = 1_000) -> list[tuple[str, float, float]]:
    """The phases of a history, with seconds from the start to their beginning and their end."""
    return [
        (span.phase, (span.start - START).total_seconds(), (span.end - START).total_seconds())
        for span in spans_of(*events, now_s=now_s)
    ]


def test_measured_attempt_is_shown_in_its_parts_without_gaps() -> None:
    spans = spans_of(reserved(), attempted(9.5), sent(10, ms_ago=MEASURED))

    assert words(reserved(), attempted(9.5), sent(10, ms_ago=MEASURED)) == [
        ("queue", 0, 9.1),
        ("slot", 9.1, 9.5),
        ("prepare", 9.5, 9.6),
        ("connect", 9.6, 9.7),
        ("announce", 9.7, 9.8),
        ("content", 9.8, 9.9),
        ("record", 9.9, 10),
    ]
    assert [span.phase for span in spans if span.outcome is not None] == ["content"]
    assert [span.activity for span in spans][:3] == ["waiting", "waiting", "working"]


def test_attempt_without_measurements_is_one_span() -> None:
    """Older events, and channels that measure nothing: no time is made up."""
    drawn = draw_waterfall([(2, reserved()), (3, attempted(1)), (4, sent(3))], START)

    assert words(reserved(), attempted(1), sent(3)) == [("queue", 0, 1), ("attempt", 1, 3)]
    assert drawn is not None
    assert drawn.unmeasured
    assert (drawn.waiting, drawn.working) == (timedelta(seconds=1), timedelta(seconds=2))


def test_parts_end_where_the_attempt_ended() -> None:
    by_length = {
        length: [phase for phase, _, _ in words(reserved(), attempted(9.5), failed(10, None, ms_ago=MEASURED[:length]))]
        for length in (3, 4)
    }
    by_hook = [phase for phase, *_ in words(reserved(), attempted(9.5, channel="team"), sent(10, ms_ago=MEASURED[:3]))]

    assert by_length[3] == ["queue", "slot", "prepare", "connect", "record"]
    assert by_length[4] == ["queue", "slot", "prepare", "connect", "announce", "record"]
    assert by_hook == ["queue", "slot", "prepare", "send", "record"]


def test_retries_unknown_outcomes_and_cases_are_spans() -> None:
    history = [
        reserved(),
        attempted(1),
        failed(2, 12),
        attempted(15, 2),
        InviteDeferred(
            **stamp(16), attempt=2, server="t", reason="full", until=START + timedelta(seconds=20), deadline=START
        ),
        attempted(20, 3),
        InviteOutcomeUnknown(**stamp(80), attempt=3, cause="lease_expired"),
        CaseOpened(**stamp(80), case_id=R, cause="unknown_outcome"),
        CaseClosed(**stamp(200), case_id=R, how="resolved_sent"),
        sent(200, 3),
        InviteAccepted(**stamp(300), via="link"),
    ]

    assert words(*history) == [
        ("queue", 0, 1),
        ("attempt", 1, 2),
        ("retry", 2, 12),
        ("queue", 12, 15),
        ("attempt", 15, 16),
        ("deferred", 16, 20),
        ("lost", 20, 80),
        ("case", 80, 200),
        ("acceptance", 200, 300),
    ]


def test_active_access_ends_now_and_a_refund_ends_a_wait() -> None:
    waits = reserved(waits_for=UUID(int=9))

    assert words(waits, now_s=5) == [("removal", 0, 5)]
    assert words(waits, InviteReleased(**stamp(3), deadline=START), now_s=5) == [("removal", 0, 3), ("queue", 3, 5)]
    assert [(span.phase, span.is_open) for span in spans_of(reserved(), attempted(1), now_s=5)] == [
        ("queue", False),
        ("attempt", True),
    ]
    refunded = UseRefunded(**stamp(4), cause="staff", held="reserved")
    assert words(reserved(), refunded, now_s=9) == [("queue", 0, 4)]


def test_request_begins_when_its_id_was_made_if_the_id_says_so() -> None:
    """Ids that sort by time do; random ones, later ones and ones from an import say nothing."""
    made_ms = int(START.timestamp() * 1000) - 30
    ordered = UUID(int=made_ms << 80 | 0x7000_8000_0000_0000_0000)
    own = {"reservation_id": ordered}

    first = list_spans([(2, reserved(reservation_id=ordered))], START)

    assert [(span.phase, span.length) for span in first] == [("request", timedelta(milliseconds=30))]
    for seconds in (-1, 3_600):
        spans = list_spans([(2, UseReserved(**{**_fields(reserved(seconds)), **own}))], START)
        assert "request" not in [span.phase for span in spans]
    assert words(reserved(), now_s=1) == [("queue", 0, 1)]


@pytest.mark.usual_world("the spans that one picture shows")
def test_many_attempts_are_bounded_and_positions_stay_within_the_width() -> None:
    history: list[Event] = [reserved()]
    for number in range(1, 31):
        history += [attempted(number * 10, number), failed(number * 10 + 1, number * 10 + 5, number, MEASURED)]
    events = list(enumerate(history, 2))

    drawn, small = draw_waterfall(events, START + timedelta(hours=1)), draw_small_waterfall(events, START)

    assert drawn is not None
    assert small is not None
    assert len(drawn.spans) + drawn.omitted == len(list_spans(events, START + timedelta(hours=1)))
    assert sum(place.span.phase == "content" for place in drawn.spans) == DETAILED_MAX
    assert all(0 <= place.x <= 100 and place.x + place.width <= 100.02 for place in drawn.spans)
    assert len(small.parts) < len(list_spans(events, START))
    assert small.parts[-1][1] + small.parts[-1][2] <= 100.02


def _fields(event: UseReserved) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_squeezed_spans_say_so() -> None:
    events = list(enumerate([reserved(), attempted(1), failed(2, 1_800), attempted(1_801, 2), sent(1_802, 2)], 2))
    end = START + timedelta(seconds=1_802)
    long, true = draw_waterfall(events, end), draw_waterfall(events, end, is_true_scale=True)
    short = draw_waterfall(events[:3], START + timedelta(seconds=TRUE_SCALE_UP_TO_S))

    assert long is not None
    assert true is not None
    assert short is not None
    assert {drawn.span.phase: drawn.is_squeezed for drawn in long.spans}["retry"]
    assert not long.is_true_scale
    assert not any(drawn.is_squeezed for drawn in [*true.spans, *short.spans])
    assert true.is_true_scale
    assert short.is_true_scale
