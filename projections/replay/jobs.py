"""The jobs into which work on a long log is divided, and running one, in this or another process."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

from psycopg import Connection

from projections.replay.log_fold import LogFold, MemoryLimits, RowSink, Streams, fold_streams
from projections.replay.observer import FoldObserver
from projections.replay.protocol import CheckTiles, FoldStreams, Job
from projections.replay.tile_check import check_tiles
from projections.transparency_log.tile_log import TILE, TreeSize

PART_EVENTS: Final = 40_000
PARTS_MAX: Final = 512
TILES_OF_A_PART: Final = 256
_IDS = 2**128


def count_parts(events: int) -> int:
    """Return how many ranges of ids a log of about this many events is divided into."""
    return min(max(events // PART_EVENTS, 1), PARTS_MAX)


def fold_jobs(parts: int, heavy: Sequence[UUID] = ()) -> list[FoldStreams]:
    """Return jobs over all streams by ranges of ids. Ids are random and so fill the ranges evenly.

    Args:
        parts: How many ranges.
        heavy: Streams that are much longer than others. Their ranges come first, so that none is begun last.
    """
    bounds = [_IDS * part // parts for part in range(parts + 1)]
    jobs = [FoldStreams(UUID(int=start), UUID(int=end - 1)) for start, end in pairwise(bounds)]
    first = list(dict.fromkeys(bisect_right(bounds, stream.int) - 1 for stream in heavy))
    return [jobs[part] for part in first] + [job for part, job in enumerate(jobs) if part not in first]


def tile_jobs(tree: TreeSize) -> list[CheckTiles]:
    """Return jobs over all lowest tiles of a Merkle log, by ranges of numbers."""
    tiles = -(-tree.size // TILE)
    starts = range(0, tiles, TILES_OF_A_PART)
    return [CheckTiles(start, min(start + TILES_OF_A_PART, tiles) - 1, *tree) for start in starts]


class JobRunner:
    """Runs jobs one after the other.

    Args:
        conn: For reading; it is used for nothing else at the same time.
        sink: Where rows go.
        observer: Checks events while they are folded.
        until: The last position that is folded.
        limits: Bounds of the memory.
        on_page: Called with the number of events that were read since the last call.
        on_block: Called many times within a page.
    """

    def __init__(
        self,
        conn: Connection[Any],
        sink: RowSink,
        observer: FoldObserver,
        until: int,
        limits: MemoryLimits,
        on_page: Callable[[int], object],
        on_block: Callable[[], object] = lambda: None,
    ) -> None:
        self._conn, self._sink, self._observer = conn, sink, observer
        self._until, self._limits, self._on_page, self._on_block = until, limits, on_page, on_block

    def run(self, job: Job) -> None:
        """Run one.

        Raises:
            UndecodableEventError: If the observer says so.
        """
        match job:
            case FoldStreams():
                fold = LogFold(self._sink, self._observer, self._limits.open_reservations_max)
                streams = Streams(job.first, job.last)
                fold_streams(
                    *(self._conn, fold, streams, self._until, self._limits.page_events, self._on_page, self._on_block)
                )
            case CheckTiles():
                for finding in check_tiles(self._conn, job.first, job.last, TreeSize(job.size, job.position)):
                    self._observer.add_finding(finding)
