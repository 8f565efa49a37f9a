"""A relay to a real Kafka broker under load: relay, broker and database are killed, and no event may be missing.

Two processes relay, so that one stands by. The topic is read as the guide tells consumers to: in each partition, a
record counts if its position is greater than all before it.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

import psycopg

from domain.errors import Refusal
from projections.database.errors import StorageUnavailableError
from projections.database.migrations import migrate
from projections.storage.bootstrap import LedgerStore
from projections.work_queue.relays import list_relays
from tests.faults.rigs.restartable_servers import RestartableServer, restartable_postgres
from tests.faults.rigs.retries import pause
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import NO_STREAM, environment, settings_for
from tests.support.servers.kafka_broker import KafkaBroker, kafka_broker
from tests.support.waiting import WAIT_S_MAX, wait_for

Victim = Literal["relay", "broker", "database", "relay and broker"]
VICTIMS: Final[tuple[Victim, ...]] = get_args(Victim)
TOPIC: Final = "ledger"
PARTITIONS: Final = 3
RELAYS: Final = 2
PAUSE_S_MAX: Final = 0.2
"""Longest time in seconds between the first batch after a kill, when more are waiting, and the next kill."""
PACE_S: Final = 0.002


@dataclass
class Report:
    """What was seen: `missing` are positions of the log that a consumer did not get, `broken` is all else."""

    kills: Counter[str] = field(default_factory=Counter)
    positions: int = 0
    records: int = 0
    missing: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def lines(self) -> list[str]:
        kills = ", ".join(f"{count} {victim}" for victim, count in sorted(self.kills.items()))
        return [
            f"kills: {self.kills.total()} ({kills}) in {self.seconds:.0f} s",
            f"events in the log: {self.positions}",
            f"records in the topic: {self.records}, of which repeated: {self.records - self.positions}",
            f"missing: {len(self.missing)} {self.missing[:10]}",
            f"broken: {len(self.broken)} {self.broken[:10]}",
        ]


class RelayProcess:
    """A `ledger relay` that is started again whenever it has been killed."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path) -> None:
        self._command, self._env, self.log = command, env, log
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, env=self._env, stdout=log, stderr=log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S_MAX)

    def revive(self) -> None:
        """Start it again if it ended, as a supervisor does: it ends if the database is down while it starts."""
        if self.process.poll() is not None:
            self.start()


@dataclass
class Rig:
    bench: LedgerBench
    database: RestartableServer
    broker: KafkaBroker
    relays: list[RelayProcess]
    stopping: threading.Event = field(default_factory=threading.Event)

    def load(self) -> None:
        """Issue codes and redeem them, until told to stop; what a kill hits is left."""
        number = 0
        while not self.stopping.wait(PACE_S):
            number += 1
            with suppress(StorageUnavailableError, psycopg.Error, Refusal):
                code = self.bench.issue()
                result = done(self.bench.redeem(code, f"p{number}@example.com"))
                self.bench.attempt(result.require_reservation().reservation_id)

    def position(self) -> int:
        """Position of the relay; -1 while the database is down."""
        for relay in self.relays:
            relay.revive()
        try:
            return max((row.position for row in list_relays(self.bench.storage)), default=0)
        except (StorageUnavailableError, psycopg.Error):
            return -1

    def kill(self, victim: Victim) -> None:
        """Kill it, and start it again; of relays, the one that relays."""
        if "relay" in victim:
            self._holder().kill()
        if "broker" in victim:
            self.broker.kill()
            self.broker.start()
        if victim == "database":
            # Its processes end at once, without writing anything; a new server does not start while old ones are left.
            self.database.restart(signal.SIGQUIT)

    def wait_for_progress(self) -> None:
        wait_for(lambda: self.position() >= 0, self.explain)
        before = self.position()
        wait_for(lambda: self.position() > before, self.explain)

    def explain(self) -> str:
        return "\n".join(relay.log.read_text(errors="replace")[-1500:] for relay in self.relays)

    def _holder(self) -> RelayProcess:
        (row,) = list_relays(self.bench.storage)
        pids = {f"{relay.process.pid}": relay for relay in self.relays}
        return pids.get((row.holder or "").rpartition(":")[2], self.relays[0])


def run(kills: int, seed: int, folder: Path) -> Report:
    chance, report, begun = random.Random(seed), Report(), time.monotonic()
    with _rig(folder) as rig:
        thread = threading.Thread(target=rig.load)
        thread.start()
        try:
            for number in range(kills):
                rig.wait_for_progress()
                pause(chance, (0, PAUSE_S_MAX), rig.stopping)
                # Each victim once, in an order by chance, before any is killed again.
                if number % len(VICTIMS) == 0:
                    order = chance.sample(VICTIMS, len(VICTIMS))
                rig.kill(victim := order[number % len(VICTIMS)])
                report.kills[victim] += 1
            rig.wait_for_progress()
        finally:
            rig.stopping.set()
            thread.join()
        log = [position for (position,) in rig.bench.rows("SELECT notification_id FROM ledger_events ORDER BY 1")]
        keys = dict(rig.bench.rows("SELECT notification_id, originator_id::text FROM ledger_events"))
        wait_for(lambda: rig.position() == log[-1], rig.explain)
        compare(report, log, keys, rig.broker.read_topic(TOPIC, PARTITIONS))
    report.seconds = time.monotonic() - begun
    return report


def compare(report: Report, log: list[int], keys: dict[int, str], topic: list[list[Any]]) -> None:
    """Read the topic as a consumer does, and compare what it got with the log."""
    got: dict[int, str] = {}
    for partition in topic:
        newest = 0
        for record in partition:
            headers = {name: value.decode() for name, value in record.headers()}
            position = int(headers["ce_id"])
            if position > newest:
                newest = position
                got[position] = record.key().decode()
            elif position not in got:
                report.broken.append(f"{position} came after {newest}")
    report.positions, report.records = len(log), sum(map(len, topic))
    report.missing = [position for position in log if position not in got]
    report.broken += [f"{position} has the key {key}" for position, key in got.items() if keys.get(position) != key]


@contextmanager
def _rig(folder: Path) -> Iterator[Rig]:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    with restartable_postgres(folder / "postgres") as database, kafka_broker(folder / "kafka") as broker:
        migrate(database.url)
        broker.create_topic(TOPIC, PARTITIONS)
        settings = settings_for(database.url)
        env = {**os.environ, **environment(settings, folder, NO_STREAM)}
        command = [str(Path(sys.executable).with_name("ledger")), "relay", "--to", f"kafka://{broker.address}/{TOPIC}"]
        with LedgerStore.open(settings) as storage:
            relays = [RelayProcess(command, env, folder / f"relay{number}.log") for number in range(RELAYS)]
            try:
                yield Rig(LedgerBench(storage, database.url), database, broker, relays)
            finally:
                for relay in relays:
                    relay.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--kills", type=int, default=50)
    options = parser.parse_args()
    sys.stdout.write(f"SEED={options.seed}\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="ledger-relay-") as folder:
        report = run(options.kills, options.seed, Path(folder) / "rig")
    sys.stdout.write("\n".join(report.lines()) + "\n")
    return int(bool(report.missing or report.broken))
