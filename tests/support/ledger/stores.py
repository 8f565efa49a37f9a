"""The two stores behind one face: PostgreSQL, and the one in memory that simulations run on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, Protocol, cast
from uuid import UUID

import pytest
from eventsourcing.persistence import ApplicationRecorder, OperationalError
from psycopg.rows import tuple_row

from domain.application import LedgerRecorder, RedemptionLedger
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import PipelineSteps
from projections.event_store.unit_of_work import PostgresUnitOfWork
from projections.privacy.erasure import WhyKept, find_why_kept
from projections.read_models.reader import Reader
from projections.storage.bootstrap import LedgerStore
from projections.vault.vault import Vault
from projections.verification.drift_sample import Rows as RowsByKey
from projections.verification.drift_sample import read_code_rows
from projections.work_queue.due_reservations import DueRows
from projections.work_queue.outbox import OutboxRows
from tests.simulation.services.persistence import open_memory
from tests.simulation.services.retention import find_why_kept as find_why_kept_in_memory
from tests.simulation.services.transaction_faults import Fate, NoFaults
from tests.simulation.services.work_queues import MemoryDueReservations, MemoryOutbox
from workers.sending.due_sweep import DueReservations
from workers.sending.notices import Outbox

Rows = Mapping[str, RowsByKey]


class EitherRecorder(LedgerRecorder, Protocol):
    """What both recorders are: the ledger's, and the library's."""

    insert_events: Callable[..., Any]
    select_notifications: Callable[..., Any]


@dataclass(frozen=True)
class ContractStore:
    """One of the stores.

    Attributes:
        lose: For a time the next commits are lost: their answers only, or with what they wrote.
        rows: Read-model rows about a code, by table and id.
        refusals: How many refused tries are kept of each code and reason.
        unknown_code_requests: How many requests with unknown codes were counted.
        texts: Ids of the free texts that are kept.
        outbox: Reservations whose persons are to be told of a refund.
        why_kept: Why the address of each recipient is kept at a time, if what ended before another time is erased.
    """

    ledger: RedemptionLedger
    recorder: EitherRecorder
    vault: Vault
    due: DueReservations
    notices: Outbox
    now: datetime
    find: Callable[[UUID], Reservation | None]
    lose: Callable[[int, Fate], AbstractContextManager[None]]
    rows: Callable[[UUID], Rows]
    refusals: Callable[[], Mapping[tuple[UUID, str], int]]
    unknown_code_requests: Callable[[], int]
    texts: Callable[[], set[UUID]]
    outbox: Callable[[], set[UUID]]
    why_kept: Callable[[datetime, datetime], Mapping[UUID, WhyKept | None]]


def postgres_store(storage: LedgerStore) -> ContractStore:
    def ask(query: LiteralString) -> list[tuple[Any, ...]]:
        with storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(query.encode()).fetchall()

    def rows(code_id: UUID) -> Rows:
        with storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            return read_code_rows(cursor, code_id)

    def why_kept(now: datetime, before: datetime) -> Mapping[UUID, WhyKept | None]:
        recipients = [row[0] for row in ask("SELECT recipient_id FROM recipients")]
        with storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            return find_why_kept(cursor, recipients, now, before)

    with storage.datastore.get_connection() as conn:
        storage.recorder.clock.refresh(conn)
    return ContractStore(
        ledger=storage.ledger,
        recorder=cast("EitherRecorder", storage.recorder),
        vault=storage.vault,
        due=DueRows(storage),
        notices=OutboxRows(storage),
        now=storage.recorder.clock.now(),
        find=Reader(storage).find_reservation,
        lose=lambda times, fate: _lost_in_postgres(storage, times, fate),
        rows=rows,
        refusals=lambda: {
            row[:2]: row[2] for row in ask("SELECT code_id, reason, count(*) FROM refusals GROUP BY 1, 2")
        },
        unknown_code_requests=lambda: int(ask("SELECT coalesce(sum(tries), 0) FROM unknown_code_tries")[0][0]),
        texts=lambda: {row[0] for row in ask("SELECT text_id FROM private_texts")},
        outbox=lambda: {row[0] for row in ask("SELECT reservation_id FROM outbox")},
        why_kept=why_kept,
    )


@contextmanager
def _lost_in_postgres(storage: LedgerStore, times: int, fate: Fate) -> Iterator[None]:
    """The connection dies at the commit: before it, or when it was done and its answer was on its way."""
    left = [times]
    commit = PostgresUnitOfWork.commit

    def lose(self: PostgresUnitOfWork) -> PipelineSteps[None]:
        is_lost, left[0] = left[0] > 0, max(0, left[0] - 1)
        if not is_lost or fate == "answer_lost":
            yield from commit(self)
        if is_lost:
            raise OperationalError("server closed the connection unexpectedly")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PostgresUnitOfWork, "commit", lose)
        patch.setattr(storage.recorder, "pause", lambda _: None)
        yield
    assert left == [0]


_COMMITTED: Fate = "committed"


class LosingCommits(NoFaults):
    def __init__(self) -> None:
        self.left, self.fate = 0, _COMMITTED

    def commit(self) -> Fate:
        """Lost while some are left to lose."""
        if not self.left:
            return "committed"
        self.left -= 1
        return self.fate


def memory_store(vault: Vault, now: datetime) -> ContractStore:
    weather = LosingCommits()
    ledger, store = open_memory(Policy(), weather)

    @contextmanager
    def lose(times: int, fate: Fate) -> Iterator[None]:
        weather.left, weather.fate = times, fate
        yield
        assert weather.left == 0

    def refusals() -> dict[tuple[UUID, str], int]:
        keys = [(row.code_id, row.reason) for row in store.refusals if row.code_id is not None]
        return {key: keys.count(key) for key in keys}

    return ContractStore(
        ledger=ledger,
        recorder=cast("EitherRecorder", store),
        vault=vault,
        due=MemoryDueReservations(store),
        notices=MemoryOutbox(store),
        now=now,
        find=store.reservations.get,
        lose=lose,
        rows=store.rows,
        refusals=refusals,
        unknown_code_requests=store.unknown_code_requests.total,
        texts=lambda: set(store.texts),
        outbox=lambda: {key for key, _ in store.outbox},
        why_kept=lambda now, before: {key: find_why_kept_in_memory(store, key, now, before) for key in store.addresses},
    )


def log_of(store: ContractStore) -> Sequence[tuple[UUID, int, str, bytes]]:
    recorder = cast("ApplicationRecorder", store.recorder)
    notifications = recorder.select_notifications(1, 100_000)
    return [
        (UUID(str(notification.originator_id)), notification.originator_version, notification.topic, notification.state)
        for notification in notifications
    ]
