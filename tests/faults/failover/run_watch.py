"""What is seen while faults happen: readiness, doctor, the feed, a standby's log, and how many nodes claim to lead."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import psycopg

from api.cli.embedded.services.postgres import DATABASE, OWNER
from api.cli.embedded.tcp_ports import HOST
from tests.faults.failover.api_observations import ApiReader, FeedEntry, entry_of
from tests.faults.failover.cluster import PatroniCluster
from tests.faults.failover.front_servers import STANDBY_PORT
from tests.faults.failover.patroni_nodes import PASSWORD
from tests.faults.rigs.hosts import LedgerHosts
from tests.support.servers.embedded_stack import PROGRAM
from tests.support.waiting import WAIT_S_MAX

READY_EVERY_S: Final = 0.5
FEED_EVERY_S: Final = 1.0
STANDBY_EVERY_S: Final = 2.0
DOCTOR_AFTER_S: Final = 4.0
"""Seconds without an answer after which doctor is asked, once per gap."""
STANDBY_FEED: Final = (
    "SELECT notification_id, originator_id::text, originator_version, split_part(topic, ':', 1)"
    " FROM ledger_events WHERE notification_id > %s ORDER BY notification_id"
)


class Readiness(NamedTuple):
    """One answer of `/readyz`; status 0 if none came."""

    at: float
    backend: str
    status: int


class DoctorAnswer(NamedTuple):
    at: float
    exit_code: int
    errors: str


@dataclass(frozen=True, slots=True)
class WatchedRun:
    """Where a run is watched; `last_ack` is the time of the oldest of the loads' newest acknowledgements."""

    cluster: PatroniCluster
    hosts: LedgerHosts
    readers: dict[str, ApiReader]
    last_ack: Callable[[], float]
    folder: Path


class RunWatch:
    """Threads that observe until they are stopped.

    Attributes:
        readiness: Every answer of `/readyz`, in order.
        doctor: Every run of doctor, in order.
        feed: The feed as a reader sees it that continues from its last position.
        standby: The same, read from the standbys.
        claims: Samples in which more than one node claimed to lead, twice in a row.
    """

    def __init__(self, watched: WatchedRun, *, asks_doctor: bool) -> None:
        self.readiness: list[Readiness] = []
        self.doctor: list[DoctorAnswer] = []
        self.feed: list[FeedEntry] = []
        self.standby: list[FeedEntry] = []
        self.claims: list[str] = []
        self._watched = watched
        self._stopping = threading.Event()
        self._doctor_gap = 0.0
        self._claimed: Sequence[str] = ()
        actions: list[tuple[Callable[[], None], float]] = [
            (self._ask_readiness, READY_EVERY_S),
            (self._follow_feed, FEED_EVERY_S),
            (self._follow_standby, STANDBY_EVERY_S),
            (self._count_primaries, READY_EVERY_S),
        ]
        if asks_doctor:
            actions.append((self._ask_doctor, READY_EVERY_S))
        self._threads = [threading.Thread(target=self._repeat, args=action, daemon=True) for action in actions]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(WAIT_S_MAX)

    def _repeat(self, action: Callable[[], None], every_s: float) -> None:
        while not self._stopping.wait(every_s):
            action()

    def _ask_readiness(self) -> None:
        for backend, reader in self._watched.readers.items():
            status, _ = reader.call("GET", "/readyz", s_max=5.0)
            self.readiness.append(Readiness(time.monotonic(), backend, status))

    def _follow_feed(self) -> None:
        after = self.feed[-1].position if self.feed else 0
        for reader in self._watched.readers.values():
            with suppress(AssertionError):
                self.feed += [entry_of(event) for event in reader.feed(after)]
                return

    def _follow_standby(self) -> None:
        after = self.standby[-1].position if self.standby else 0
        url = f"postgresql://{OWNER}:{PASSWORD}@{HOST}:{STANDBY_PORT}/{DATABASE}"
        with suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2) as conn:
            self.standby += [FeedEntry(*row) for row in conn.execute(STANDBY_FEED, (after,))]

    def _count_primaries(self) -> None:
        names = self._watched.cluster.primaries()
        if len(names) > 1 and names == self._claimed:
            self.claims.append(f"nodes that claimed to lead at the same time: {', '.join(names)}")
        self._claimed = names

    def _ask_doctor(self) -> None:
        last_ack = self._watched.last_ack()
        if last_ack == self._doctor_gap or time.monotonic() - last_ack < DOCTOR_AFTER_S:
            return
        self._doctor_gap, asked_at = last_ack, time.monotonic()
        try:
            done = subprocess.run(
                [*PROGRAM, "doctor", "--json"],
                env=self._watched.hosts.env,
                cwd=self._watched.folder,
                capture_output=True,
                text=True,
                timeout=WAIT_S_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self.doctor.append(DoctorAnswer(asked_at, -1, f"no answer within {WAIT_S_MAX:.0f} s"))
            return
        self.doctor.append(DoctorAnswer(asked_at, done.returncode, _errors(done.stdout)))


def _errors(document: str) -> str:
    with suppress(ValueError, KeyError, TypeError):
        checks = json.loads(document)["checks"]
        return ", ".join(str(check["name"]) for check in checks if check["status"] == "wrong")
    return document.strip()[-200:]
