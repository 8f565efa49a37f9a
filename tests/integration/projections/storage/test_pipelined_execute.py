"""`execute` step by step: the same outcome as in one go, and a clear word where it can't be had without waiting."""

import select
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row, tuple_row

from domain.command_bus import Command
from domain.commands.code.revoke import RevokeCode
from domain.errors import Refusal
from domain.ports import PipelineSteps, run_to_completion
from domain.results import Result
from domain.writes import IdempotencyKey
from projections.database.pipeline import BufferingConnection, fetch_pipelined, send_pipelined
from projections.event_store.recorder import transaction
from projections.event_store.unit_of_work import PostgresUnitOfWork
from projections.sql.event_store import EventStoreSql
from projections.storage.pipelined_execute import FallBackToBlockingError, PipelinedExecute
from tests.support.garbage import collect_garbage_of
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift, done

WAIT_MS = 5_000
MORE_THAN_BUFFERS = 32 << 20
"""Bytes; what the kernel keeps of one connection is some 4 MB on a usual host."""


def stepped(bench: LedgerBench, commands: Sequence[Command]) -> list[Result]:
    """Execute step by step, waiting for the socket wherever the steps ask for it."""
    return drained(PipelinedExecute(bench.storage)(list(commands)))


def drained(steps: Generator[int, None, list[Result]]) -> list[Result]:
    while True:
        try:
            waited_for = next(steps)
        except StopIteration as error:
            results: list[Result] = error.value
            return results
        answers = select.poll()
        answers.register(waited_for, select.POLLIN)
        assert answers.poll(WAIT_MS), "the socket never became readable"


def test_pipelined_execute_decides_and_commits_as_execute_does(bench: LedgerBench) -> None:
    """New, known, held and unknown in one batch; afterwards everything is in the database."""
    code = bench.issue(2, bound=False)
    bench.redeem(code, "first@example.com")
    commands = [bench.reserve(code, f"{name}@example.com") for name in ("second", "first", "third")]

    results = stepped(bench, [*commands, bench.reserve("NOSUCHCODE", "fourth@example.com")])

    assert [result.code if isinstance(result, Refusal) else result.changed for result in results] == [
        True,
        False,
        "CODE_HELD",
        "CODE_INVALID",
    ]
    assert bench.rows("SELECT reserved FROM code_balances") == [(2,)]
    assert bench.rows("SELECT reason FROM refusals") == [("CODE_HELD",)]
    assert_no_drift(bench)


@pytest.mark.parametrize("execute", [stepped, lambda bench, commands: bench.storage.ledger.execute(commands)])
def test_executed_batch_is_freed_without_the_garbage_collector(
    execute: Callable[[LedgerBench, Sequence[Command]], list[Result]], bench: LedgerBench
) -> None:
    """A batch in a reference cycle costs a fifth of the CPU time of its redeems in collections, and memory besides."""
    code = bench.issue(None, bound=False)
    execute(bench, [bench.reserve(code, "first@example.com")])
    commands = [bench.reserve(code, f"{name}@example.com") for name in ("second", "third")]
    commands.append(bench.reserve("NOSUCHCODE", "fourth@example.com"))

    garbage = collect_garbage_of(lambda: execute(bench, commands))

    assert bench.rows("SELECT reserved FROM code_balances") == [(3,)]
    assert not garbage & {"PostgresUnitOfWork", "WorkingSet", "Transition", "RedeemCode", "Cursor", "CodeUnknown"}


def test_more_than_the_socket_takes_at_once_is_sent_to_its_end(database_url: str) -> None:
    """The server answers nothing that it has not got whole, so anyone who waits for it would wait forever."""
    with BufferingConnection.connect(database_url, autocommit=True) as conn, conn.pipeline():
        asked = conn.cursor(row_factory=tuple_row).execute("SELECT length(%s)", ["x" * MORE_THAN_BUFFERS])
        steps = fetch_pipelined(asked)
        next(steps)
        answers = select.poll()
        answers.register(conn.fileno(), select.POLLIN)

        assert answers.poll(WAIT_MS)
        assert run_to_completion(steps) == [(MORE_THAN_BUFFERS,)]


