"""Which events are under a signed checkpoint, and the proofs of single events for a browser to check."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg.rows import tuple_row

from projections.sql.transparency_log import TransparencyLogSql
from projections.storage.bootstrap import LedgerStore
from projections.transparency_log.checkpoints import Checkpoint, find_last_checkpoint
from projections.transparency_log.receipts import prove_events, to_proof_document

EVENTS_COUNTED_MAX: Final = 1_000
"""Most events after the newest checkpoint that are counted for a page."""


class SigningProgress(NamedTuple):
    """How far signing is.

    Attributes:
        checkpoint: The newest one; None before the first.
        later_events: Events after it, at most `EVENTS_COUNTED_MAX`.
    """

    checkpoint: Checkpoint | None
    later_events: int

    def covers(self, position: int) -> bool:
        """Return whether the event at a position is under the checkpoint."""
        return self.checkpoint is not None and position <= self.checkpoint.position

    @property
    def is_count_cut(self) -> bool:
        """Whether there are more later events than were counted."""
        return self.later_events == EVENTS_COUNTED_MAX


def read_signing_progress(storage: LedgerStore) -> SigningProgress:
    """Return the newest checkpoint, and how many events it does not cover."""
    with storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
        checkpoint = find_last_checkpoint(conn)
        after = checkpoint.position if checkpoint else 0
        rows = cursor.execute(TransparencyLogSql.count_events_after, (after, EVENTS_COUNTED_MAX)).fetchall()
    return SigningProgress(checkpoint, rows[0][0])


def read_line_proofs(storage: LedgerStore, code_id: UUID, versions: Sequence[int]) -> dict[str, Any]:
    """Return the newest checkpoint and the proofs of those events of a code that it covers, as JSON.

    Returns:
        `checkpoint` as receipts have it (null before the first one), `stream`, and `events` as `pack_paths` returns
        them.
    """
    with storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
        checkpoint = find_last_checkpoint(conn)
        if checkpoint is None:
            return {"checkpoint": None, "stream": str(code_id), "events": []}
        params = (code_id, list(versions), checkpoint.position)
        rows = cursor.execute(TransparencyLogSql.events_of_versions, params).fetchall()
        events = pack_paths(prove_events(conn, rows, checkpoint))
        return {"checkpoint": to_proof_document(checkpoint), "stream": str(code_id), "events": events}


def pack_paths(events: Sequence[dict[str, Any]]) -> list[list[Any]]:
    """Return events of one stream in their order as lists, with what their paths share only once.

    Two paths end in the same steps from the first subtree on that holds both events. So each list ends in the steps
    that are the event's own, 43 characters of base64 each, and the number of last steps that it shares with the event
    before. Version, topic, state and index of the leaf come first.
    """
    packed: list[list[Any]] = []
    before: list[str] = []
    for event in sorted(events, key=lambda each: each["leaf_index"]):
        path = event["path"]
        pairs = zip(reversed(path), reversed(before), strict=False)
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        own = "".join(step.rstrip("=") for step in path[: len(path) - shared])
        packed.append([event["version"], event["topic"], event["state"], event["leaf_index"], own, shared])
        before = path
    return packed
