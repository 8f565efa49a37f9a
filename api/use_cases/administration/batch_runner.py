"""Works through batches of codes in the background, so that a closed tab or a restarted process loses nothing.

A slice is issued through the ledger's `execute`, then its end is written down. Whoever goes on after a crash between
the two issues that slice again under the same ids, which changes nothing.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from msgspec import structs

from api.use_cases.issue_codes import NEW, CodeOrder, CodeTemplate, TextTakenError, Usage, issue_batch
from domain.commands.context import CommandContext
from domain.values.batches import batched
from domain.values.identifiers import generate_code
from domain.values.timestamps import clamped
from projections.database.errors import StorageUnavailableError
from projections.read_models.code_list import CodeListReader
from projections.repositories.issue_batches import (
    REJECTED_LINES_MAX,
    Batch,
    BatchRepository,
    BatchState,
    derive_code_id,
)
from projections.storage.bootstrap import LedgerStore
from projections.telemetry.metrics import ERRORS

log = logging.getLogger(__name__)

SLICE: Final = 250
"""Codes of one commit."""
LEASE_S: Final = 60.0
LOOK_S: Final = 5.0
"""How often a process looks for batches that another one left."""
REST: Final = 0.5
"""Time left to those who redeem after each slice, as a share of the time that it took."""
LOOKS_MAX: Final = 3
"""How often a slice is looked at again because another file of the same codes was quicker."""
IMPORTS_MAX: Final = 2
"""Files that one process works through at the same time."""


class Row(NamedTuple):
    """One record of a file: its line, and the code with its terms, or why it has none."""

    line: int
    text: str
    template: CodeTemplate | None
    refused: str | None = None
    usage: Usage = NEW


class BatchRunner:
    """One process's background thread for batches.

    Args:
        storage: An open ledger.
        batches: Where they are written down.
        codes: To see which codes of a file exist.
        new_id: Random ids.
    """

    def __init__(
        self, storage: LedgerStore, batches: BatchRepository, codes: CodeListReader, new_id: Callable[[], UUID]
    ) -> None:
        self._storage = storage
        self._batches = batches
        self._codes = codes
        self._me = new_id()
        self._letters = random.SystemRandom()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._imports = threading.BoundedSemaphore(IMPORTS_MAX)
        self._threads = [threading.Thread(target=self._run, name="batches", daemon=True)]

    @property
    def me(self) -> UUID:
        """This runner's id."""
        return self._me

    def start(self) -> None:
        """Begin to look for batches."""
        self._threads[0].start()

    def wake(self) -> None:
        """There is one."""
        self._wake.set()

    def lease_until(self) -> datetime:
        """Until when a batch that is taken now is this runner's."""
        return self._now() + timedelta(seconds=LEASE_S)

    def take_file(self, batch: Batch, rows: Iterable[Row]) -> None:
        """Work through a file in a thread of its own."""
        thread = threading.Thread(target=self._take_file, args=(batch, rows), name="import", daemon=True)
        self._threads = [old for old in self._threads if old.is_alive()] + [thread]
        thread.start()

    def begin_file(self) -> bool:
        """Whether one more file may be worked through; it is counted until it is done."""
        return self._imports.acquire(blocking=False)

    def give_up_file(self) -> None:
        """The file that was counted is not worked through."""
        self._imports.release()

    def close(self, wait_s: float = 10.0) -> None:
        """Stop after the slices that are under way; what is left goes on in another process, or after the restart."""
        self._closing.set()
        self._wake.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(wait_s)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            try:
                batch = self._batches.claim(self._me, self._now(), self.lease_until())
                if batch is not None:
                    self._work(batch, lambda found: _slices(self._drawn(found), found.done))
                    continue
            except StorageUnavailableError as error:
                log.warning("reading batches failed, the database is unavailable: %s", type(error).__name__)
            self._wake.wait(LOOK_S)

    def _take_file(self, batch: Batch, rows: Iterable[Row]) -> None:
        try:
            self._work(batch, lambda _: _slices(iter(rows), 0))
        except StorageUnavailableError:
            log.warning("importing a file was interrupted, the database is unavailable")
        finally:
            self._imports.release()

    def _work(self, batch: Batch, slices: Callable[[Batch], Iterator[tuple[int, list[Row]]]]) -> None:
        """Slice after slice until all is done, or the batch is stopped or another's, or this process ends."""
        try:
            self._work_on(batch, slices(batch))
        except StorageUnavailableError:
            raise
        except Exception:
            ERRORS.labels("internal_error").inc()
            log.exception("issuing a batch of codes failed")
            self._batches.finish(batch.batch_id, "broken", self._now(), self._me)

    def _work_on(self, batch: Batch, slices: Iterator[tuple[int, list[Row]]]) -> None:
        done, refused = batch.done, batch.refused
        seen: set[bytes] = set()
        for start, rows in slices:
            began = time.monotonic()
            lines = self._issue(batch, start, rows, seen)
            if lines and refused < REJECTED_LINES_MAX:
                self._batches.insert_rejected_lines(batch.batch_id, lines)
            done, refused = start + len(rows), refused + len(lines)
            if not self._batches.save_progress(batch.batch_id, self._me, done, refused, self.lease_until()):
                return
            if self._closing.wait((time.monotonic() - began) * REST):
                # Given back at once: nobody has to wait for the lease to end.
                self._batches.save_progress(batch.batch_id, self._me, done, refused, self._now())
                return
        self._end(batch, "done")

    def _issue(self, batch: Batch, start: int, rows: Sequence[Row], seen: set[bytes]) -> list[tuple[int, str]]:
        """Issue what can be issued; the refused lines with their reasons.

        Raises:
            TextTakenError: Others were quicker each time.
        """
        for looks in range(1, LOOKS_MAX + 1):
            fresh, orders, refused = self._weigh(batch, start, rows, seen)
            try:
                issue_batch(self._storage, orders, self._context(batch))
            except TextTakenError:
                if looks == LOOKS_MAX:
                    raise
                continue
            seen |= fresh
            return refused
        raise AssertionError("the last look issues or raises")

    def _weigh(
        self, batch: Batch, start: int, rows: Sequence[Row], before: set[bytes]
    ) -> tuple[set[bytes], list[CodeOrder], list[tuple[int, str]]]:
        """What of a slice can be issued: digests of its texts, the orders, and the refused lines with their reasons."""
        vault, fresh = self._storage.vault, set[bytes]()
        refused: list[tuple[int, str]] = []
        digests = [vault.compute_digests("code", row.text) if row.template else () for row in rows]
        is_file = batch.kind == "import"
        known = self._codes.find_known_digests([one for some in digests for one in some]) if is_file else set()
        orders = []
        for nth, (row, own) in enumerate(zip(rows, digests, strict=True), start=start + 1):
            if row.template is None:
                refused.append((row.line, row.refused or "malformed"))
            elif before.intersection(own) or fresh.intersection(own):
                refused.append((row.line, "repeated"))
            elif known.intersection(own):
                refused.append((row.line, "exists"))
            else:
                orders.append(CodeOrder(derive_code_id(batch.batch_id, nth), row.text, row.template, row.usage))
            if is_file:
                fresh.update(own)
        return fresh, orders, refused

    def _drawn(self, batch: Batch) -> Iterator[Row]:
        """New codes for the rest of a batch."""
        expires_at = batch.terms.expires_at
        terms = structs.replace(batch.terms, expires_at=clamped(expires_at) if expires_at else None)
        template = CodeTemplate(terms=terms, bound=batch.bound, note_id=batch.text_id)
        for nth in range(batch.done, batch.wanted):
            yield Row(nth + 1, batch.prefix + generate_code(self._letters), template)

    def _context(self, batch: Batch) -> CommandContext:
        return CommandContext(
            now=self._now(),
            actor="staff",
            actor_id=str(batch.staff_id),
            request_id=f"batch:{batch.batch_id}",
            correlation_id=batch.batch_id,
        )

    def _end(self, batch: Batch, state: BatchState) -> None:
        self._batches.finish(batch.batch_id, state, self._now(), self._me)

    def _now(self) -> datetime:
        return self._storage.recorder.clock.now()


def _slices(rows: Iterator[Row], start: int) -> Iterator[tuple[int, list[Row]]]:
    """Rows by the slice, each with how many came before it."""
    for batch in batched(rows, SLICE):
        yield start, batch
        start += len(batch)
