"""The horizontal axis of pictures of a history: positions of times, in true scale or with quiet time squeezed."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

WIDTH: Final = 100.0
QUIET_FACTOR: Final = 4.0
"""A gap of more than so many usual ones is squeezed to that length."""
NARROWEST_SHARE: Final = 1 / 12
"""Width of the shortest step, as a share of that of the longest: events of one second stay apart."""


SCALES: Final = {True: "true", False: "squeezed"}
"""Words of URLs for true scale and for squeezed quiet time."""
SCALE_LENGTH_MAX: Final = 8


class Quiet(NamedTuple):
    """Time without changes that is drawn shorter than it was."""

    x: float
    width: float
    length: timedelta


class TimeAxis:
    """Positions of times, in percent of the width.

    Args:
        times: In order, at least two.
        is_true_scale: Whether equal distances are equal times; None if only a short axis is drawn so.
        quiet_least_s: Seconds that are never squeezed, however close the other times are.
        true_scale_up_to_s: Length of a short axis, in seconds.

    Attributes:
        places: The positions of the times.
        is_true_scale: Whether equal distances are equal times.
    """

    def __init__(
        self,
        times: Sequence[datetime],
        *,
        is_true_scale: bool | None,
        quiet_least_s: float,
        true_scale_up_to_s: float = 0.0,
    ) -> None:
        if is_true_scale is None:
            is_true_scale = (times[-1] - times[0]).total_seconds() <= true_scale_up_to_s
        self._times, self.is_true_scale = times, is_true_scale
        gaps = [max((after - before).total_seconds(), 0.0) for before, after in pairwise(times)]
        usual = [gap for gap in gaps if gap > 0]
        longest = max(QUIET_FACTOR * median(usual), quiet_least_s) if usual else quiet_least_s
        self._is_quiet = [not is_true_scale and gap > longest for gap in gaps]
        if is_true_scale and usual:
            widths = gaps
        else:
            widths = [max(min(gap, longest), longest * NARROWEST_SHARE) for gap in gaps]
        total = sum(widths)
        self.places = [0.0]
        for width in widths:
            self.places.append(self.places[-1] + WIDTH * width / total)

    def place(self, at: datetime) -> float:
        """Return the position of a time."""
        index = bisect_right(self._times, at)
        if index == 0:
            return 0.0
        if index == len(self._times):
            return WIDTH
        start, end = self._times[index - 1], self._times[index]
        share = (at - start) / (end - start) if end > start else 1.0
        return self.places[index - 1] + share * (self.places[index] - self.places[index - 1])

    def squeezes(self, start: datetime, end: datetime) -> bool:
        """Return whether quiet time between two times is drawn shorter than it was."""
        gaps = zip(pairwise(self._times), self._is_quiet, strict=True)
        return any(is_quiet and after > start and before < end for (before, after), is_quiet in gaps)

    def list_quiet(self) -> list[Quiet]:
        """Return the squeezed gaps."""
        return [
            Quiet(
                round_place(self.places[index]), round_place(self.places[index + 1] - self.places[index]), end - start
            )
            for index, (start, end) in enumerate(pairwise(self._times))
            if self._is_quiet[index]
        ]


def name_other_scale(*, is_true_scale: bool) -> str:
    """Return the word with which a URL asks for the other scale than that of a picture."""
    return SCALES[not is_true_scale]


def parse_scale(text: str) -> bool | None:
    """Return whether the URL of a page asks for true scale; None if it leaves that to the picture."""
    return {name: choice for choice, name in SCALES.items()}.get(text)


def round_place(number: float) -> float:
    """Return a position as pictures name it: a hundredth of a percent is finer than a pixel."""
    return round(number, 2)
