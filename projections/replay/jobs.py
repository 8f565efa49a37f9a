"""The parts into which the work on a long log is cut, and doing one of them, here or in another process."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

from psycopg import Connection

from projections.replay.log_fold import LogFold, MemoryLimits, Sink, Streams, fold_streams
from projections.replay.observer import Watch
from projections.replay.protocol import CheckTiles, FoldStreams, Job
from projections.replay.tile_check import check_tiles
from projections.transparency_log.tile_log import TILE, TreeSize

PART_EVENTS: Final = 40_000
PARTS_MAX: Final = 512
TILES_OF_A_PART: Final = 256
_IDS = 2**128


def count_parts(events: int) -> int:
    """Into how many ranges of ids a log of about so many events is cut."""
    return min(max(events // PART_EVENTS, 1), PARTS_MAX)


def fold_jobs(parts: int, heavy: Sequence[UUID] = ()) -> list[FoldStreams]:
    """All streams by ranges of ids, which are random and so fill them evenly.

    Args:
        parts: How many ranges.
        heavy: Streams that are much longer than others; their ranges come first, as nobody should wait for one that
            is begun last.
    """
    bounds = [_IDS * part // parts for part in range(parts + 1)]
    jobs = [FoldStreams(UUID(int=start), UUID(int=end - 1)) for start, end in pairwise(bounds)]
    first = list(dict.fromkeys(bisect_right(bounds, stream.int) - 1 for stream in heavy))
    return [jobs[part] for part in first] + [job for part, job in enumerate(jobs) if part not in first]


def tile_jobs(tree: TreeSize) -> list[CheckTiles]:
    """All lowest tiles of a Merkle log by ranges of numbers."""
    tiles = -(-tree.size // TILE)
    starts = range(0, tiles, TILES_OF_A_PART)
    return [CheckTiles(start, min(start + TILES_OF_A_PART, tiles) - 1, *tree) for start in starts]


class JobRunner:
    """Does jobs one after the other.

    Args:
        conn: For reading; does nothing else meanwhile.
        sink: Where rows go.
        watch: Who looks on.
        until: The last position that is folded.
        sizes: What bounds the memory.
        read: Called with the number of events that were read since the last call.
    """

    def __init__(
        self,
        conn: Connection[Any],
        sink: Sink,
        watch: Watch,
        until: int,
        sizes: MemoryLimits,
        read: Callable[[int], object],
    ) -> None:
        self._conn, self._sink, self._watch = conn, sink, watch
        self._until, self._sizes, self._read = until, sizes, read

    def run(self, job: Job) -> None:
        """Do one.

        Raises:
            UndecodableEventError: If the watch says so.
        """
        match job:
            case FoldStreams():
                fold = LogFold(self._sink, self._watch, self._sizes.open_reservations_max)
                streams = Streams(job.first, job.last)
                fold_streams(self._conn, fold, streams, self._until, self._sizes.page_events, self._read)
            case CheckTiles():
                for finding in check_tiles(self._conn, job.first, job.last, TreeSize(job.size, job.position)):
                    self._watch.keep(finding)
