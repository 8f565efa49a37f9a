"""A projection whose rows sum up several codes, with a key of two columns: live, rebuilt, compared and verified."""

from collections.abc import Iterable
from datetime import timedelta

import psycopg
import pytest

from domain.events.registry import EVENT_TYPES
from domain.model.reservation import Reservation
from domain.working_set import Recorded
from projections.definitions.projection import Merge, Projection, Row
from projections.definitions.registry import EVENT_PROJECTIONS, PROJECTIONS
from projections.replay.log_fold import MemoryLimits
from projections.sql.table import Table
from projections.verification.verify import verify
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.random_history import RandomHistory
from tests.support.ledger.rebuilds import NoProgress, commanded, rebuilt

NAME = "sent_by_group_and_day"
SMALL = MemoryLimits(page_events=7, open_reservations_max=2, catch_up_events=3)
"""So small that every bound is reached."""


class SentByGroupAndDay(Projection):
    """How many invitations were sent, by group and day."""

    table = Table(NAME, key=("group_name", "day"), columns={"group_name": "text", "day": "date", "sent": "bigint"})
    merge = Merge.ADD
    state = Reservation
    code_column = None
    explanation_query = """
        SELECT code_id, versions[cardinality(versions)] FROM reservations JOIN code_balances USING (code_id)
        WHERE coalesce(group_name, '') = %(group_name)s AND (sent_at AT TIME ZONE 'UTC')::date = %(day)s::date
        ORDER BY sent_at DESC LIMIT 1
    """

    def apply(self, before: Reservation | None, recorded: Recorded, after: Reservation) -> Iterable[Row]:
        del recorded
        if after.sent_at is not None and (before is None or before.sent_at is None):
            yield self.table.row(group_name=after.group or "", day=after.sent_at.date(), sent=1)


@pytest.fixture
def history(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> RandomHistory:
    """A ledger with that projection next to the others."""
    with psycopg.connect(bench.database_url) as conn:
        conn.execute(
            "CREATE TABLE sent_by_group_and_day"
            " (group_name text, day date, sent bigint NOT NULL, PRIMARY KEY (group_name, day))"
        )
    projection = SentByGroupAndDay()
    monkeypatch.setitem(PROJECTIONS, NAME, projection)
    for kind in EVENT_TYPES.values():
        monkeypatch.setitem(EVENT_PROJECTIONS, kind, (*EVENT_PROJECTIONS[kind], projection))
    history = RandomHistory(bench, 5, codes=5)
    history.go_on(120)
    return history


def sums(bench: LedgerBench) -> list[Row]:
    return bench.rows("SELECT group_name, day, sent FROM sent_by_group_and_day ORDER BY 1, 2")


def damage(bench: LedgerBench) -> None:
    """Make every row wrong, and add one that no event explains."""
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("UPDATE sent_by_group_and_day SET sent = sent + 5")
        conn.execute("INSERT INTO sent_by_group_and_day VALUES ('nowhere', '2026-01-01', 3)")


def test_live_sums_are_those_of_a_rebuild(bench: LedgerBench, history: RandomHistory) -> None:
    """Each sent invitation is counted once, whether its events are live, folded, out of order or caught up."""
    history.go_on(40)
    sent = bench.rows("SELECT count(*) FROM reservations WHERE sent_at IS NOT NULL")[0][0]

    assert sent == sum(row[2] for row in sums(bench)) > 0
    assert rebuilt(bench, workers=0, limits=SMALL, projections=frozenset(PROJECTIONS)).counts == {}


def test_wrong_sums_are_found_by_the_whole_key_and_repaired(bench: LedgerBench, history: RandomHistory) -> None:
    """A difference names group and day and the newest event; that projection alone can be rebuilt."""
    del history
    before = sums(bench)
    damage(bench)
    counts = {NAME: {"change": len(before), "vanish": 1}}

    _, document, _ = commanded(bench, workers=0, limits=SMALL, projections=frozenset(PROJECTIONS))
    checked = verify(bench.database_url, timedelta(days=1), NoProgress(), 99, limits=SMALL, workers=0)
    applied = rebuilt(bench, workers=0, limits=SMALL, projections=frozenset({NAME}), apply=True)

    assert [counts] * 3 == [document["counts"], checked.rows.counts, applied.counts]
    by_row_id = {tuple(row["row_id"].values()): row for row in document["differences"]}
    assert {(group, f"{day}") for group, day, _ in before} | {("nowhere", "2026-01-01")} == by_row_id.keys()
    assert sorted({row["event"] and row["event"]["version"] > 0 for row in by_row_id.values()}, key=bool) == [
        None,
        True,
    ]
    assert before == sums(bench)


def test_one_code_has_no_rows_of_its_own_in_a_sum(bench: LedgerBench, history: RandomHistory) -> None:
    """A rebuild of one code leaves sums alone; one of nothing else is refused."""
    del history
    damage(bench)
    code_id = bench.rows("SELECT code_id FROM code_balances")[0][0]

    code, _, err = commanded(bench, only=code_id, projections=frozenset({NAME}))

    assert rebuilt(bench, only=code_id, apply=True, projections=frozenset(PROJECTIONS)).counts == {}
    assert (code, "not of one code" in err) == (4, True)
