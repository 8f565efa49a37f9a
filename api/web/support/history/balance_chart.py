"""The chart of a balance in time, of a code or campaign: geometry and numbers, without texts.

Positions are in percent of the width. Paths have whole units, of which the chart is 1,000 wide and 200 high.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Final, Literal, NamedTuple

from api.web.support.charts import list_ticks
from api.web.support.history.time_axis import WIDTH, Quiet, TimeAxis, round_place
from domain.events.campaign import CampaignEnded, CampaignPaused, CampaignResumed, CampaignTermsChanged
from domain.events.code import CodePaused, CodeResumed, CodeRevoked, CodeTermsChanged, OpeningBalanceImported
from domain.events.event import Event
from domain.events.reservation import CaseOpened
from projections.read_models.balance_trace import BalanceSample
from projections.read_models.history_blocks import Landmark

STEPS_MAX: Final = 120
"""Most steps that are drawn: more would be narrower than a finger, and the page larger than 100 KB."""
MARKS_MAX: Final = 30
PATH_HEIGHT, PATH_UNITS = 200, 10
"""Units of a path: the height of the chart, and how many there are in a percent of its width."""
QUIET_LEAST_S: Final = 10.0
"""Seconds that are never squeezed, however close the other events are."""
TRUE_SCALE_UP_TO_S: Final = 600.0
"""Longest history, in seconds, that is drawn in true scale unless the reader chooses the other one."""
LIMIT_FACTOR: Final = 4
"""A limit above so many times the largest balance is not drawn, because the balance would be a line at the bottom."""

MarkKind = Literal["opening", "terms", "paused", "resumed", "revoked", "case", "ended"]
MARKS: Final[dict[type[Event], MarkKind]] = {
    OpeningBalanceImported: "opening",
    CodeTermsChanged: "terms",
    CodePaused: "paused",
    CodeResumed: "resumed",
    CodeRevoked: "revoked",
    CaseOpened: "case",
    CampaignTermsChanged: "terms",
    CampaignPaused: "paused",
    CampaignResumed: "resumed",
    CampaignEnded: "ended",
}


class ChartStep(NamedTuple):
    """A balance from its event to the next one that is drawn."""

    sample: BalanceSample
    x: float
    width: float


class ChartMark(NamedTuple):
    """An event to look for, with how many of its type are close to it."""

    kind: MarkKind
    version: int
    at: datetime
    x: float
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceChart:
    """What the chart shows.

    Attributes:
        used: Path of the area of used uses; `reserved` that of the reserved ones on top of them.
        limit: Path of the limit; empty without one, or if it is far above the balance.
        ticks: Numbers at equal distances, the top first; `grid` is the path of a line at each.
        pauses: Where the code or campaign was paused: position and width.
        changes: How often the balance changed; fewer are drawn if there are more than `STEPS_MAX`.
        since: Where the compared time before the cursor is; None if none is compared.
        places: Positions by versions, for the slider, to a tenth of a percent.
    """

    steps: list[ChartStep]
    used: str
    reserved: str
    limit: str
    ticks: list[int]
    grid: str
    marks: list[ChartMark]
    pauses: list[tuple[float, float]]
    quiet: list[Quiet]
    cursor: float
    since: float | None
    starts_at: datetime
    ends_at: datetime
    changes: int
    is_true_scale: bool
    places: list[tuple[int, str]]


def draw_balance_chart(
    samples: Sequence[BalanceSample],
    landmarks: Sequence[Landmark],
    *,
    changes: int,
    at: datetime,
    now: datetime,
    is_true_scale: bool | None,
    since: datetime | None = None,
) -> BalanceChart:
    """Draw the balance from the first event until now.

    Args:
        samples: In order; at least one.
        landmarks: The events to mark.
        changes: How many samples there would be if none were left out.
        at: The time of the cursor.
        now: The end, unless the last event is later.
        is_true_scale: Whether equal distances are equal times; None for a short history only.
        since: A time before the cursor that is compared with it.
    """
    shown = _thin(samples)
    ends_at = max(now, shown[-1].at)
    axis = TimeAxis(
        [*(sample.at for sample in shown), ends_at],
        is_true_scale=is_true_scale,
        quiet_least_s=QUIET_LEAST_S,
        true_scale_up_to_s=TRUE_SCALE_UP_TO_S,
    )
    places = axis.places
    largest = max(sample.occupied for sample in shown)
    limits = [sample.limit for sample in shown if sample.limit is not None]
    drawn_limits = [limit for limit in limits if limit <= LIMIT_FACTOR * max(largest, 1)]
    ticks = list_ticks(max([largest, *drawn_limits]))
    top = ticks[0]
    return BalanceChart(
        steps=[
            ChartStep(sample, round_place(places[index]), round_place(places[index + 1] - places[index]))
            for index, sample in enumerate(shown)
        ],
        used=_area([(sample.used, 0) for sample in shown], places, top),
        reserved=_area([(sample.occupied, sample.used) for sample in shown], places, top),
        limit=_line([sample.limit if sample.limit in drawn_limits else None for sample in shown], places, top),
        ticks=ticks,
        grid="".join(f"M0 {_height(tick, top)}H{_path_place(WIDTH)}" for tick in ticks),
        marks=_mark(landmarks, axis),
        pauses=_find_pauses(landmarks, axis),
        quiet=axis.list_quiet(),
        cursor=round_place(axis.place(at)),
        since=None if since is None else round_place(axis.place(since)),
        starts_at=shown[0].at,
        ends_at=ends_at,
        changes=changes,
        is_true_scale=axis.is_true_scale,
        places=[(sample.version, f"{places[index]:.1f}".removesuffix(".0")) for index, sample in enumerate(shown)],
    )


def _thin(samples: Sequence[BalanceSample]) -> list[BalanceSample]:
    """Return at most `STEPS_MAX` samples: the first, the last, and of each run between them the fullest."""
    if len(samples) <= STEPS_MAX:
        return list(samples)
    inner, runs = samples[1:-1], STEPS_MAX - 2
    bounds = [len(inner) * index // runs for index in range(runs + 1)]
    fullest = [max(inner[start:end], key=lambda sample: sample.occupied) for start, end in pairwise(bounds)]
    return [samples[0], *fullest, samples[-1]]


def _area(levels: Sequence[tuple[int, int]], places: Sequence[float], top: int) -> str:
    """Return the path of the areas between two levels: one outline for each run of steps with a height."""
    path, start = "", 0
    for is_drawn, run in groupby(levels, key=lambda level: level[0] > level[1]):
        length = len(steps := list(run))
        ends = [_path_place(place) for place in places[start + 1 : start + length + 1]]
        if is_drawn:
            upper = _draw_steps((_height(high, top), end) for (high, _), end in zip(steps, ends, strict=True))
            begins = [_path_place(places[start]), *ends[:-1]]
            lower = [(_height(low, top), begin) for (_, low), begin in zip(steps, begins, strict=True)]
            # The last line back ends where the outline begins, and so does `z`.
            back = _draw_steps(reversed(lower)).rpartition("H")[0]
            path += f"M{begins[0]} {lower[0][0]}{upper}{back}z"
        start += length
    return path


def _draw_steps(steps: Iterable[tuple[int, int]]) -> str:
    """Return steps, each a height and where it ends; neighbors of one height are one line."""
    levels = groupby(steps, key=itemgetter(0))
    return "".join(f"V{height}H{[end for _, end in level][-1]}" for height, level in levels)


def _line(levels: Sequence[int | None], places: Sequence[float], top: int) -> str:
    """Return the path of a line that steps from level to level, with a gap where there is none."""
    path, start = "", 0
    for level, run in groupby(levels):
        end = start + len(list(run))
        if level is not None:
            height = _height(level, top)
            is_continued = start > 0 and levels[start - 1] is not None
            path += f"V{height}" if is_continued else f"M{_path_place(places[start])} {height}"
            path += f"H{_path_place(places[end])}"
        start = end
    return path


def _mark(landmarks: Sequence[Landmark], axis: TimeAxis) -> list[ChartMark]:
    """Return the marks; if there are too many, the ones of a kind that are close to each other become one."""
    marks = [
        ChartMark(MARKS[mark.event_type], mark.first, mark.at, round_place(axis.place(mark.at)), mark.number)
        for mark in landmarks
        if mark.event_type in MARKS
    ]
    distance = 0.0
    while len(marks) > MARKS_MAX:
        distance += 1.0
        joined: dict[tuple[MarkKind, int], ChartMark] = {}
        for mark in marks:
            key = (mark.kind, int(mark.x // distance))
            first = joined.get(key)
            joined[key] = mark if first is None else first._replace(number=first.number + mark.number)
        marks = sorted(joined.values(), key=lambda mark: mark.x)
    return marks


def _find_pauses(landmarks: Sequence[Landmark], axis: TimeAxis) -> list[tuple[float, float]]:
    """Return where the code or campaign was paused: from each pause to the next resume, or to the end."""
    pauses: list[tuple[float, float]] = []
    since: float | None = None
    for mark in sorted(landmarks, key=lambda mark: mark.first):
        if MARKS.get(mark.event_type) == "paused" and since is None:
            since = axis.place(mark.at)
        elif MARKS.get(mark.event_type) == "resumed" and since is not None:
            pauses.append((round_place(since), round_place(axis.place(mark.at) - since)))
            since = None
    if since is not None:
        pauses.append((round_place(since), round_place(WIDTH - since)))
    return pauses


def _height(level: int, top: int) -> int:
    return round(PATH_HEIGHT * (1 - level / top))


def _path_place(place: float) -> int:
    return round(place * PATH_UNITS)
