"""Blocks of histories: a new process reads them and few events, and none is believed that does not fit."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain.commands.code.pause import PauseCode, ResumeCode
from domain.events.code import CodePaused
from domain.events.event import Event
from domain.events.reservation import UseReserved
from projections.database.servers.bounded_connection import BoundedConnection
from projections.database.servers.known_servers import ServerIdentity
from projections.event_store import codec
from projections.read_models import history_blocks
from projections.read_models.history_blocks import CAMPAIGNS, CODES, write_missing_blocks
from projections.read_models.past_states import PastStateReader
from projections.read_models.statements import HistoryReader
from projections.storage.read_store import ReadStore
from projections.verification.snapshot_check import EQUAL
from projections.verification.verify import verify
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.rebuilds import NoProgress, rebuilt

BLOCK = 50
WHOLE = 6
LONG = WHOLE * BLOCK + 7
"""Events of a code with whole blocks and some events after them."""
MISPLACED = """
UPDATE history_blocks b SET block = o.block FROM history_blocks o WHERE b.version = 100 AND o.version = 150
"""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of few events, stored two at a time."""
    monkeypatch.setattr(history_blocks, "EVENTS_PER_BLOCK", BLOCK)
    monkeypatch.setattr("projections.read_models.statements.BLOCKS_PER_WRITE", 2)


@pytest.fixture
def code_id(bench: LedgerBench) -> UUID:
    """A code with `LONG` events: issued, reserved, and paused at the end of a block."""
    text = bench.issue(None, bound=False)
    code_id = done(bench.redeem(text, "first@example.com")).code.code_id
    bench.storage.ledger.execute([bench.reserve(text, f"p{number}@example.com") for number in range(BLOCK - 3)])
    bench.run(PauseCode(context=bench.context("staff"), code_id=code_id))
    bench.run(ResumeCode(context=bench.context("staff"), code_id=code_id))
    numbers = range(BLOCK, LONG - 1)
    bench.storage.ledger.execute([bench.reserve(text, f"p{number}@example.com") for number in numbers])
    return code_id


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    topics: list[str] = []

    def record(topic: str, state: bytes) -> Event:
        topics.append(topic)
        return codec.decode(topic, state)

    monkeypatch.setattr(history_blocks, "decode", record)
    return topics


