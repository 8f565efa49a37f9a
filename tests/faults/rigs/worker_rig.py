"""Worker and beat on a database and a broker of their own, kept running, without an API: for tests of the sending."""

import base64
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psutil
import psycopg
from celery import Celery

from api.cli.embedded.process.program import Program
from api.cli.embedded.process.supervisor import Supervisor
from api.cli.embedded.services.ledger import GATE, LAUNCH
from projections.config.settings import LedgerSettings
from projections.event_store.stored_state import read_fields
from projections.storage.bootstrap import LedgerStore
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.servers.mail_server import MailServer
from tests.support.waiting import WAIT_S_MAX, wait_for

LEASE_S = 2 * int(WAIT_S_MAX)
"""No lease ends because the machine is slow: the tests of leases that end advance the clock."""
SMTP_TIMEOUT_S = int(WAIT_S_MAX)
TIME_LIMIT_S = 2 * SMTP_TIMEOUT_S
TTL_S = 100 * LEASE_S
ATTEMPTS_MAX = 3
RING = "1:" + base64.b64encode(b"k" * 32).decode()
BEAT_MODULES = "celery.apps.beat,kombu.transport.redis,workers.celery_process"
WORKER_MODULES = "celery.apps.worker,kombu.transport.redis,workers.celery_process,workers.tasks"
"""All that a process loads: the settings that `workers.celery_app` reads are in its environment from the start."""
T = TypeVar("T")