def test_transaction_that_an_error_leaves_is_rolled_back(database_url: str) -> None:
    """Also if all of its answers had been read: the locks are free, and the connection can be used."""
    with BufferingConnection.connect(database_url, autocommit=True, row_factory=dict_row) as conn:
        with suppress(ZeroDivisionError), transaction(conn):
            run_to_completion(fetch_pipelined(send_pipelined(conn, "SELECT pg_advisory_xact_lock(42)")))
            raise ZeroDivisionError
        with psycopg.connect(database_url) as other:
            row = other.execute("SELECT pg_try_advisory_xact_lock(42)").fetchone()

        assert row == (True,)
        assert conn.execute("SELECT 1 AS one").fetchall() == [{"one": 1}]


def test_keys_are_remembered(bench: LedgerBench) -> None:
    """The same Idempotency-Key leads to the same reservation, whichever way the batches go."""
    code = bench.issue(None, bound=False)
    key = IdempotencyKey(scope_digest=b"s" * 32, body_digest=b"b" * 32)
    first = done(stepped(bench, [bench.reserve(code, "li.wei@example.com", key=key)])[0])
    again = done(bench.run(bench.reserve(code, "li.wei@example.com", key=key)))

    assert again.require_reservation().reservation_id == first.require_reservation().reservation_id


def test_clock_to_be_set_is_left_to_execute(bench: LedgerBench) -> None:
    """Setting it means to wait for the database."""
    code = bench.issue()
    bench.storage.recorder.clock._base_at -= 3600

    with pytest.raises(FallBackToBlockingError):
        stepped(bench, [bench.reserve(code, "li.wei@example.com")])


def test_without_a_free_connection_it_is_left_to_execute(bench: LedgerBench) -> None:
    """Others hold the whole pool: waiting for one of them would stop the loop."""
    code = bench.issue()
    pool = bench.storage.datastore.pool
    connections = [pool.getconn() for _ in range(pool.max_size)]

    with pytest.raises(FallBackToBlockingError):
        stepped(bench, [bench.reserve(code, "li.wei@example.com")])
    for conn in connections:
        pool.putconn(conn)


def test_race_is_left_to_execute_and_leaves_nothing(bench: LedgerBench) -> None:
    """Another process inserts the same recipient between lookup and commit: nothing is written; a retry works."""
    codes = [bench.issue(), bench.issue()]
    command = bench.reserve(codes[0], "li.wei@example.com")
    loaded = PostgresUnitOfWork.save
    with pytest.MonkeyPatch.context() as patch:

        def lose(self: PostgresUnitOfWork, *args: Any) -> Any:  # noqa: ANN401 - passed through
            patch.undo()
            bench.redeem(codes[1], "li.wei@example.com")
            return loaded(self, *args)

        patch.setattr(PostgresUnitOfWork, "save", lose)
        with pytest.raises(FallBackToBlockingError):
            stepped(bench, [command])

    assert bench.rows("SELECT count(*) FROM reservations") == [(1,)]
    assert done(bench.run(command)).changed
    assert bench.rows("SELECT count(*) FROM recipients") == [(1,)]
    assert_no_drift(bench)


def test_commit_whose_answer_is_lost_is_found_by_execute(bench: LedgerBench) -> None:
    """The connection dies right after the commit: repeating the batch finds its own events."""
    code = bench.issue()
    command = bench.reserve(code, "li.wei@example.com", reservation_id=uuid4())
    with pytest.MonkeyPatch.context() as patch:
        commit = PostgresUnitOfWork.commit

        def lose(self: PostgresUnitOfWork) -> PipelineSteps[None]:
            yield from commit(self)
            raise psycopg.OperationalError("the connection is lost")

        patch.setattr(PostgresUnitOfWork, "commit", lose)
        with pytest.raises(FallBackToBlockingError):
            stepped(bench, [command])

    result = done(bench.run(command))
    assert not result.changed
    assert result.require_reservation().reservation_id == command.reservation_id


