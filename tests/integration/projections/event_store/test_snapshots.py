"""Snapshots: the first look at a long code costs what a short one costs, and none is believed that does not fit."""

from datetime import timedelta

import msgspec
import psycopg
import pytest

from domain.events.code_terms import CodeTerms
from domain.model.redeem_code import SNAPSHOT_VERSION, RedeemCode
from projections.definitions.tables.code_balances import PROJECTION as CODE_BALANCES
from projections.event_store import stream_loader
from projections.event_store.snapshots import (
    CODES,
    EVENTS_PER_SNAPSHOT,
    SCHEMA_FINGERPRINT,
    decode_snapshot,
    schema_fingerprint,
    write_missing_snapshots,
)
from projections.sql.read_models import ReadModelsSql
from projections.storage.bootstrap import LedgerStore
from projections.verification.snapshot_check import EQUAL
from projections.verification.verify import verify
from tests.support.ledger.decoded_topics import record_decoded_topics
from tests.support.ledger.ledger_bench import LedgerBench, check_code, done
from tests.support.ledger.rebuilds import NoProgress, rebuilt
from tests.support.ledger.settings import settings_for

BATCH = 250
LONG = 2 * EVENTS_PER_SNAPSHOT + 100
"""Events of a code that has a snapshot and some events after it."""


@pytest.fixture
def long_code(bench: LedgerBench) -> str:
    code = bench.issue(None, bound=False)
    for start in range(1, LONG, BATCH):
        numbers = range(start, min(LONG, start + BATCH))
        bench.storage.ledger.execute([bench.reserve(code, f"p{number}@example.com") for number in numbers])
    return code


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The topics of the events that lookups of codes have decoded."""
    return record_decoded_topics(monkeypatch, stream_loader)


def load_afresh(bench: LedgerBench, code: str) -> RedeemCode:
    """A code as a process that has just started sees it, by one more redeem."""
    with LedgerStore.open(settings_for(bench.database_url)) as storage:
        return done(LedgerBench(storage, bench.database_url).redeem(code, "newcomer@example.com")).code


def assert_right(bench: LedgerBench, code: RedeemCode) -> None:
    """The state is what the rows say, and the rows are what the whole log says."""
    with bench.storage.datastore.get_connection() as conn:
        row = conn.execute(ReadModelsSql.balance_of_code, (code.code_id,)).fetchone()
    assert row is not None
    assert tuple(row.values()) == CODE_BALANCES.row(code)
    assert check_code(bench.storage, code.code_id) == []


def change(bench: LedgerBench, statement: str, *params: object) -> None:
    with psycopg.connect(bench.database_url) as conn:
        conn.execute(statement.encode(), params)


def test_long_code_is_met_by_its_snapshot_and_the_events_since(
    bench: LedgerBench, long_code: str, decoded: list[str]
) -> None:
    """However long the history, no more than a bounded number of events is folded."""
    decoded.clear()
    code = load_afresh(bench, long_code)

    assert len(decoded) < EVENTS_PER_SNAPSHOT + BATCH
    assert (code.version, code.reserved) == (LONG + 1, LONG)
    assert_right(bench, code)


def test_evicted_state_is_loaded_from_its_snapshot(
    bench: LedgerBench, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others had all the traffic of the code since: what is cached is as far from today as the log is long."""
    monkeypatch.setattr(stream_loader, "EVENTS_PER_PAGE", 100)
    code = bench.issue(None, bound=False)
    with LedgerStore.open(settings_for(bench.database_url)) as storage:
        other = LedgerBench(storage, bench.database_url)
        other.redeem(code, "first@example.com")
        for start in range(0, LONG, BATCH):
            numbers = range(start, start + BATCH)
            bench.storage.ledger.execute([bench.reserve(code, f"p{number}@example.com") for number in numbers])
        decoded.clear()
        state = done(other.redeem(code, "newcomer@example.com")).code

    assert 0 < len(decoded) < 100 + EVENTS_PER_SNAPSHOT + BATCH
    assert_right(bench, state)


def test_short_code_has_none(bench: LedgerBench) -> None:
    """It would cost more than it saves."""
    bench.redeem(bench.issue(), "li.wei@example.com")

    assert bench.rows("SELECT count(*) FROM code_snapshots") == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE code_snapshots SET shape = 'another'",
        r"UPDATE code_snapshots SET state = '\x7b7d'",
        "UPDATE code_snapshots SET version = 1000000",
        "DELETE FROM code_snapshots",
    ],
    ids=["of another shape", "unreadable", "ahead of the log", "gone"],
)
def test_resolution_that_does_not_apply_is_skipped(
    statement: str, bench: LedgerBench, long_code: str, decoded: list[str]
) -> None:
    """The log is folded from its beginning, and the answer is right."""
    change(bench, statement)
    decoded.clear()
    code = load_afresh(bench, long_code)

    assert len(decoded) == LONG
    assert_right(bench, code)


