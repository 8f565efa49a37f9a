"""The drawing of a graph of causes: a row for each event, in order, and tracks whose lines lead from cause to effect.

A line runs down its track from a cause to its last effect, and branches off to each one before it. Geometry only, in
pixels from the left; a row is as high as its text, so vertical positions are the template's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from api.use_cases.past_states.causes import CauseLink

FIRST_X: Final = 12
TRACK_WIDTH: Final = 18
TRACKS_MAX: Final = 8
"""Most tracks side by side, so that a phone has room for the text; further ones share the last."""


class Branch(NamedTuple):
    """A line that comes to an event from above; dashed if the cause only precedes it."""

    x: int
    is_dashed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRow:
    """What is drawn next to one event.

    Attributes:
        x: Where its dot is.
        passing: Tracks whose lines pass from top to bottom.
        incoming: Lines from the top to the dot.
        is_cause: Whether a line leaves the dot downward.
    """

    version: int
    x: int
    passing: list[int]
    incoming: list[Branch]
    is_cause: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackDrawing:
    """All rows, and the width that they need."""

    rows: list[TrackRow]
    width: int


def draw_tracks(versions: Sequence[int], links: Sequence[CauseLink]) -> TrackDrawing:
    """Draw events in this order; each link leads from an earlier one to a later one."""
    open_effects: dict[int, int] = {}
    for link in links:
        open_effects[link.cause] = open_effects.get(link.cause, 0) + 1
    tracks: dict[int, int] = {}
    rows = []
    for version in versions:
        incoming = [link for link in links if link.effect == version]
        ended = []
        for link in incoming:
            open_effects[link.cause] -= 1
            if open_effects[link.cause] == 0:
                ended.append(link.cause)
        branches = [Branch(_x(tracks[link.cause]), link.relation == "followed_by") for link in incoming]
        own_tracks = [tracks.pop(cause) for cause in ended]
        track = own_tracks[0] if own_tracks else _find_free_track(tracks)
        rows.append(
            TrackRow(
                version=version,
                x=_x(track),
                passing=sorted({_x(other) for other in tracks.values()}),
                incoming=branches,
                is_cause=version in open_effects,
            )
        )
        if version in open_effects:
            tracks[version] = track
    width = max((max([row.x, *row.passing, *(branch.x for branch in row.incoming)]) for row in rows), default=FIRST_X)
    return TrackDrawing(rows=rows, width=width + FIRST_X)


def _find_free_track(tracks: dict[int, int]) -> int:
    used = set(tracks.values())
    return next(track for track in range(len(used) + 1) if track not in used)


def _x(track: int) -> int:
    return FIRST_X + TRACK_WIDTH * min(track, TRACKS_MAX - 1)
