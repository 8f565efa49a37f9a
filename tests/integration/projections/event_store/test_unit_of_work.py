"""`execute` on real PostgreSQL: rows, locks, races, refusals, keys, and commits whose answer was lost."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import cast
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.persistence import OperationalError

from domain.errors import Refusal
from domain.ports import OutcomeUnknown, PipelineSteps, Rejected, run_to_completion
from domain.results import CommandResult, Result
from domain.writes import IdempotencyKey
from projections.event_store.unit_of_work import PostgresUnitOfWork
from projections.storage.bootstrap import LedgerStore
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift, check_code, done
from tests.support.ledger.settings import settings_for
from tests.support.waiting import WAIT_S_MAX


def codes_of(results: list[Result]) -> list[str]:
    return [result.code if isinstance(result, Refusal) else "ok" for result in results]


def test_events_and_read_models_are_written_together(bench: LedgerBench) -> None:
    """From issue to sent: four events, one balance, one reservation, and rows that a fold of the log gives again."""
    code = bench.issue(2)
    reservation_id = done(bench.redeem(code, "li.wei@example.com")).require_reservation().reservation_id
    bench.attempt(reservation_id)

    topics = [row[0] for row in bench.rows("SELECT topic FROM ledger_events ORDER BY notification_id")]
    balance = bench.rows("SELECT used, reserved, version FROM code_balances")
    assert topics == ["CodeIssued:1", "UseReserved:1", "InviteAttempted:1", "InviteSent:1"]
    assert balance == [(1, 0, 4)]
    assert bench.rows("SELECT status, versions, due_at FROM reservations") == [("sent", [2, 3, 4], None)]
    assert_no_drift(bench)


def test_neither_code_nor_address_is_in_the_log_or_the_read_models(bench: LedgerBench) -> None:
    """Invariant 9: only random ids; the vault alone holds the texts, encrypted."""
    code = bench.issue(2)
    refused = Rejected(server="mx:25", reason="temporary", final=False, reply_code=451, reply="li.wei is busy")
    bench.attempt(done(bench.redeem(code, "li.wei@example.com")).require_reservation().reservation_id, refused)

    tables = [row[0] for row in bench.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    dump = "\n".join(str(row) for table in tables for row in bench.rows(f"SELECT * FROM {table}"))  # noqa: S608 - names from the catalogue
    assert "ledger_events" in tables
    assert "li.wei" not in dump
    assert code not in dump
    assert b"li.wei".hex() not in dump


def test_batch_decides_in_order_and_a_refusal_fails_no_other_command(bench: LedgerBench) -> None:
    code = bench.issue(2, bound=False)
    commands = [bench.reserve(code, f"p{number}@example.com") for number in range(3)]

    results = bench.storage.ledger.execute([*commands, bench.reserve("NOSUCHCODE", "p9@example.com")])

    assert codes_of(results) == ["ok", "ok", "CODE_HELD", "CODE_INVALID"]
    assert_no_drift(bench)


def test_one_new_person_in_one_batch_is_one_person(bench: LedgerBench) -> None:
    codes = [bench.issue(), bench.issue()]

    bench.storage.ledger.execute([bench.reserve(code, "li.wei@example.com") for code in codes])

    assert bench.rows("SELECT count(*) FROM recipients") == [(1,)]
    assert bench.rows("SELECT count(DISTINCT recipient_id) FROM reservations") == [(1,)]


def test_refusals_are_kept_and_make_no_person(bench: LedgerBench) -> None:
    """A rejected request is a row in refusals, with a digest; the vault gets no new recipient."""
    code = bench.issue(1, bound=False)
    bench.redeem(code, "first@example.com")
    bench.redeem(code, "second@example.com")
    bench.redeem("NOSUCHCODE", "third@example.com")

    assert bench.rows("SELECT reason FROM refusals") == [("CODE_HELD",)]
    assert bench.rows("SELECT reason, tries FROM unknown_code_tries") == [("CODE_INVALID", 1)]
    assert bench.rows("SELECT count(*) FROM recipients") == [(1,)]


@pytest.mark.usual_world("rejected requests that are kept for each code and day")
def test_refusals_are_bounded_per_code_and_day(bench: LedgerBench) -> None:
    """However often a code is tried, at most a hundred rows a day are kept."""
    code = bench.issue(1, bound=False)
    bench.redeem(code, "first@example.com")
    for _ in range(3):
        bench.storage.ledger.execute([bench.reserve(code, f"p{number}@example.com") for number in range(60)])

    assert bench.rows("SELECT count(*) FROM refusals") == [(100,)]


def test_parallel_redeems_of_one_use_from_several_processes(bench: LedgerBench) -> None:
    code = bench.issue(10, bound=False)
    storages = [LedgerStore.open(settings_for(bench.database_url), pool_size=4) for _ in range(3)]
    start = threading.Barrier(12)

    def click(number: int) -> list[Result]:
        benches = [LedgerBench(storage, bench.database_url) for storage in storages]
        start.wait(WAIT_S_MAX)
        return [benches[number % 3].redeem(code, f"p{number}-{step}@example.com") for step in range(5)]

    with ThreadPoolExecutor(12) as threads:
        results = [result for batch in threads.map(click, range(12)) for result in batch]
    for storage in storages:
        storage.close()

    assert codes_of(results).count("ok") == 10
    assert codes_of(results).count("CODE_HELD") == 50
    assert_no_drift(bench)


def test_one_new_person_at_once_from_two_processes(bench: LedgerBench) -> None:
    """A race for the same new address on two codes is decided again, not failed."""
    codes = [bench.issue() for _ in range(8)]
    start = threading.Barrier(8)

    def click(code: str) -> Result:
        start.wait(WAIT_S_MAX)
        return bench.redeem(code, "li.wei@example.com")

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(click, codes))

    assert codes_of(results) == ["ok"] * 8
    assert bench.rows("SELECT count(*) FROM recipients") == [(1,)]


def test_positions_appear_in_order(bench: LedgerBench) -> None:
    """A reader that follows positions misses nothing while writers are at work."""
    codes = [bench.issue(None, bound=False) for _ in range(4)]
    seen: list[int] = []
    ended = threading.Event()

    def follow() -> None:
        with psycopg.connect(bench.database_url, autocommit=True) as conn:
            while True:
                last = ended.is_set()
                after = seen[-1] if seen else 0
                query = b"SELECT notification_id FROM ledger_events WHERE notification_id > %s ORDER BY 1"
                seen.extend(row[0] for row in conn.execute(query, (after,)))
                if last:
                    return

    def write(code: str) -> None:
        for _ in range(30):
            bench.redeem(code, f"{uuid4().hex}@example.com")

    with ThreadPoolExecutor(5) as threads:
        reader = threads.submit(follow)
        for writer in [threads.submit(write, code) for code in codes]:
            writer.result(WAIT_S_MAX)
        ended.set()
        reader.result(WAIT_S_MAX)

    assert [(number,) for number in seen] == bench.rows("SELECT notification_id FROM ledger_events ORDER BY 1")


def test_lost_commit_answer_is_resolved_by_reading(bench: LedgerBench) -> None:
    """The connection dies right after the commit: the same commands are decided again and find their own events."""
    code = bench.issue()
    command = bench.reserve(code, "li.wei@example.com")

    with lost_commit_answers(1):
        result = done(bench.run(command))

    assert result.require_reservation().reservation_id == command.reservation_id
    assert not result.changed
    assert bench.rows("SELECT count(*) FROM ledger_events") == [(2,)]


def test_lost_answer_to_an_issue_is_resolved_by_reading(bench: LedgerBench) -> None:
    with lost_commit_answers(1):
        code = bench.issue()

    assert done(bench.redeem(code, "li.wei@example.com")).changed


@contextmanager
def lost_commit_answers(times: int) -> Iterator[None]:
    """The next commits succeed, but the connection is gone before their answer is read."""
    left = [times]
    commit = PostgresUnitOfWork.commit

    def lose(self: PostgresUnitOfWork) -> PipelineSteps[None]:
        yield from commit(self)
        if left[0]:
            left[0] -= 1
            raise OperationalError("server closed the connection unexpectedly")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PostgresUnitOfWork, "commit", lose)
        yield
    assert left == [0]


def test_idempotency_key_leads_to_the_same_reservation(bench: LedgerBench) -> None:
    """Same key, same body: the same reservation, also after it was refunded; other body: refused."""
    code = bench.issue(5)
    key = IdempotencyKey(scope_digest=b"scope", body_digest=b"one")
    first = done(bench.run(bench.reserve(code, "li.wei@example.com", key=key))).require_reservation()
    bench.attempt(first.reservation_id, Rejected(server="mx:25", reason="x", final=True))

    again = done(bench.run(bench.reserve(code, "li.wei@example.com", key=key))).require_reservation()
    other = bench.run(
        bench.reserve(code, "mei@example.com", key=IdempotencyKey(scope_digest=b"scope", body_digest=b"two"))
    )

    assert (again.reservation_id, again.status) == (first.reservation_id, "refunded")
    assert codes_of([other]) == ["IDEMPOTENCY_KEY_REUSED"]


def test_refund_by_final_failure_puts_one_notice_into_the_outbox(bench: LedgerBench) -> None:
    """The recipient is notified that nothing was sent, unless the address itself was refused."""
    reservation_id = done(bench.redeem(bench.issue(), "a@example.com")).require_reservation().reservation_id
    bench.attempt(reservation_id, Rejected(server="mx:25", reason="message_refused", final=True))
    silent = done(bench.redeem(bench.issue(), "b@example.com")).require_reservation().reservation_id
    bench.attempt(silent, Rejected(server="mx:25", reason="address_refused", final=True, about_address=True))

    assert bench.rows("SELECT reservation_id, template FROM outbox") == [(reservation_id, "refund_notice")]
    assert_no_drift(bench)


def test_unknown_outcome_stays_reserved(bench: LedgerBench) -> None:
    """Rows of an unknown say when it is tried again."""
    code = bench.issue()
    reservation_id = done(bench.redeem(code, "a@example.com")).require_reservation().reservation_id
    bench.attempt(reservation_id, OutcomeUnknown(server="mx:25", cause="timeout"))

    assert bench.rows("SELECT ever_unknown, due_at IS NULL FROM reservations") == [(True, False)]
    assert_no_drift(bench)


@pytest.mark.parametrize(
    "statement", ["UPDATE ledger_events SET topic = 'x'", "DELETE FROM ledger_events", "TRUNCATE ledger_events"]
)
def test_log_cannot_be_changed(bench: LedgerBench, statement: str) -> None:
    """Not even by the owner of the table."""
    bench.issue()

    with psycopg.connect(bench.database_url) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(statement.encode())


def test_drift_is_found(bench: LedgerBench) -> None:
    """A read model changed behind the ledger's back is reported with both values (and can't be overlooked)."""
    code = bench.issue()
    reservation_id = done(bench.redeem(code, "a@example.com")).require_reservation().reservation_id
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("UPDATE code_balances SET used = 1")
        conn.execute("UPDATE reservations SET status = 'sent'")
    (code_id,) = bench.rows("SELECT code_id FROM code_balances")[0]

    differing_rows = check_code(bench.storage, code_id)

    assert [(row.table, row.row_id) for row in differing_rows] == [
        ("code_balances", code_id),
        ("reservations", reservation_id),
    ]


def test_results_are_those_of_their_own_command(bench: LedgerBench) -> None:
    """A result shows the code as its own command left it, not as the batch did."""
    code = bench.issue(None, bound=False)
    results = bench.storage.ledger.execute([bench.reserve(code, f"p{n}@example.com") for n in range(3)])

    assert [result.code.reserved for result in results if isinstance(result, CommandResult)] == [1, 2, 3]


def test_writer_that_stops_in_the_middle_gives_its_locks_up(bench: LedgerBench) -> None:
    """A frozen process must not hold a hot code for longer than those who wait for it wait."""
    timeout = "SHOW idle_in_transaction_session_timeout"
    command = bench.reserve(bench.issue(), "li.wei@example.com")
    for attempt in bench.storage.recorder.attempts():
        with attempt as work:
            run_to_completion(work.load([command]))
            within = cast("PostgresUnitOfWork", work)._conn.execute(timeout).fetchone()

    assert within is not None
    assert list(within.values()) == ["5s"]
