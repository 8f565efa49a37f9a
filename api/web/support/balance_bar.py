"""A balance as a picture: one cell per use where they can be counted by eye, else a bar. Geometry only."""

from dataclasses import dataclass
from typing import Final, Literal

from domain.model.redeem_code import RedeemCode

CELLS_MAX: Final = 24
WIDTH: Final = 1000.0
OPEN_SHARE: Final = 0.25
"""Of an unlimited code's bar: the part without an end."""

BalancePart = Literal["used", "reserved", "free", "open"]


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
    is_cells = code.terms.max_uses is not None and code.terms.max_uses <= cells_max
    return BalanceBar(
        segments=_cells(code) if is_cells else _bar(code),
        is_cells=is_cells,
        used=code.used,
        reserved=code.reserved,
        free=code.available,
        limit=code.terms.max_uses,
    )


def _cells(code: RedeemCode) -> list[BarSegment]:
    counts: list[tuple[BalancePart, int]] = [
        ("used", code.used),
        ("reserved", code.reserved),
        ("free", code.available or 0),
    ]
    parts = [part for part, count in counts for _ in range(count)]
    step = WIDTH / max(len(parts), 1)
    gap = min(step * 0.12, 8.0)
    return [BarSegment(part, round(index * step, 2), round(step - gap, 2)) for index, part in enumerate(parts)]


def _bar(code: RedeemCode) -> list[BarSegment]:
    total = code.terms.max_uses
    if total is None:
        occupied = code.used + code.reserved
        share = WIDTH * (1 - OPEN_SHARE) / occupied if occupied else 0.0
        used, reserved = code.used * share, code.reserved * share
        last: BalancePart = "open"
    else:
        used, reserved = WIDTH * code.used / total, WIDTH * code.reserved / total
        last = "free"
    segments = [BarSegment("used", 0.0, used), BarSegment("reserved", used, reserved)]
    segments.append(BarSegment(last, used + reserved, WIDTH - used - reserved))
    return [
        BarSegment(segment.part, round(segment.x, 2), round(segment.width, 2))
        for segment in segments
        if segment.width > 0
    ]
