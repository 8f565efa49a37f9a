"""Many processes on the same codes: locks in one order, every process gets its turn, maintenance blocks none."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from msgspec.structs import replace

from benchmarks.harness.bulk_history import load_history
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.errors import CodeHeld, Refusal
from projections.event_store.batch_reads import OVERDUE_PER_CODE_MAX
from projections.sql.event_store import EventStoreSql
from projections.storage.bootstrap import LedgerStore
from tests.support.ledger.ledger_bench import SENT, LedgerBench, check_code, done
from tests.support.ledger.settings import settings_for
from tests.support.waiting import WAIT_S_MAX

PROCESSES = 3


@contextmanager
def processes(bench: LedgerBench, count: int) -> Iterator[list[LedgerBench]]:
    """Ledgers that share nothing but the database."""
    storages = [LedgerStore.open(settings_for(bench.database_url), pool_size=1) for _ in range(count)]
    try:
        yield [LedgerBench(storage, bench.database_url) for storage in storages]
    finally:
        for storage in storages:
            storage.close()


def test_batches_over_the_same_codes_in_any_order_never_wait_in_a_ring(bench: LedgerBench) -> None:
    """Each process names the codes in its own order; the database counts no deadlock, and no redeem is lost."""
    codes = [bench.issue(None, bound=False) for _ in range(6)]
    start, rounds = threading.Barrier(PROCESSES), 12

    def redeem(number: int, other: LedgerBench) -> None:
        choice = random.Random(number)
        start.wait(WAIT_S_MAX)
        for turn in range(rounds):
            picked = choice.sample(codes, len(codes))
            batch = [other.reserve(code, f"p{number}x{turn}@example.com") for code in picked]
            assert not any(isinstance(result, Refusal) for result in other.storage.ledger.execute(batch))

    with processes(bench, PROCESSES) as others, ThreadPoolExecutor(PROCESSES) as threads:
        list(threads.map(redeem, range(PROCESSES), others))

    assert bench.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]
    assert bench.rows("SELECT DISTINCT reserved FROM code_balances") == [(PROCESSES * rounds,)]
    assert check_code(bench.storage, bench.rows("SELECT code_id FROM code_balances LIMIT 1")[0][0]) == []


def test_hot_code_is_everybodys_in_turn(bench: LedgerBench) -> None:
    """While all want it all the time, no process is left out: each gets at least half of its share."""
    code, total = bench.issue(None, bound=False), 120
    start, done_by, ended = threading.Barrier(PROCESSES), Counter[int](), threading.Event()

    def redeem(number: int, other: LedgerBench) -> None:
        start.wait(WAIT_S_MAX)
        while not ended.is_set():
            done(other.redeem(code, f"p{number}x{done_by[number]}@example.com"))
            done_by[number] += 1
            if done_by.total() >= total:
                ended.set()

    with processes(bench, PROCESSES) as others, ThreadPoolExecutor(PROCESSES) as threads:
        list(threads.map(redeem, range(PROCESSES), others))

    assert min(done_by[number] for number in range(PROCESSES)) >= total / PROCESSES / 2


@pytest.mark.parametrize("mode", ["SHARE UPDATE EXCLUSIVE", "ROW EXCLUSIVE", "ACCESS SHARE"])
def test_maintenance_locks_do_not_block_a_redeem(mode: str, bench: LedgerBench) -> None:
    """VACUUM, ANALYZE and CREATE INDEX CONCURRENTLY take SHARE UPDATE EXCLUSIVE; it is held while a redeem commits."""
    code = bench.issue()
    with psycopg.connect(bench.database_url) as other:
        for table in ("ledger_events", "code_balances", "reservations", "recipients"):
            other.execute(f"LOCK TABLE {table} IN {mode} MODE".encode())
        done(bench.redeem(code, "li.wei@example.com"))


def test_library_insert_would_wait_for_a_lock_on_the_log(bench: LedgerBench) -> None:
    """The control: the mode in which the library locks the log would stop maintenance, and is stopped by it."""
    with psycopg.connect(bench.database_url) as other, psycopg.connect(bench.database_url) as library:
        other.execute("LOCK TABLE ledger_events IN SHARE UPDATE EXCLUSIVE MODE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            library.execute("LOCK TABLE ledger_events IN EXCLUSIVE MODE NOWAIT")


@pytest.mark.parametrize(
    "statement", ["VACUUM (ANALYZE) ledger_events", "CREATE INDEX CONCURRENTLY tried ON ledger_events (topic)"]
)
def test_maintenance_ends_during_redeems(statement: str, bench: LedgerBench) -> None:
    """The other way round: redeems that never cease don't keep it from ending."""
    code, ended = bench.issue(None, bound=False), threading.Event()

    def redeem() -> int:
        count = 0
        while not ended.is_set():
            done(bench.redeem(code, f"p{count}@example.com"))
            count += 1
        return count

    with ThreadPoolExecutor(1) as threads:
        redeems = threads.submit(redeem)
        try:
            with psycopg.connect(bench.database_url, autocommit=True) as other:
                other.execute(f"SET statement_timeout = '{WAIT_S_MAX}s'".encode())
                other.execute(statement.encode())
        finally:
            ended.set()

    assert redeems.result(WAIT_S_MAX) == bench.rows("SELECT reserved FROM code_balances")[0][0]


