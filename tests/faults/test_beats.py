"""Two real beats: one schedules; frozen or killed, the other takes over; no run is sent twice."""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import tuple_row
from redis import Redis

from api.cli.embedded.process.program import Program
from api.cli.embedded.process.supervisor import Supervisor
from api.cli.embedded.services.ledger import GATE, LAUNCH
from tests.faults.rigs.worker_rig import BEAT_MODULES, RING
from tests.support.waiting import wait_for

pytestmark = pytest.mark.night(of="deaths")


@dataclass
class Beats:
    """Two beats without a worker: what they send stays in the broker."""

    supervisor: Supervisor
    database: psycopg.Connection[tuple[Any, ...]]
    broker: Redis

    def holder(self) -> tuple[int, int]:
        """Process id and fence of the beat that holds the lease; zeros before the first."""
        row = self.database.execute("SELECT split_part(holder, ':', 2)::int, fence FROM scheduler_lease").fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def sweeps(self, fence: int) -> int:
        """How many sweeps the holder with this fence has claimed, with those before it; 0 if it has claimed none."""
        query = "SELECT number FROM scheduled_runs WHERE task = 'sweep-due-reservations' AND fence = %s"
        row = self.database.execute(query, (fence,)).fetchone()
        return int(row[0]) if row else 0

    def claimed(self) -> Counter[str]:
        query = "SELECT replace(task, '-', '_'), number FROM scheduled_runs"
        return Counter({str(task): int(number) for task, number in self.database.execute(query)})

    def messages(self) -> dict[UUID, str]:
        """Names of the tasks by id of the message, of one reading of the broker; no id is there twice."""
        stored: Any = self.broker.lrange("ledger", 0, -1)
        headers = [json.loads(message)["headers"] for message in stored]
        by_id = {UUID(header["id"]): str(header["task"]).removesuffix("_task") for header in headers}
        assert len(by_id) == len(headers)
        return by_id

    def sent(self) -> Counter[str]:
        return Counter(self.messages().values())

    def wait(self, is_true: Callable[[], object]) -> None:
        wait_for(is_true, lambda: (self.holder(), self.claimed(), self.sent()))


@pytest.fixture
def beats(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Beats]:
    """Both started, and one of them scheduling, while work is due."""
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")},
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "LEDGER_SECRET_KEY": "test",
        "LEDGER_PEPPERS": RING,
        "LEDGER_MASTER_KEYS": RING,
        "LEDGER_SWEEP_S": "1",
    }
    (gate := tmp_path / GATE).write_text("{}", encoding="utf-8")
    command = (*LAUNCH, BEAT_MODULES, str(gate), "workers.celery_process", "beat")
    programs = [Program(name, command, env, cwd=Path(__file__).parents[2]) for name in ("beat1", "beat2")]
    with (
        Supervisor(tmp_path) as supervisor,
        psycopg.connect(database_url, autocommit=True, row_factory=tuple_row) as database,
        Redis.from_url(redis_url) as broker,
    ):
        # Work that is always due, so that sweeps follow in a second.
        database.execute("INSERT INTO revocations VALUES (gen_random_uuid(), now())")
        supervisor.start(*programs)
        running = Beats(supervisor, database, broker)
        running.wait(lambda: running.sweeps(fence=1))
        running.wait(
            lambda: all("scheduling done by another beat" in log or "taken over" in log for log in logs(tmp_path))
        )
        yield running


def logs(folder: Path) -> list[str]:
    return [path.read_text(errors="replace") for path in sorted(folder.glob("beat*.log"))]


def test_second_beat_takes_over_and_no_run_is_sent_twice(beats: Beats) -> None:
    """The holder is frozen, continues while the other schedules, and takes over when that one is killed.

    A beat that dies between claim and send loses that run, so more may be claimed than sent, and never fewer.
    """
    first, fence = beats.holder()
    os.kill(first, signal.SIGSTOP)
    try:
        beats.wait(lambda: beats.sweeps(fence + 1))
    finally:
        os.kill(first, signal.SIGCONT)
    second, _ = beats.holder()
    since = beats.sweeps(fence + 1)
    beats.wait(lambda: beats.sweeps(fence + 1) >= since + 3)
    assert beats.holder() == (second, fence + 1)

    os.kill(second, signal.SIGKILL)
    beats.wait(lambda: beats.sweeps(fence + 2))
    beats.wait(lambda: beats.sent()["sweep_due_reservations"] >= beats.claimed()["sweep_due_reservations"] - 1)

    assert beats.holder() == (first, fence + 2)
    sent, claimed = beats.sent(), beats.claimed()
    assert sent["sweep_due_reservations"] >= 5
    assert sent - claimed == Counter()
