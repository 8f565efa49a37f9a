from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.i18n.catalogs import translator
from api.use_cases.past_states.causes import CauseLink
from api.web.rendering import environment
from api.web.support.history.balance_chart import MARKS_MAX, STEPS_MAX, BalanceChart, draw_balance_chart
from api.web.support.history.balance_chart import TRUE_SCALE_UP_TO_S as CHART_TRUE_SCALE_S
from api.web.support.history.cause_tracks import FIRST_X, TRACK_WIDTH, TRACKS_MAX, Branch, draw_tracks
from api.web.support.history.waterfall import (
    DETAILED_MAX,
    TRUE_SCALE_UP_TO_S,
    Span,
    Waterfall,
    draw_small_waterfall,
    draw_waterfall,
    list_spans,
)
from api.web.support.view_models import ShownStream
from domain.events.code import CodeIssued, CodePaused, CodeResumed, CodeTermsChanged
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
from projections.read_models.balance_trace import BalanceSample
from projections.read_models.history_blocks import Landmark

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


def draw_spans(events: Sequence[tuple[int, Event]], now: datetime, *, is_true_scale: bool | None = None) -> Waterfall:
    drawn = draw_waterfall(events, now, is_true_scale=is_true_scale)
    assert drawn is not None
    return drawn


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
    drawn = draw_spans([(2, reserved()), (3, attempted(1)), (4, sent(3))], START)

    assert words(reserved(), attempted(1), sent(3)) == [("queue", 0, 1), ("attempt", 1, 3)]
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

    drawn, small = draw_spans(events, START + timedelta(hours=1)), draw_small_waterfall(events, START)

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
    long, true = draw_spans(events, end), draw_spans(events, end, is_true_scale=True)
    short = draw_spans(events[:3], START + timedelta(seconds=TRUE_SCALE_UP_TO_S))

    assert {drawn.span.phase: drawn.is_squeezed for drawn in long.spans}["retry"]
    assert not long.is_true_scale
    assert not any(drawn.is_squeezed for drawn in [*true.spans, *short.spans])
    assert true.is_true_scale
    assert short.is_true_scale


def sample(version: int, seconds: float, used: int, reserved: int = 0, limit: int | None = 4) -> BalanceSample:
    available = None if limit is None else limit - used - reserved
    return BalanceSample(version, START + timedelta(seconds=seconds), used, reserved, available, limit)


def draw(
    samples: list[BalanceSample],
    landmarks: list[Landmark] | None = None,
    *,
    seconds: float,
    is_true_scale: bool | None = False,
) -> BalanceChart:
    now = START + timedelta(seconds=seconds)
    return draw_balance_chart(
        samples, landmarks or [], changes=len(samples), at=now, now=now, is_true_scale=is_true_scale
    )


SAMPLES = [sample(1, 0, 0), sample(2, 10, 0, 1), sample(4, 20, 1), sample(5, 86_400, 0)]


def test_true_scale_is_proportional_to_time_and_squeezed_time_is_not() -> None:
    true, squeezed = (draw(SAMPLES, seconds=86_410, is_true_scale=is_true) for is_true in (True, False))

    assert true.steps[2].width > 99
    assert true.quiet == []
    assert [round(step.width) for step in squeezed.steps] == [14, 14, 57, 14]
    assert [round(part.length.total_seconds()) for part in squeezed.quiet] == [86_380]
    assert squeezed.quiet[0].x == squeezed.steps[2].x


@pytest.mark.parametrize(("seconds", "is_short"), [(CHART_TRUE_SCALE_S, True), (CHART_TRUE_SCALE_S + 1, False)])
def test_short_history_is_in_true_scale_unless_the_reader_chooses(*, seconds: float, is_short: bool) -> None:
    drawn = [draw(SAMPLES[:3], seconds=seconds, is_true_scale=choice) for choice in (None, True, False)]

    assert [chart.is_true_scale for chart in drawn] == [is_short, True, False]
    assert [chart.quiet == [] for chart in drawn] == [is_short, True, False]


@pytest.mark.parametrize(
    ("limit", "ticks"), [(1, [1, 0]), (2, [2, 1, 0]), (4, [4, 3, 2, 1, 0]), (50, [50, 40, 30, 20, 10, 0])]
)
def test_axis_ends_at_the_limit(limit: int, ticks: list[int]) -> None:
    chart = draw([sample(1, 0, limit, limit=limit)], seconds=9)

    assert chart.ticks == ticks
    assert chart.limit == "M0 0H1000"
    assert chart.grid.count("M0 ") == len(ticks)
    assert chart.grid.startswith("M0 0H1000")
    assert chart.grid.endswith("M0 200H1000")


def test_areas_are_stacked_up_to_the_limit() -> None:
    chart = draw(SAMPLES, seconds=86_410)

    assert chart.ticks == [4, 3, 2, 1, 0]
    begin, middle, end = (round(step.x * 10) for step in chart.steps[1:])
    assert chart.reserved == f"M{begin} 200V150H{middle}V200z"
    assert chart.used == f"M{middle} 200V150H{end}V200z"
    assert chart.limit == "M0 0H1000"
    assert chart.cursor == 100.0
    assert draw([sample(1, 0, 1, limit=1_000)], seconds=9).limit == ""
    assert draw([sample(1, 0, 1, limit=None)], seconds=9).limit == ""