def test_server_that_stops_in_the_middle_does_not_stop_the_caller(bench: LedgerBench) -> None:
    """An answer that does not come although it had begun to: the connection is given up, and others continue."""
    code = bench.issue()
    command = bench.reserve(code, "li.wei@example.com")
    code_id = bench.rows("SELECT code_id FROM code_balances")[0][0]
    key = int.from_bytes(code_id.bytes[:8], "big", signed=True)
    with psycopg.connect(bench.database_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
        with pytest.raises(FallBackToBlockingError):
            list(PipelinedExecute(bench.storage)([command]))

    assert done(bench.run(command)).changed
    assert_no_drift(bench)


def test_redeems_that_arrive_while_the_lock_is_awaited_are_decided_with_the_batch(bench: LedgerBench) -> None:
    """Another process holds the lock of the code twice: the second time, a redeem of the same code joins."""
    code, other = bench.issue(4, bound=False), bench.issue()
    code_id = done(bench.redeem(code, "zeroth@example.com")).code.code_id
    bench.redeem(other, "first@example.com")
    execute = PipelinedExecute(bench.storage)
    arrived = [bench.reserve(code, "third@example.com"), bench.reserve(other, "fourth@example.com")]

    def take_waiting(may_join: Callable[[Command], bool]) -> Sequence[Command]:
        assert [may_join(command) for command in arrived] == [True, False]
        return arrived[:1]

    results = []
    with psycopg.connect(bench.database_url) as holder:
        key = int.from_bytes(code_id.bytes[:8], "big", signed=True)
        for name in ("first", "second"):
            holder.execute(EventStoreSql.lock_streams, ([key],))
            steps = execute([bench.reserve(code, f"{name}@example.com")], take_waiting)
            next(steps)
            holder.rollback()
            results.append([done(result).changed for result in drained(steps)])

    assert results == [[True], [True, True]]
    assert bench.rows("SELECT reserved FROM code_balances WHERE code_id = %s", code_id) == [(4,)]
    assert_no_drift(bench)


@pytest.mark.parametrize(
    ("names", "code_count", "is_asked"),
    [("abcd", 1, True), ("abcdefgh", 2, True), ("abcd", 4, False), ("a", 1, False)],
    ids=["one code", "four redeems each", "many codes", "a single redeem"],
)
def test_only_a_batch_of_few_codes_takes_in_new_requests(
    names: str, code_count: int, is_asked: bool, bench: LedgerBench
) -> None:
    """It lets the loop run until its locks are held; others would wait for a round trip without a gain."""
    codes = [bench.issue(None, bound=False) for _ in range(code_count)]
    stepped(bench, [bench.reserve(code, "first@example.com") for code in codes])  # resolves the ids
    commands: list[Command] = [
        bench.reserve(codes[number % code_count], f"{name}@example.com") for number, name in enumerate(names)
    ]
    arrived = bench.reserve(codes[0], "late@example.com")
    asked = []

    def take_waiting(may_join: Callable[[Command], bool]) -> Sequence[Command]:
        asked.append(may_join(arrived))
        return [arrived]

    results = drained(PipelinedExecute(bench.storage)(commands, take_waiting))

    assert asked == [True] * is_asked
    assert [done(result).changed for result in results] == [True] * (len(names) + is_asked)
    assert bench.rows("SELECT count(*) FROM reservations") == [(code_count + len(results),)]
    assert_no_drift(bench)


@pytest.mark.parametrize(
    "state", ["exhausted", "held", "revoked", "campaign", "bound", "bound-held", "bound-in-campaign"]
)
def test_refusal_reads_the_same_for_known_and_unknown_recipients(
    bench: LedgerBench, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """Else its time would tell who has ever redeemed a code; a refusal costs the asker nothing."""
    campaign_id = bench.create_campaign(max_per_day=1) if state == "campaign" else None
    if state == "bound-in-campaign":
        campaign_id = bench.create_campaign(max_per_person=3)
    is_bound = state.startswith("bound")
    code = bench.issue(
        9 if state in {"campaign", "revoked"} or is_bound else 1, bound=is_bound, campaign_id=campaign_id
    )
    bench.redeem(bench.issue(), "known@example.com")
    first = done(bench.redeem(code, "first@example.com"))
    if state in {"exhausted", "bound", "bound-in-campaign"}:
        bench.attempt(first.require_reservation().reservation_id)
    if state == "revoked":
        done(bench.run(RevokeCode(context=bench.context("staff"), code_id=first.code.code_id, case_ids=())))
    sent: list[str] = []

    def spy(conn: psycopg.Connection[Any], statement: Any, *parameters: Any) -> Any:  # noqa: ANN401 - as what it wraps
        sent.append(str(statement))
        return send_pipelined(conn, statement, *parameters)

    monkeypatch.setattr("projections.event_store.unit_of_work.send_pipelined", spy)
    reads = []
    for name in ("known", "stranger", "known", "stranger"):
        result = bench.redeem(code, f"{name}@example.com")
        reads.append((result.code if isinstance(result, Refusal) else "accepted", list(sent)))
        sent.clear()

    assert reads[2] == reads[3]
    assert reads[2][0] != "accepted"
