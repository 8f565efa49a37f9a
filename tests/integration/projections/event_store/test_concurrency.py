"""Many at once on real PostgreSQL: exact wins and losses, sums that hold at every read, and controls without guard."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Self
from uuid import uuid4

import psycopg
import pytest

from domain.commands.code.issue import IssueCode
from domain.errors import Refusal
from domain.results import CommandResult, Result
from domain.values.identifiers import generate_code
from domain.writes import IdempotencyKey
from projections.sql.event_store import EventStoreSql
from projections.storage.bootstrap import LedgerStore
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import LedgerBench, check_code, done
from tests.support.ledger.settings import settings_for
from tests.support.waiting import WAIT_S_MAX, wait_for

CLICKS = 50


@pytest.fixture
def benches(bench: LedgerBench) -> Iterator[list[LedgerBench]]:
    """Several ledgers on one database, as API processes are."""
    with ExitStack() as stack:
        settings = settings_for(bench.database_url)
        yield [LedgerBench(stack.enter_context(LedgerStore.open(settings)), bench.database_url) for _ in range(3)]


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    start = threading.Barrier(count)

    def one(number: int) -> Any:  # noqa: ANN401 - whatever the work gives
        start.wait(WAIT_S_MAX)
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


def words(results: Sequence[Result]) -> Counter[str]:
    return Counter(result.code if isinstance(result, Refusal) else "ok" for result in results)


class Bank:
    """Reads the sums of a code all the time: used + reserved never exceeds the limit, at any read."""

    def __init__(self, database_url: str) -> None:
        self.reads = 0
        self.broken: list[tuple[int, int, int]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(database_url,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(WAIT_S_MAX)

    def _run(self, database_url: str) -> None:
        rows = b"SELECT used, reserved, max_uses FROM code_balances WHERE max_uses IS NOT NULL"
        with psycopg.connect(database_url, autocommit=True) as conn:
            while not self._ending.is_set():
                self.reads += 1
                self.broken += [
                    row for row in conn.execute(rows).fetchall() if row[0] + row[1] > row[2] or min(row) < 0
                ]


@pytest.mark.parametrize("uses", [1, 10])
def test_fifty_redeems_of_few_uses(bench: LedgerBench, benches: list[LedgerBench], uses: int) -> None:
    """As many reservations as uses, the rest held; once they are sent, used up. The sums hold at every read."""
    code = bench.issue(uses, bound=False)
    with Bank(bench.database_url) as bank:
        first = at_once(CLICKS, lambda number: benches[number % 3].redeem(code, f"p{number}@example.com"))
        for result in first:
            if not isinstance(result, Refusal):
                bench.attempt(done(result).require_reservation().reservation_id)
        second = at_once(CLICKS, lambda number: benches[number % 3].redeem(code, f"q{number}@example.com"))

    (code_id,) = bench.rows("SELECT code_id FROM code_balances")[0]
    assert words(first) == {"ok": uses, "CODE_HELD": CLICKS - uses}
    assert words(second) == {"CODE_EXHAUSTED": CLICKS}
    assert (bank.broken, bank.reads > 1) == ([], True)
    assert check_code(bench.storage, code_id) == []


def test_code_of_one_person_is_used_up_for_others_by_being_theirs(bench: LedgerBench) -> None:
    """A bound code says so instead."""
    code = bench.issue(1)
    bench.attempt(done(bench.redeem(code, "a@example.com")).require_reservation().reservation_id)

    assert words([bench.redeem(code, "b@example.com")]) == {"EMAIL_MISMATCH": 1}


def test_same_requests_to_a_counter_without_a_guard_oversell(bench: LedgerBench) -> None:
    """The control: read, decide, write, as the old system did. The harness sees what the ledger prevents."""
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        conn.execute("CREATE TABLE counter (used int)")
        conn.execute("INSERT INTO counter VALUES (0)")
    all_have_read = threading.Barrier(8)

    def click(_: int) -> bool:
        with psycopg.connect(bench.database_url, autocommit=True) as conn:
            (used,) = conn.execute("SELECT used FROM counter").fetchone() or (0,)
            all_have_read.wait(WAIT_S_MAX)
            if used < 1:
                conn.execute("UPDATE counter SET used = used + 1")
            return bool(used < 1)

    assert sum(at_once(8, click)) == 8


def test_same_key_at_once(bench: LedgerBench, benches: list[LedgerBench]) -> None:
    """One reservation for all requests; one with a changed body is refused."""
    code = bench.issue(20, bound=False)

    def click(number: int) -> Result:
        key = IdempotencyKey(scope_digest=b"scope", body_digest=b"other" if number == 0 else b"body")
        email = "mei@example.com" if number == 0 else "li.wei@example.com"
        return benches[number % 3].run(benches[number % 3].reserve(code, email, key=key))

    results = at_once(12, click)
    outcomes = words(results)

    assert bench.rows("SELECT count(*) FROM reservations") == [(1,)]
    assert outcomes["ok"] + outcomes["IDEMPOTENCY_KEY_REUSED"] == 12
    assert outcomes["IDEMPOTENCY_KEY_REUSED"] in {1, 11}  # whose body came first is the key's


class LogReader:
    """A reader that follows positions, as every follower of the log does: never looks back."""

    def __init__(self, database_url: str) -> None:
        self.seen: list[int] = []
        self._url = database_url
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(WAIT_S_MAX)

    def _run(self) -> None:
        query = b"SELECT notification_id FROM ledger_events WHERE notification_id > %s ORDER BY 1"
        with psycopg.connect(self._url, autocommit=True) as conn:
            while True:
                last = self._ended.is_set()
                self.seen += [row[0] for row in conn.execute(query, (self.seen[-1] if self.seen else 0,))]
                if last:
                    return


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.night(of="races"))])
def test_eight_writers_and_a_reader_that_never_looks_back(bench: LedgerBench, seconds: int) -> None:
    """Set-full: nothing is missed, nothing comes twice, all in order; next to writers that are open for long."""
    ends = threading.Event()
    settings = settings_for(bench.database_url)
    codes = [bench.issue(None, bound=False) for _ in range(8)]
    threading.Timer(seconds, ends.set).start()

    def write(number: int) -> None:
        with LedgerStore.open(settings, pool_size=1) as storage:
            other_bench = LedgerBench(storage, bench.database_url)
            while not ends.is_set():
                commands = [other_bench.reserve(codes[number], f"{uuid4().hex}@example.com") for _ in range(1 + number)]
                storage.ledger.execute(commands)

    with LogReader(bench.database_url) as tail, psycopg.connect(bench.database_url) as idle:
        idle.execute("CREATE TEMPORARY TABLE long_transaction (n int)")  # it holds back xmin, not us
        idle.execute("INSERT INTO long_transaction VALUES (1)")
        at_once(8, write)
        behind = bench.rows("SELECT max(notification_id) FROM ledger_events")[0][0]

    stored = [row[0] for row in bench.rows("SELECT notification_id FROM ledger_events ORDER BY 1")]
    assert len(stored) > 50 * seconds
    assert tail.seen == stored
    assert stored[-1] == behind


@pytest.mark.parametrize("guarded", [True, False])
def test_without_the_order_lock_a_reader_would_miss_events(bench: LedgerBench, guarded: bool) -> None:
    """The control: a writer that is slow to commit. With the lock the next one waits for it; without, it overtakes."""
    insert = (
        b"INSERT INTO ledger_events (originator_id, originator_version, topic, state)"
        b" VALUES (gen_random_uuid(), 1, 'X:1', '')"
    )
    seen: list[list[int]] = []
    with psycopg.connect(bench.database_url) as slow, psycopg.connect(bench.database_url) as fast:
        fast.execute("SET lock_timeout = '300ms'")
        for conn in (slow, fast):
            if guarded:
                if conn is fast:
                    with pytest.raises(psycopg.errors.LockNotAvailable):
                        conn.execute(EventStoreSql.lock_append_order)
                    break
                conn.execute(EventStoreSql.lock_append_order)
            conn.execute(insert)
        fast.commit() if not guarded else fast.rollback()
        seen.append([row[0] for row in bench.rows("SELECT notification_id FROM ledger_events ORDER BY 1")])
        slow.commit()
        seen.append([row[0] for row in bench.rows("SELECT notification_id FROM ledger_events ORDER BY 1")])

    overtaken = [position for position in seen[1] if seen[0] and position < max(seen[0]) and position not in seen[0]]
    assert len(overtaken) == (0 if guarded else 1)


def test_race_that_was_lost_late_is_retried(
    bench: LedgerBench, benches: list[LedgerBench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both issue the same code, as a retry does whose first try still runs: one writes it, the other finds it."""
    monkeypatch.setattr("projections.event_store.recorder.RETRY_S_MAX", 0.0)
    text, code_id = generate_code(bench.random_source), uuid4()

    def issue(other_bench: LedgerBench) -> Result:
        vault = other_bench.storage.vault
        draft = vault.draft_code(text, code_id)
        return other_bench.run(
            IssueCode(
                context=other_bench.context("operator"),
                code_id=code_id,
                text=draft,
                terms=make_terms(max_uses=1),
                bound=True,
            )
        )

    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'code_texts'::regclass"
    with psycopg.connect(bench.database_url) as holder, ThreadPoolExecutor(2) as threads:
        holder.execute("LOCK TABLE code_texts IN EXCLUSIVE MODE")
        issued = [threads.submit(issue, other_bench) for other_bench in benches[:2]]
        wait_for(lambda: bench.rows(waiting) == [(2,)])
        holder.rollback()
        results = [future.result(WAIT_S_MAX) for future in issued]

    assert [isinstance(result, CommandResult) for result in results] == [True, True]
    assert bench.rows("SELECT version FROM code_balances") == [(1,)]
