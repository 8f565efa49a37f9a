"""`execute` for an event loop: it waits for the database in the loop's way instead of in a thread of its own.

A thread that decides a batch beside a busy event loop fights with it for the interpreter's lock, and lost more time
there than in the database. So one try runs in the loop's own thread and names the socket whenever it has to wait.
Whatever is not plain sailing is left to `RedemptionLedger.execute` in a thread, which waits, retries and explains.
"""

import select
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from eventsourcing.persistence import PersistenceError
from psycopg import Connection

from domain.application import PipelineSteps
from domain.command_bus import Command, Result
from projections.database.pipeline import OptimisticWriteConnection
from projections.event_store.recorder import transaction
from projections.event_store.unit_of_work import PostgresUnitOfWork
from projections.storage.bootstrap import LedgerStore

ANSWER_WAIT_MS = 1
"""The longest wait for a look-up on the spot."""
ANSWER_TIMEOUT_S = 0.25
"""The longest wait for an answer that had begun to arrive; a server that stops in the middle must not stop the loop."""
CONNECTION_WAIT_S = 0.002
"""The longest wait for a connection of the pool, since nobody else is served meanwhile."""


class FallBackToBlockingError(Exception):
    """This batch needs waiting or another try; nothing is known of its outcome, and executing it again is safe."""


class PipelinedExecute:
    """Executes batches of one ledger step by step."""

    def __init__(self, storage: LedgerStore) -> None:
        self._storage = storage

    def __call__(self, commands: Sequence[Command]) -> Generator[int, None, list[Result]]:
        """Decide commands in order and commit their events, as `RedemptionLedger.execute` does.

        Yields:
            The socket that should be readable before this goes on.

        Raises:
            FallBackToBlockingError: No connection is free, the clock is to be set, or the database reports a fault.
        """
        storage = self._storage
        if storage.recorder.clock.is_stale():
            raise FallBackToBlockingError
        try:
            with storage.datastore.pool.connection(timeout=CONNECTION_WAIT_S) as conn:
                with with_answer_timeout(conn), transaction(conn):
                    uow = PostgresUnitOfWork(conn, storage.recorder.caches)
                    results = yield from _drive(conn.fileno(), storage.ledger.execute_steps(uow, commands))
                    for _ in uow.commit():
                        yield conn.fileno()
                uow.publish_to_caches()
        except (PersistenceError, psycopg.Error) as error:
            storage.recorder.caches.codes.clear()
            raise FallBackToBlockingError from error
        return results


@contextmanager
def with_answer_timeout(conn: Connection[Any]) -> Iterator[None]:
    """Bound every wait on a connection; one that is not answered in time is closed."""
    eager = cast("OptimisticWriteConnection", conn)
    eager.answer_timeout_s = ANSWER_TIMEOUT_S
    try:
        yield
    finally:
        eager.answer_timeout_s = None


def _drive(socket: int, steps: PipelineSteps[list[Result]]) -> Generator[int, None, list[Result]]:
    """Take steps; wait a moment for each look-up on the spot, and in the caller's way if it takes longer.

    A look-up is answered in less time than the caller needs for what it would do first, and the sooner a batch is
    on its way to the disk, the more is done while it gets there.
    """
    poller = select.poll()
    poller.register(socket, select.POLLIN)
    while True:
        try:
            next(steps)
        except StopIteration as error:
            results: list[Result] = error.value
            return results
        if not poller.poll(ANSWER_WAIT_MS):
            yield socket