def test_history_is_folded_in_pages(
    bench: LedgerBench, long_code: str, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a snapshot memory is bounded all the same."""
    change(bench, "DELETE FROM code_snapshots")
    monkeypatch.setattr(stream_loader, "EVENTS_PER_PAGE", 7)
    decoded.clear()
    code = load_afresh(bench, long_code)

    assert len(decoded) == LONG
    assert_right(bench, code)


@pytest.mark.usefixtures("long_code")
def test_missing_ones_are_written_and_former_ones_go(bench: LedgerBench) -> None:
    """The run after an upgrade writes the snapshot of this shape, and drops one that was unused for a day."""
    change(bench, "UPDATE code_snapshots SET shape = 'former', written_at = now() - interval '2 days'")
    with bench.storage.datastore.get_connection() as conn:
        rounds = [write_missing_snapshots(conn), write_missing_snapshots(conn)]

    snapshot_rows = bench.rows("SELECT shape, version, state FROM code_snapshots")
    assert rounds == [1, 0]
    assert [(shape, version) for shape, version, _ in snapshot_rows] == [(SCHEMA_FINGERPRINT, LONG)]
    state = decode_snapshot(CODES, bytes(snapshot_rows[0][2]))
    assert state is not None
    assert_right(bench, state)


def test_missing_ones_of_campaigns_are_written(bench: LedgerBench) -> None:
    """After an upgrade no command folds the whole stream of a large campaign under its lock."""
    campaign_id = bench.create_campaign(max_uses=LONG)
    code = bench.issue(None, bound=False, campaign_id=campaign_id)
    for start in range(0, 2 * EVENTS_PER_SNAPSHOT, BATCH):
        numbers = range(start, start + BATCH)
        bench.storage.ledger.execute([bench.reserve(code, f"p{number}@example.com") for number in numbers])
    change(bench, "DELETE FROM code_snapshots")
    with bench.storage.datastore.get_connection() as conn:
        rounds = [write_missing_snapshots(conn), write_missing_snapshots(conn)]

    stored = bench.rows("SELECT version FROM code_snapshots WHERE code_id = %s", campaign_id)
    assert rounds == [2, 0]
    assert stored == bench.rows("SELECT version FROM campaigns")


def test_two_shapes_live_side_by_side(bench: LedgerBench, long_code: str) -> None:
    """While two versions of the program run, neither overwrites what the other wrote."""
    change(bench, "INSERT INTO code_snapshots SELECT code_id, 'newer', version, state FROM code_snapshots")
    numbers = range(2 * EVENTS_PER_SNAPSHOT)
    bench.storage.ledger.execute([bench.reserve(long_code, f"q{number}@example.com") for number in numbers[:BATCH]])
    bench.storage.ledger.execute([bench.reserve(long_code, f"q{number}@example.com") for number in numbers[BATCH:]])

    versions = dict(bench.rows("SELECT shape, version FROM code_snapshots"))
    assert versions["newer"] < versions[SCHEMA_FINGERPRINT]


@pytest.mark.usefixtures("long_code")
def test_verify_passes_right_snapshots_and_names_wrong_ones(bench: LedgerBench) -> None:
    """A state that the log does not lead to is found, and a rebuild drops it."""
    right = verify(bench.database_url, timedelta(hours=1), NoProgress(), 10)
    (state,) = bench.rows("SELECT state FROM code_snapshots")[0]
    forged = msgspec.json.decode(bytes(state)) | {"used": 5}
    change(bench, "UPDATE code_snapshots SET state = %s", msgspec.json.encode(forged))
    wrong = verify(bench.database_url, timedelta(hours=1), NoProgress(), 10)
    rebuilt(bench, apply=True)

    assert (right.wrong, dict(wrong.broken)) == (0, {EQUAL: 1})
    assert verify(bench.database_url, timedelta(hours=1), NoProgress(), 10).wrong == 0


def test_shape_follows_the_fields_and_the_fold() -> None:
    """A field more, another type or another fold: what is kept is not believed."""
    fields = {**RedeemCode.__annotations__, **CodeTerms.__annotations__}
    others = [
        schema_fingerprint(SNAPSHOT_VERSION + 1, fields),
        schema_fingerprint(SNAPSHOT_VERSION, {**fields, "more": int}),
        schema_fingerprint(SNAPSHOT_VERSION, {**fields, "used": str}),
    ]

    assert schema_fingerprint(SNAPSHOT_VERSION, fields) == SCHEMA_FINGERPRINT
    assert SCHEMA_FINGERPRINT not in others
    assert len(set(others)) == len(others)