@dataclass
class WorkerRig:
    """The processes, and short ways to give them work.

    Attributes:
        planted: Folder of what is planted, see `tests.faults.rigs.crash_points`.
        ahead: How many planted deaths no one has waited for, by crash point.
    """

    bench: LedgerBench
    mail: MailServer
    broker_url: str
    planted: Path
    supervisor: Supervisor
    watching: psycopg.Connection[tuple[Any, ...]]
    ahead: dict[str, int] = field(default_factory=dict)

    def plant(self, crash_point: str, times: int) -> None:
        """From now on a process dies at a moment, so many times."""
        (self.planted / crash_point).write_text(str(times))
        self.ahead[crash_point] = times

    def left(self, crash_point: str) -> int:
        return int((self.planted / crash_point).read_text() or "0")

    def reserve(self, count: int, name: str) -> list[UUID]:
        code = self.bench.issue(None, bound=False)
        results = [self.bench.redeem(code, f"{name}{number}@example.com") for number in range(count)]
        return [done(result).require_reservation().reservation_id for result in results]

    def end_leases(self) -> None:
        """Advance the clock of all processes beyond the end of every lease; in the same module it never goes back."""
        clock = self.planted.parent / "clock_ahead_s"
        ahead_s = int(clock.read_text()) if clock.exists() else 0
        replacement = clock.with_suffix(".new")
        replacement.write_text(str(ahead_s + LEASE_S + 1))
        replacement.replace(clock)

    def publish(self, ids: Sequence[UUID], copies: int = 1, time_limit_s: float | None = None) -> None:
        """Publish messages with these ids, as the API does; None: the task has the time limit of the settings."""
        app: Any = Celery("test", broker=self.broker_url)
        for _ in range(copies):
            app.send_task(
                "process_invite_task",
                args=[[str(reservation_id) for reservation_id in ids]],
                queue="ledger",
                ignore_result=True,
                time_limit=time_limit_s,
            )

    def give_held_messages_again(self) -> int:
        """What a broker does after the visibility timeout, now: messages that workers hold come again; how many."""
        app: Any = Celery("test", broker=self.broker_url)
        with app.connection_for_write(transport_options={"visibility_timeout": 0}) as connection:
            qos = connection.default_channel.qos
            restored_tags: list[str] = []
            restore = qos.restore_by_tag

            def give(tag: str, *args: Any, **more: Any) -> None:
                restored_tags.append(tag)
                restore(tag, *args, **more)

            qos.restore_by_tag = give
            qos.restore_visible(interval=1)
        return len(restored_tags)

    def queued(self) -> int:
        app: Any = Celery("test", broker=self.broker_url)
        with app.connection_for_write() as connection:
            return int(connection.default_channel.client.llen("ledger"))

    def rows(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        """Ask the database, over a connection that stays: what waits asks often."""
        return self.watching.execute(query.encode(), params).fetchall()

    def events(self, *ids: UUID) -> Counter[str]:
        expected_ids = {str(reservation_id) for reservation_id in ids}
        rows = self.rows("SELECT topic, state FROM ledger_events")
        return Counter(
            topic.partition(":")[0] for topic, state in rows if read_fields(state).get("reservation_id") in expected_ids
        )

    def mails(self, *ids: UUID) -> Counter[str]:
        begins = tuple(f"<{reservation_id}." for reservation_id in ids)
        return Counter(message_id for message_id in self.mail.message_ids() if message_id.startswith(begins))

    def wait(self, read_value: Callable[[], T]) -> T:
        """Wait until something is true, while processes that die are started again."""

        def tick_and_read() -> T:
            self.supervisor.tick()
            return read_value()

        return wait_for(tick_and_read, lambda: self.supervisor.last_log_line("worker"))

    def wait_for(self, kind: str, ids: Sequence[UUID]) -> None:
        self.wait(lambda: self.events(*ids)[kind] >= len(ids))

    def wait_for_death(self, crash_point: str, deaths: int = 1) -> None:
        """Wait until so many more processes have died where that was planted, whether or not they died before this."""
        self.ahead[crash_point] -= deaths
        self.wait(lambda: self.left(crash_point) <= self.ahead[crash_point])

    def end(self) -> psutil.Process:
        """Send the worker SIGTERM; return its process once its children can know."""
        noted = self.planted.parent / "shutdown_begun"
        noted.unlink(missing_ok=True)
        parent = self.processes()[0]
        parent.send_signal(signal.SIGTERM)
        self.wait(noted.exists)
        return parent

    def read_log(self) -> str:
        return (self.planted.parent / "logs" / "worker.log").read_text(errors="replace")

    def processes(self, name: str = "worker") -> list[psutil.Process]:
        """A part's process and its children; empty while there is none."""
        matching = []
        for process in psutil.process_iter():
            try:
                ours = name in process.cmdline() and process.environ().get("LEDGER_PLANTED") == str(self.planted)
            except psutil.Error:
                continue
            if ours:
                matching.append(process)
        parents = [process for process in matching if process.ppid() == os.getpid()]
        return [*parents, *(process for process in matching if process not in parents)]

    def stopped_processes(self) -> list[psutil.Process]:
        return [process for process in self.processes() if process.status() == psutil.STATUS_STOPPED]


@contextmanager
def worker_rig(folder: Path, database_url: str, broker_url: str, beats: int = 1) -> Iterator[WorkerRig]:
    """One worker with two children and any number of beats."""
    planted = folder / "planted"
    planted.mkdir(parents=True)
    with MailServer() as mail, Supervisor(folder / "logs") as supervisor:
        env = _environment(database_url, broker_url, mail.url, planted)
        gate = folder / GATE
        gate.write_text("{}", encoding="utf-8")
        supervisor.start(*_programs(env, gate, beats))
        settings = LedgerSettings.model_validate(
            {
                "DATABASE_URL": database_url,
                "secret_key": "test",
                "peppers": RING,
                "master_keys": RING,
                "lease_s": LEASE_S,
                "max_attempts": ATTEMPTS_MAX,
                "reservation_ttl_s": TTL_S,
            }
        )
        with LedgerStore.open(settings) as storage, psycopg.connect(database_url, autocommit=True) as watching:
            yield WorkerRig(LedgerBench(storage, database_url), mail, broker_url, planted, supervisor, watching)


def _environment(database_url: str, broker_url: str, smtp_url: str, planted: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")},
        "DATABASE_URL": database_url,
        "REDIS_URL": broker_url,
        "LEDGER_SECRET_KEY": "test",
        "LEDGER_PEPPERS": RING,
        "LEDGER_MASTER_KEYS": RING,
        "LEDGER_SMTP_URL": smtp_url,
        "LEDGER_MAIL_FROM": "ledger@example.com",
        "LEDGER_LEASE_S": str(LEASE_S),
        "LEDGER_SMTP_TIMEOUT_S": str(SMTP_TIMEOUT_S),
        "LEDGER_RESERVATION_TTL_S": str(TTL_S),
        "LEDGER_WEBHOOK_TIMEOUT_S": "2",
        "LEDGER_SWEEP_S": "1",
        "LEDGER_RETRY_FIRST_S": "0.5",
        "LEDGER_RETRY_LONGEST_S": "1",
        "LEDGER_MAX_ATTEMPTS": str(ATTEMPTS_MAX),
        "LEDGER_TASK_TIME_LIMIT_S": str(TIME_LIMIT_S),
        "LEDGER_VISIBILITY_TIMEOUT_S": str(TIME_LIMIT_S + 1),
        "LEDGER_PLANTED": str(planted),
    }


def _programs(env: Mapping[str, str], gate: Path, beats: int) -> Iterator[Program]:
    place = Path(__file__).parents[3]
    worker = (*LAUNCH, WORKER_MODULES, str(gate), "tests.faults.rigs.crash_points", "worker")
    yield Program("worker", worker, env, cwd=place, stop_s_max=4.0)
    for number in range(beats):
        beat = (*LAUNCH, BEAT_MODULES, str(gate), "workers.celery_process", "beat")
        yield Program(f"beat{number}", beat, env, cwd=place)
