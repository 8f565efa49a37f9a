"""Works through batches of codes in the background, so that a closed tab or a restarted process loses nothing.

A slice is issued through the ledger's `execute`, then the progress is stored. After a crash between the two, the next
runner issues that slice again under the same ids, which changes nothing.
"""

import logging
import random
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

from msgspec import structs

from api.use_cases.administration.batch_changes import SLICE, change_codes
from api.use_cases.issue_codes import CodeOrder, CodeTemplate, issue_with_retries
from api.use_cases.services import LedgerServices
from domain.commands.context import CommandContext
from domain.errors import Refusal
from domain.values.batched import batched
from domain.values.identifiers import generate_code
from domain.values.timestamps import clamped
from projections.database.errors import StorageUnavailableError
from projections.repositories.issue_batches import (
    REJECTED_LINES_MAX,
    Batch,
    BatchRepository,
    derive_code_id,
)
from projections.telemetry.metrics import ERRORS

log = logging.getLogger(__name__)

LEASE_S: Final = 60.0
CLAIM_INTERVAL_S: Final = 15.0
"""How often a process claims a batch whose runner has ended; a new one wakes the runner of its process."""
PAUSE_SHARE: Final = 0.5
"""Pause after each slice, which leaves the database to redeem requests, as a share of the time that the slice took."""
IMPORTS_MAX: Final = 2
"""Files that one process imports at the same time."""


class IssuedSlice(NamedTuple):
    """A part of a batch that is done: how many codes or records, and the rejected lines with their reasons."""

    size: int
    rejected_lines: Sequence[tuple[int, str]] = ()


class BatchRunner:
    """One process's background thread for batches.

    Args:
        services: The application.
        batches: Where they are stored.
    """

    def __init__(self, services: LedgerServices, batches: BatchRepository) -> None:
        self._services = services
        self._storage = services.storage
        self._batches = batches
        self._me = services.new_id()
        self._random_source = random.SystemRandom()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._imports = threading.BoundedSemaphore(IMPORTS_MAX)
        self._threads = [threading.Thread(target=self._run, name="batches", daemon=True)]

    @property
    def me(self) -> UUID:
        """This runner's id."""
        return self._me

    def start(self) -> None:
        """Begin to claim batches."""
        self._threads[0].start()

    def wake(self) -> None:
        """Claim a batch now."""
        self._wake.set()

    def lease_until(self) -> datetime:
        """Return the end of a lease that begins now."""
        return self._now() + timedelta(seconds=LEASE_S)

    def reserve_import(self) -> bool:
        """Reserve one of the `IMPORTS_MAX` imports of this process; False if all are taken."""
        return self._imports.acquire(blocking=False)

    def release_import(self) -> None:
        """Release a reserved import that will not start."""
        self._imports.release()

    def start_import(self, batch: Batch, slices: Iterator[IssuedSlice]) -> None:
        """Start a reserved import in its own thread; each next slice is issued when it is asked for."""
        thread = threading.Thread(target=self._import, args=(batch, slices), name="import", daemon=True)
        self._threads = [old for old in self._threads if old.is_alive()] + [thread]
        thread.start()

    def create_context(self, batch: Batch) -> CommandContext:
        """Return the context of a batch's commands, at the current time."""
        return CommandContext(
            now=self._now(),
            actor="staff",
            actor_id=str(batch.staff_id),
            approved_by=None if batch.approved_by is None else str(batch.approved_by),
            request_id=f"batch:{batch.batch_id}",
            correlation_id=batch.batch_id,
        )

    def close(self, wait_s: float = 10.0) -> None:
        """Stop after the slices in progress; another process continues the batches, or this one after its restart."""
        self._closing.set()
        self._wake.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(wait_s)

    def _run(self) -> None:
        while True:
            self._wake.clear()  # before the end is read, so that a `close` in between is not lost
            if self._closing.is_set():
                return
            try:
                batch = self._batches.claim(self._me, self._now(), self.lease_until())
                if batch is not None:
                    self._work(batch, self._change_codes(batch) if batch.is_change else self._issue_drawn(batch))
                    continue
            except StorageUnavailableError as error:
                log.warning("reading batches failed", extra={"why": type(error).__name__})
            except Exception:  # the thread must outlive a bug: it is the only one that issues batches
                ERRORS.labels("internal_error").inc()
                log.exception("reading batches failed")
            self._wake.wait(CLAIM_INTERVAL_S)

    def _import(self, batch: Batch, slices: Iterator[IssuedSlice]) -> None:
        try:
            self._work(batch, slices)
        except StorageUnavailableError:
            log.warning("file import interrupted")
        finally:
            self._imports.release()

    def _work(self, batch: Batch, slices: Iterator[IssuedSlice]) -> None:
        """Issue slices until all are done, the batch is stopped or claimed by another process, or this process ends."""
        try:
            self._issue_slices(batch, slices)
        except StorageUnavailableError:
            raise
        except Refusal as error:
            log.warning("batch of codes refused", extra={"why": error.code})
            self._batches.finish(batch.batch_id, "stopped", self._now(), self._me)
        except Exception:
            ERRORS.labels("internal_error").inc()
            log.exception("issuing a batch failed")
            self._batches.finish(batch.batch_id, "broken", self._now(), self._me)

    def _issue_slices(self, batch: Batch, slices: Iterator[IssuedSlice]) -> None:
        done, refused, started_at = batch.done, batch.refused, time.monotonic()
        for issued in slices:
            if issued.rejected_lines and refused < REJECTED_LINES_MAX:
                self._batches.insert_rejected_lines(batch.batch_id, issued.rejected_lines)
            done, refused = done + issued.size, refused + len(issued.rejected_lines)
            if not self._batches.save_progress(batch.batch_id, self._me, done, refused, self.lease_until()):
                return
            if self._closing.wait((time.monotonic() - started_at) * PAUSE_SHARE):
                # The lease ends now, so that another process can continue immediately.
                self._batches.save_progress(batch.batch_id, self._me, done, refused, self._now())
                return
            started_at = time.monotonic()
        self._batches.finish(batch.batch_id, "done", self._now(), self._me)

    def _change_codes(self, batch: Batch) -> Iterator[IssuedSlice]:
        """Change the rest of the codes of a batch, slice by slice."""
        create_context = partial(self.create_context, batch)
        for size, rejected in change_codes(self._services, self._batches, batch, create_context, SLICE):
            yield IssuedSlice(size, rejected)

    def _issue_drawn(self, batch: Batch) -> Iterator[IssuedSlice]:
        """Issue the rest of a batch of new codes, slice by slice."""
        expires_at = batch.terms.expires_at
        terms = structs.replace(batch.terms, expires_at=clamped(expires_at) if expires_at else None)
        template = CodeTemplate(terms=terms, bound=batch.bound, note_id=batch.text_id, campaign_id=batch.campaign_id)
        for numbers in batched(range(batch.done + 1, batch.wanted + 1), SLICE):
            issue_with_retries(
                self._storage,
                partial(self._draw_orders, batch, numbers, template),
                partial(self.create_context, batch),
            )
            yield IssuedSlice(len(numbers))

    def _draw_orders(self, batch: Batch, numbers: Sequence[int], template: CodeTemplate) -> list[CodeOrder]:
        return [
            CodeOrder(
                derive_code_id(batch.batch_id, number), batch.prefix + generate_code(self._random_source), template
            )
            for number in numbers
        ]

    def _now(self) -> datetime:
        return self._storage.recorder.clock.now()