def read_everything(reader: PastStateReader, code_id: UUID) -> tuple[object, ...]:
    lines = list(reader.read_page(code_id, 0))
    return (
        reader.trace_balance(code_id).list_samples(),
        reader.list_landmarks(code_id, LONG),
        reader.list_landmarks(code_id, 2 * BLOCK),
        reader.count_types(code_id, BLOCK // 2, LONG),
        [reader.find_version_at(code_id, line.event.at) for line in lines[:: BLOCK // 2]],
        [reader.find_code_at(code_id, version) for version in (1, BLOCK, BLOCK + 1, LONG)],
    )


def change(bench: LedgerBench, statement: str) -> None:
    with psycopg.connect(bench.database_url) as conn:
        conn.execute(statement.encode())


def test_new_process_reads_blocks_and_folds_only_newer_events(
    bench: LedgerBench, code_id: UUID, decoded: list[str]
) -> None:
    """What it shows is what the process showed that folded the whole history."""
    first = read_everything(PastStateReader(bench.storage), code_id)
    assert len(decoded) > LONG
    decoded.clear()
    reader = PastStateReader(bench.storage)

    assert reader.trace_balance(code_id).changes == LONG - 2
    assert len(decoded) == LONG - WHOLE * BLOCK
    assert read_everything(reader, code_id) == first
    assert reader.count_types(code_id, 0, LONG)[UseReserved] == LONG - 3
    assert [mark.first for mark in reader.list_landmarks(code_id, LONG) if mark.event_type is CodePaused] == [BLOCK]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE history_blocks SET shape = 'another'",
        r"UPDATE history_blocks SET block = '\x5b5d' WHERE version = 100",
        r"UPDATE history_blocks SET trace = '\x5b5d' WHERE trace IS NOT NULL",
        "UPDATE history_blocks SET trace = NULL",
        "DELETE FROM history_blocks WHERE version = 100",
        MISPLACED,
    ],
)
def test_unusable_blocks_are_folded_and_written_again(
    bench: LedgerBench, code_id: UUID, decoded: list[str], statement: str
) -> None:
    """Of another shape, damaged, incomplete or in a wrong place: the pages stay right, and the next process is fast."""
    first = read_everything(PastStateReader(bench.storage), code_id)
    stored = bench.rows("SELECT version, block, trace FROM history_blocks ORDER BY version")
    change(bench, statement)

    assert read_everything(PastStateReader(bench.storage), code_id) == first
    query = "SELECT version, block, trace FROM history_blocks WHERE shape = %s ORDER BY version"
    rows = bench.rows(query, CODES.shape)
    assert rows == stored
    assert [row[2] is not None for row in rows] == [False] * (WHOLE - 1) + [True]
    decoded.clear()
    PastStateReader(bench.storage).trace_balance(code_id)
    assert len(decoded) == LONG - WHOLE * BLOCK


def test_blocks_of_a_former_server_are_dropped(
    bench: LedgerBench, code_id: UUID, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that came back may lack events of these blocks, so the first query to it begins with none."""
    reader, get_connection = PastStateReader(bench.storage), bench.storage.datastore.get_connection
    before = reader.trace_balance(code_id)

    @contextmanager
    def lead_elsewhere() -> Iterator[BoundedConnection[Any]]:
        with get_connection() as conn:
            assert isinstance(conn, BoundedConnection)
            conn.server, conn.number = ServerIdentity(7, 1, 20), sys.maxsize  # it was opened last
            yield conn

    monkeypatch.setattr(bench.storage.datastore, "get_connection", lead_elsewhere)
    change(bench, "DELETE FROM history_blocks")
    decoded.clear()

    assert reader.trace_balance(code_id) == before
    assert len(decoded) == LONG


def test_history_is_shown_when_database_takes_no_writes(
    bench: LedgerBench, code_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing can be stored there; that costs each process the time to fold, and no page."""
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        conn.execute("SET default_transaction_read_only = on")
        reader = PastStateReader(ReadStore(bench.storage.vault, conn))

        assert reader.trace_balance(code_id).changes == LONG - 2
    assert "storing blocks of a history failed" in caplog.text


def test_task_writes_missing_blocks_in_rounds_and_deletes_former_ones(
    bench: LedgerBench, code_id: UUID, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A code that no page has shown yet is fast too; a code that lacks few blocks waits."""
    monkeypatch.setattr(history_blocks, "BLOCKS_BEHIND", 3)
    change(
        bench,
        "INSERT INTO history_blocks SELECT gen_random_uuid(), 'former', 1, '', NULL, now() - interval '2 days'",
    )
    with bench.storage.datastore.get_connection() as conn:
        rounds = [write_missing_blocks(conn, blocks_max=4) for _ in range(3)]

    assert rounds == [4, 0, 0]
    assert [row[0] for row in bench.rows("SELECT version FROM history_blocks ORDER BY 1")] == [50, 100, 150, 200]
    decoded.clear()
    assert PastStateReader(bench.storage).trace_balance(code_id).changes == LONG - 2
    assert len(decoded) == LONG - 4 * BLOCK


def test_redeems_write_no_blocks(bench: LedgerBench, code_id: UUID) -> None:
    """They are written by who reads; the events were appended before anything read them."""
    assert bench.rows("SELECT count(*) FROM history_blocks") == [(0,)]
    PastStateReader(bench.storage).trace_balance(code_id)
    assert bench.rows("SELECT count(*) FROM history_blocks") == [(WHOLE,)]


@pytest.mark.parametrize(
    ("statement", "version"),
    [
        (
            MISPLACED,
            100,
        ),
        (r"UPDATE history_blocks SET trace = '\x7b7d' WHERE trace IS NOT NULL", WHOLE * BLOCK),
    ],
)
def test_verify_passes_right_blocks_and_names_wrong_ones(
    bench: LedgerBench, code_id: UUID, statement: str, version: int
) -> None:
    """A rebuild deletes them."""
    PastStateReader(bench.storage).trace_balance(code_id)
    right = verify(bench.database_url, timedelta(hours=1), NoProgress(), 10)
    change(bench, statement)
    wrong = verify(bench.database_url, timedelta(hours=1), NoProgress(), 10)
    rebuilt(bench, apply=True)

    assert (right.wrong, wrong.broken) == (0, Counter({EQUAL: 1}))
    assert [finding.version for finding in wrong.findings] == [version]
    assert bench.rows("SELECT count(*) FROM history_blocks") == [(0,)]
    assert verify(bench.database_url, timedelta(hours=1), NoProgress(), 10).wrong == 0


@pytest.mark.usual_world("three blocks are written together")
def test_blocks_of_campaigns_are_read_written_and_verified_like_those_of_codes(
    bench: LedgerBench, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task writes them, a new process folds few events, and `verify` names a wrong one."""
    monkeypatch.setattr(history_blocks, "BLOCKS_BEHIND", 2)
    campaign_id = bench.create_campaign(max_uses=10 * BLOCK)
    text = bench.issue(None, bound=False, campaign_id=campaign_id)
    bench.storage.ledger.execute([bench.reserve(text, f"p{number}@example.com") for number in range(3 * BLOCK)])
    written = 0
    with bench.storage.datastore.get_connection() as conn:
        while count := write_missing_blocks(conn):
            written += count
    decoded.clear()

    trace = HistoryReader(bench.storage, CAMPAIGNS).trace_balance(campaign_id)
    folded = len(decoded)
    right = verify(bench.database_url, timedelta(hours=1), NoProgress(), 10)
    shapes = dict(bench.rows("SELECT shape, count(*) FROM history_blocks GROUP BY shape"))
    change(
        bench,
        "UPDATE history_blocks SET block = replace(encode(block, 'escape'), '99', '98')::bytea WHERE version = 100",
    )
    wrong = verify(bench.database_url, timedelta(hours=1), NoProgress(), 10)

    assert (written, shapes) == (6, {CODES.shape: 3, CAMPAIGNS.shape: 3})
    assert (trace.changes, folded) == (3 * BLOCK + 1, 1)
    assert trace.list_samples()[-1][2:] == (3 * BLOCK, 0, 7 * BLOCK, 10 * BLOCK)
    assert (right.wrong, wrong.broken) == (0, Counter({EQUAL: 2}))
    assert campaign_id in {finding.stream for finding in wrong.findings}