@pytest.mark.usual_world("more marks than the smallest picture shows")
def test_marks_and_pauses_are_at_the_times_of_their_events() -> None:
    def mark(kind: type, version: int, seconds: float) -> Landmark:
        return Landmark(kind, version, version, START + timedelta(seconds=seconds), 1)

    marks = [mark(CodeIssued, 1, 0), mark(CodePaused, 2, 10), mark(CodeResumed, 3, 20), mark(CodePaused, 6, 86_400)]
    chart = draw(SAMPLES, [*marks, mark(CodeTermsChanged, 5, 20)], seconds=86_410)

    assert [(each.kind, each.version) for each in chart.marks] == [
        ("paused", 2), ("resumed", 3), ("paused", 6), ("terms", 5),
    ]  # fmt: skip
    assert chart.pauses == [
        (chart.steps[1].x, chart.steps[1].width), (chart.steps[3].x, round(100 - chart.steps[3].x, 2)),
    ]  # fmt: skip


def test_pause_is_visible_in_quiet_time() -> None:
    """It is drawn over the ground of the quiet time, which it mostly is."""
    pause = Landmark(CodePaused, 5, 5, START + timedelta(seconds=20), 1)
    drawn = (
        environment()
        .get_template("support/balance_chart.html")
        .render(
            chart=draw(SAMPLES, [pause], seconds=86_410),
            chart_heading="h2",
            current_page="code",
            show=ShownStream.of_code(UUID(int=1), "ABCD", "en"),
            scale_url="?scale=true",
            t=translator("en"),
        )
    )

    assert 0 < drawn.rindex('class="chart-quiet"') < drawn.index('class="chart-pause"')


def test_long_history_is_thinned_to_its_peaks_and_its_many_marks_are_joined() -> None:
    samples = [sample(version, version, version % 97, limit=None) for version in range(1, 1_001)]
    cases = [Landmark(CaseOpened, each.version, each.version, each.at, 2) for each in samples]
    chart = draw(samples, cases, seconds=1_001)

    assert len(chart.steps) == STEPS_MAX
    assert max(step.sample.used for step in chart.steps) == 96
    assert chart.steps[-1].sample == samples[-1]
    assert len(chart.marks) <= MARKS_MAX
    assert sum(each.number for each in chart.marks) == 2_000
    assert round(sum(step.width for step in chart.steps)) == 100


def test_code_without_further_events_is_drawn() -> None:
    chart = draw([sample(1, 0, 0)], seconds=0)

    assert [(step.x, step.width) for step in chart.steps] == [(0.0, 100.0)]


def link(cause: int, effect: int) -> CauseLink:
    return CauseLink(cause, effect, "causes")


def test_line_of_causes_has_one_track() -> None:
    drawing = draw_tracks([2, 3, 4], [link(2, 3), link(3, 4)])

    assert [row.x for row in drawing.rows] == [FIRST_X] * 3
    assert [row.incoming for row in drawing.rows] == [[], [Branch(FIRST_X, False)], [Branch(FIRST_X, False)]]
    assert [row.is_cause for row in drawing.rows] == [True, True, False]
    assert [row.passing for row in drawing.rows] == [[], [], []]
    assert drawing.width == 2 * FIRST_X


def test_branches_leave_the_track_of_their_cause_which_passes_until_the_last() -> None:
    links = [link(2, 3), link(2, 4), link(3, 5), CauseLink(4, 6, "followed_by")]
    second = FIRST_X + TRACK_WIDTH

    rows = draw_tracks([2, 3, 4, 5, 6], links).rows

    assert [row.x for row in rows] == [FIRST_X, second, FIRST_X, second, FIRST_X]
    assert rows[1].passing == [FIRST_X]
    assert rows[2].passing == [second]
    assert rows[3].passing == [FIRST_X]
    assert rows[4].incoming == [Branch(FIRST_X, True)]
    assert not rows[4].passing


def test_many_effects_of_one_cause_need_two_tracks() -> None:
    """A revocation refunds many: a line passes, and each refund ends next to it."""
    drawing = draw_tracks(list(range(1, 27)), [link(1, effect) for effect in range(2, 27)])

    assert {row.x for row in drawing.rows} == {FIRST_X, FIRST_X + TRACK_WIDTH}
    assert drawing.width == 2 * FIRST_X + TRACK_WIDTH


def test_nested_branches_are_bounded_in_width() -> None:
    versions = list(range(1, 41))
    links = [link(number, number + 1) for number in range(1, 20)]
    links += [link(number, 41 - number) for number in range(1, 20)]

    drawing = draw_tracks(versions, links)

    assert len(drawing.rows) == len(versions)
    assert max(row.x for row in drawing.rows) == FIRST_X + TRACK_WIDTH * (TRACKS_MAX - 1)
