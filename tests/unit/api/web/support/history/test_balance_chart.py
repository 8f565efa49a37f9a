from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from api.i18n.catalogs import translator
from api.web.rendering import environment
from api.web.support.history.balance_chart import (
    MARKS_MAX,
    STEPS_MAX,
    TRUE_SCALE_UP_TO_S,
    BalanceChart,
    draw_balance_chart,
)
from api.web.support.view_models import ShownStream
from domain.events.code import CodeIssued, CodePaused, CodeResumed, CodeTermsChanged
from domain.events.reservation import CaseOpened
from projections.read_models.balance_trace import BalanceSample
from projections.read_models.history_blocks import Landmark

START = datetime(2026, 11, 27, 12, tzinfo=UTC)


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


@pytest.mark.parametrize(("seconds", "is_short"), [(TRUE_SCALE_UP_TO_S, True), (TRUE_SCALE_UP_TO_S + 1, False)])
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