def test_many_live_reservations_cost_a_redeem_no_more_than_few(bench: LedgerBench) -> None:
    """On full codes, where a redeem looks for overdue ones and for the next deadline: as many blocks are read."""
    few, many = 10, 5_000
    full = {count: bench.issue(count, bound=False) for count in (few, many)}
    ids = {count: done(bench.redeem(code, "first@example.com")).code.code_id for count, code in full.items()}
    load_history(bench.database_url, [(code_id, count - 1) for count, code_id in ids.items()], live=True)
    read = {count: [_blocks(bench, code_id, later) for later in ("-1 day", "2 days")] for count, code_id in ids.items()}

    assert [
        result.code for code in full.values() if isinstance(result := bench.redeem(code, "x@example.com"), Refusal)
    ] == [
        "CODE_HELD",
        "CODE_HELD",
    ]
    for of_few, of_many in zip(read[few], read[many], strict=True):
        assert of_many <= of_few + 4 * OVERDUE_PER_CODE_MAX


def _blocks(bench: LedgerBench, code_id: object, later: str) -> int:
    """Blocks that the lookups of a tight code touch, some time from now: before all deadlines or after them."""
    with psycopg.connect(bench.database_url) as conn:
        (now,) = conn.execute("SELECT now() + %s::interval", (later,)).fetchall()[0]
        total = 0
        for name, params in (
            (EventStoreSql.events_of_overdue, ([code_id], [now], OVERDUE_PER_CODE_MAX)),
            (EventStoreSql.earliest_deadlines, ([], [code_id], [now])),
        ):
            plan = conn.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + name, params).fetchall()[0][0]
            total += plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"]
    return total


def test_every_redeem_of_a_batch_finds_its_overdue_reservation(bench: LedgerBench) -> None:
    """A full code with more overdue reservations than one redeem looks for gives a place to each of as many redeems."""
    number = 2 * OVERDUE_PER_CODE_MAX
    code = bench.issue(number, bound=False)
    bench.storage.ledger.execute([bench.reserve(code, f"late{n}@example.com") for n in range(number)])
    later = replace(bench.context(), now=bench.context().now + timedelta(hours=1))

    redeems = [replace(bench.reserve(code, f"new{n}@example.com"), context=later) for n in range(number + 1)]
    results = bench.storage.ledger.execute(redeems)

    assert not any(isinstance(result, Refusal) for result in results[:-1])
    assert isinstance(results[-1], CodeHeld)
    assert bench.rows("SELECT reserved FROM code_balances") == [(number,)]


def test_code_far_over_its_limit_is_granted_once_requests_have_refunded_what_is_overdue(bench: LedgerBench) -> None:
    """More overdue reservations than one request loads: each refused request refunds those that it loaded."""
    number = 2 * OVERDUE_PER_CODE_MAX
    code = bench.issue(number, bound=False)
    bench.storage.ledger.execute([bench.reserve(code, f"late{n}@example.com") for n in range(number)])
    (code_id,) = bench.rows("SELECT code_id FROM code_balances")[0]
    lower = ChangeTerms(context=bench.context("staff"), code_id=code_id, changes={"max_uses": 1}, counting="all")
    done(bench.run(lower))
    later = replace(bench.context(), now=bench.context().now + timedelta(hours=1))

    redeems = [replace(bench.reserve(code, f"new{n}@example.com"), context=later) for n in range(2)]
    results = [bench.storage.ledger.execute_one(redeem) for redeem in redeems]

    assert [isinstance(result, CodeHeld) for result in results] == [True, False]
    assert bench.rows("SELECT reserved FROM code_balances") == [(1,)]


def test_ended_reservation_of_the_same_batch_is_not_the_next_deadline(bench: LedgerBench) -> None:
    """An email is accepted, and its batch refuses a redeem: the answer names the deadline of the other reservation."""
    code = bench.issue(2, bound=False)
    first = done(bench.redeem(code, "first@example.com")).require_reservation()
    context = bench.context("worker", "t1")
    claim = ClaimAttempt(context=context, reservation_id=first.reservation_id, channel="smtp", case_id=uuid4())
    claimed = done(bench.run(claim)).require_reservation()
    later = replace(bench.context(), now=bench.context().now + timedelta(minutes=1))
    second = replace(bench.reserve(code, "second@example.com"), context=later)
    done(bench.run(second))
    outcome = RecordOutcome(
        context=later,
        reservation_id=first.reservation_id,
        delivery=claimed.delivery,
        attempt=claimed.last_attempt,
        outcome=SENT,
        case_id=uuid4(),
    )
    refused = replace(bench.reserve(code, "third@example.com"), context=later)

    _, together = bench.storage.ledger.execute([outcome, refused])
    alone = bench.run(replace(refused, reservation_id=uuid4()))

    assert isinstance(together, CodeHeld)
    assert isinstance(alone, CodeHeld)
    assert together.retry_after_s == alone.retry_after_s
