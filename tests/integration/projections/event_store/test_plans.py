"""Plans of the statements of every commit, made while the tables are small: they must also fit when they have grown."""

import re

import psycopg

from projections.sql.event_store import EventStoreSql
from tests.support.ledger.ledger_bench import LedgerBench

STATEMENTS = sorted(name for name in EventStoreSql.__annotations__ if "events_of_" in name)
GROWING = re.compile(r"Scan .*\bon (?:ledger_events|reservations)\b")


def test_events_are_read_by_index_in_a_plan_of_a_small_ledger(bench: LedgerBench) -> None:
    """The planner saw a handful of rows, and the plan of a prepared statement stays until statistics are renewed."""
    code = bench.issue(None, bound=False)
    bench.storage.ledger.execute([bench.reserve(code, f"{name}@example.com") for name in ("first", "second", "third")])
    with psycopg.connect(bench.database_url, autocommit=True) as owner:
        owner.execute("VACUUM (ANALYZE) ledger_events, reservations")
    with bench.storage.datastore.pool.connection() as conn:
        plans = {name: _explain(conn, getattr(EventStoreSql, name)) for name in STATEMENTS}

    scans = {name: [number for number, line in enumerate(plan) if GROWING.search(line)] for name, plan in plans.items()}
    assert len(STATEMENTS) > 5
    assert all(scans.values())
    assert [
        f"{name}: {plans[name][number].strip()}"
        for name, numbers in scans.items()
        for number in numbers
        if not any("Cond:" in line for line in plans[name][number + 1 : number + 2])
    ] == []


def _explain(conn: "psycopg.Connection[dict[str, object]]", statement: str) -> list[str]:
    numbers = iter(range(1, 20))
    numbered = re.sub(r"%(?:\(\w+\))?s", lambda _: f"${next(numbers)}", statement)
    rows = conn.execute(f"EXPLAIN (GENERIC_PLAN) {numbered}".encode(), prepare=False).fetchall()
    return [str(row["QUERY PLAN"]) for row in rows]
