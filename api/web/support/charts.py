"""Charts as rectangles: the balance of a code, columns over time, bars of a list. Geometry only, without texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from domain.model.redeem_code import RedeemCode

WIDTH: Final = 1000.0
HEIGHT: Final = 200.0
GAP_SHARE: Final = 0.25
"""Share of a column's space that stays empty."""
INTERVALS_MAX: Final = 5
"""Most intervals between the numbers of a vertical axis."""
LABELS_MAX: Final = 7
STEPS: Final = (10, 20, 25, 50)
"""Intervals of a vertical axis that are easy to read, by ten, before a power of ten multiplies them."""
CELLS_MAX: Final = 24
"""Most uses of a balance bar with a cell for each; a larger limit is one bar."""
OPEN_SHARE: Final = 0.25
"""Share of the bar of a code without limit that has no end."""

BalancePart = Literal["used", "reserved", "free", "open"]


@dataclass(frozen=True, slots=True)
class ColumnSegment:
    """One rectangle of a column, in units of which the chart is 1,000 wide and 200 high; y is counted from the top."""

    part: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedColumns:
    """Columns side by side. `ticks`: numbers at equal distances, the top first; `labels`: from left to right."""

    segments: list[ColumnSegment]
    ticks: list[int]
    labels: list[str]


def stack_columns(rows: Sequence[Sequence[int]], parts: Sequence[str], labels: Sequence[str]) -> StackedColumns:
    """Stack each row's numbers into a column.

    Args:
        rows: One for each column; its numbers from the bottom up.
        parts: What the numbers are, as a class of the picture.
        labels: One for each column; few enough to read are kept.
    """
    ticks = list_ticks(max((sum(row) for row in rows), default=0))
    top = ticks[0]
    step = WIDTH / max(len(rows), 1)
    segments = []
    for index, row in enumerate(rows):
        y = HEIGHT
        for part, number in zip(parts, row, strict=True):
            if number:
                height = HEIGHT * number / top
                y -= height
                x, width = index * step + step * GAP_SHARE / 2, step * (1 - GAP_SHARE)
                segments.append(ColumnSegment(part, round(x, 2), round(y, 2), round(width, 2), round(height, 2)))
    return StackedColumns(
        segments=segments,
        ticks=ticks,
        labels=_sample_labels(list(labels)),
    )


def list_ticks(number: int) -> list[int]:
    """Return the numbers of an axis from the top, which is `number` or little above it, down to 0, at equal distances.

    They are whole and easy to read: 2, 1, 0 for 2; 50, 40, 30, 20, 10, 0 for 42.
    """
    number, power = max(number, 1), 1
    while True:
        for step in STEPS:
            interval, rest = divmod(step * power, 10)
            intervals = -(-number // interval)
            if rest == 0 and intervals <= INTERVALS_MAX:
                return [interval * index for index in range(intervals, -1, -1)]
        power *= 10


def scale_to_largest(numbers: Sequence[int]) -> list[float]:
    """Return widths of bars; the largest is 100."""
    largest = max(numbers, default=0)
    return [round(100 * number / largest, 1) if largest else 0.0 for number in numbers]


def _sample_labels(labels: list[str]) -> list[str]:
    """Return the first and the last label, and some between them at equal distances."""
    for count in range(min(LABELS_MAX, len(labels)), 1, -1):
        if (len(labels) - 1) % (count - 1) == 0:
            stride = (len(labels) - 1) // (count - 1)
            return labels[::stride]
    return [labels[0], labels[-1]] if len(labels) > 1 else labels


@dataclass(frozen=True, slots=True)
class BarSegment:
    """One rectangle, in units of which the picture is 1,000 wide."""

    part: BalancePart
    x: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceBar:
    """The rectangles from left to right, and the numbers that they stand for; `free` None: without limit."""

    segments: list[BarSegment]
    is_cells: bool
    used: int
    reserved: int
    free: int | None
    limit: int | None


def draw_balance_bar(code: RedeemCode, cells_max: int = CELLS_MAX) -> BalanceBar:
    """Draw a code's balance; with a cell for each use, if the limit is at most `cells_max`."""
    return draw_bar(code.used, code.reserved, free=code.available, limit=code.terms.max_uses, cells_max=cells_max)


def draw_bar(
    used: int, reserved: int, *, free: int | None, limit: int | None, cells_max: int = CELLS_MAX
) -> BalanceBar:
    """Draw uses within a limit; with a cell for each use, if the limit is at most `cells_max`."""
    is_cells = limit is not None and limit <= cells_max
    return BalanceBar(
        segments=_cells(used, reserved, free or 0) if is_cells else _bar(used, reserved, limit),
        is_cells=is_cells,
        used=used,
        reserved=reserved,
        free=free,
        limit=limit,
    )


def _cells(used: int, reserved: int, free: int) -> list[BarSegment]:
    counts: list[tuple[BalancePart, int]] = [("used", used), ("reserved", reserved), ("free", free)]
    parts = [part for part, count in counts for _ in range(count)]
    step = WIDTH / max(len(parts), 1)
    gap = min(step * 0.12, 8.0)
    return [BarSegment(part, round(index * step, 2), round(step - gap, 2)) for index, part in enumerate(parts)]


def _bar(used: int, reserved: int, limit: int | None) -> list[BarSegment]:
    if limit is None:
        occupied = used + reserved
        share = WIDTH * (1 - OPEN_SHARE) / occupied if occupied else 0.0
        used_width, reserved_width = used * share, reserved * share
        last: BalancePart = "open"
    else:
        whole = max(limit, used + reserved)  # more uses than the limit: it was set below them, or counts fewer
        used_width, reserved_width = WIDTH * used / whole, WIDTH * reserved / whole
        last = "free"
    segments = [BarSegment("used", 0.0, used_width), BarSegment("reserved", used_width, reserved_width)]
    segments.append(BarSegment(last, used_width + reserved_width, WIDTH - used_width - reserved_width))
    return [
        BarSegment(segment.part, round(segment.x, 2), round(segment.width, 2))
        for segment in segments
        if segment.width > 0
    ]
