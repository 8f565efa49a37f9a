"""A run: a cluster and two hosts of ours under load, one fault per round, and then the checker."""

import argparse
import json
import os
import random
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from api.cli.embedded.services.postgres import DATABASE, OWNER
from api.cli.embedded.tcp_ports import HOST
from tests.faults.chaos.checker import violations
from tests.faults.chaos.load import RedeemLoad
from tests.faults.failover.api_observations import ApiReader, observe_by_api
from tests.faults.failover.cluster import PatroniCluster
from tests.faults.failover.cluster_faults import CLUSTER_FAULTS, ClusterFault, FaultScene, heal, start_missing
from tests.faults.failover.enclosure import (
    DISK,
    become_init,
    cover_disk,
    enclose,
    find_missing_packages,
    is_enclosed,
)
from tests.faults.failover.feed_order import order_violations
from tests.faults.failover.front_servers import BROKER_URL, PRIMARY_PORT, STANDBY_PORT, FrontServers
from tests.faults.failover.lock_move import FORMER_INTERFACE, LOCK_MOVES
from tests.faults.failover.lost_commits import lose_commits
from tests.faults.failover.patroni_nodes import LOCK_INTERFACE, PASSWORD, POSTGRES_PORT
from tests.faults.failover.round_report import FailoverRound, table
from tests.faults.failover.run_watch import RunWatch, WatchedRun
from tests.faults.rigs.hosts import LedgerHosts
from tests.faults.rigs.retries import retry
from tests.support.servers.mail_server import MailServer
from tests.support.waiting import WAIT_S_MAX

ACKS: Final = 8
"""Acknowledgements of each load after a fault that end the wait for answers."""
STEADY_S: Final = 8.0
"""Seconds after members of etcd return in which Patroni may replace the synchronous standby: `loop_wait`, and the wait
for the new one. Until then no node may be promoted, so a second fault would end only undone."""
READ_LAG_S_MAX: Final = 5.0
"""Age in seconds of what a standby may answer: LEDGER_READ_LAG_S_MAX of the hosts."""
SPREAD_CODES: Final = 6
NODES: Final = 3


@dataclass(frozen=True, slots=True)
class FailoverPlan:
    """What to do.

    Attributes:
        rounds: How many faults; every kind once, in random order, before any repeats.
        kinds: The faults to choose from.
        route: How the ledger finds the primary: `proxy` for HAProxy, `hosts` for a URL that lists the nodes.
        per_second: Redeems that the clients of one backend try to make.
        host_count: Hosts of ours: each has a backend, a worker and a beat.
        moves_lock: Whether the cluster begins as a former release set it up, and the rounds move its lock.
        loses_commits: Whether no standby confirms commits, and each round is a failover that loses the last ones.
    """

    seed: int
    rounds: int
    kinds: tuple[ClusterFault, ...] = CLUSTER_FAULTS
    route: str = "proxy"
    per_second: float = 6.0
    host_count: int = 2
    asks_doctor: bool = True
    moves_lock: bool = False
    loses_commits: bool = False

    def sequence(self) -> list[ClusterFault]:
        """The faults, by the seed; a move of the lock has its own order."""
        if self.moves_lock:
            return list(LOCK_MOVES)
        choice = random.Random(self.seed)
        in_order: list[ClusterFault] = []
        while len(in_order) < self.rounds:
            in_order += choice.sample(self.kinds, len(self.kinds))
        return in_order[: self.rounds]


@dataclass(slots=True)
class FailoverReport:
    plan: FailoverPlan
    rounds: list[FailoverRound] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        yield f"seed {self.plan.seed}, route {self.plan.route}, Patroni ttl 20 s"
        yield from table(self.rounds)
        yield ", ".join(f"{count} {name}" for name, count in self.counts.items())
        yield f"{len(self.broken)} guarantees broken"
        yield from (f"  {violation}" for violation in self.broken[:20])


class FailoverRun:
    """Everything that runs, in the order in which it was started."""

    def __init__(self, plan: FailoverPlan, logs: Path, say: Callable[[str], None]) -> None:
        self._plan, self._logs, self._say = plan, logs, say
        self._report = FailoverReport(plan)
        self._choice = random.Random(plan.seed + 1)
        self._cluster = PatroniCluster(NODES, logs, FORMER_INTERFACE if plan.moves_lock else LOCK_INTERFACE)
        self._front = FrontServers(DISK / "front", logs, [node.machine.address for node in self._cluster.nodes])
        self._backends = [f"backend-{number + 1}" for number in range(plan.host_count)]
        self._loads: list[RedeemLoad] = []
        self._timeline = 0
        self._whole_since: float | None = None
        self._code_ids: list[str] = []

    def run(self) -> FailoverReport:
        self._cluster.start()
        self._say("cluster runs")
        self._front.start()
        with MailServer() as mail, self._hosts(mail) as hosts:
            readers = self._readers(hosts)
            if self._plan.loses_commits:
                self._lose_commits(list(readers.values()))
                return self._report
            self._start_loads(hosts, readers)
            watched = WatchedRun(self._cluster, hosts, readers, self._last_ack, DISK)
            watch = RunWatch(watched, asks_doctor=self._plan.asks_doctor)
            for fault in self._plan.sequence():
                self._strike(fault, watch)
            for load in self._loads:
                load.stop()
            self._check(readers[self._backends[0]], watch, mail)
        return self._report

    def _lose_commits(self, readers: Sequence[ApiReader]) -> None:
        self._cluster.stop_confirming()
        for number in range(self._plan.rounds):
            primary = self._cluster.leader()
            assert primary is not None, self._cluster.words()
            lost_round = lose_commits(self._cluster, readers)
            self._say(f"failover {number + 1}: {lost_round.lost} reservations lost, {len(lost_round.broken)} broken")
            self._report.broken += lost_round.broken
            self._report.counts["reservations lost"] = self._report.counts.get("reservations lost", 0) + lost_round.lost
            scene = FaultScene(self._cluster, self._front, primary, self._choice)
            heal(scene)
            if not retry(partial(self._is_whole, scene, STEADY_S)):
                self._report.broken.append(f"the cluster was not whole again\n{self._cluster.words()}")

    @contextmanager
    def _hosts(self, mail: MailServer) -> Iterator[LedgerHosts]:
        with LedgerHosts(DISK / "hosts", self._database_url(), BROKER_URL, mail.url) as hosts:
            hosts.env["LEDGER_READ_DATABASE_URL"] = f"{_owner_at(f'{HOST}:{STANDBY_PORT}')}?connect_timeout=2"
            hosts.env["LEDGER_READ_LAG_S_MAX"] = str(READ_LAG_S_MAX)
            workers = (f"worker-{number + 1}" for number in range(self._plan.host_count))
            beats = (f"beat-{number + 1}" for number in range(self._plan.host_count))
            hosts.start(*self._backends, *workers, *beats)
            hosts.wait_ready(*self._backends)
            self._say("ledger runs")
            yield hosts

    def _database_url(self) -> str:
        if self._plan.route == "proxy":
            return f"{_owner_at(f'{HOST}:{PRIMARY_PORT}')}?connect_timeout=2"
        places = ",".join(f"{node.machine.address}:{POSTGRES_PORT}" for node in self._cluster.nodes)
        return f"{_owner_at(places)}?target_session_attrs=read-write&connect_timeout=2"

    def _readers(self, hosts: LedgerHosts) -> dict[str, ApiReader]:
        key = json.loads(hosts.cli("key", "create", "checker", "--role", "admin", "--json"))["key"]
        return {name: ApiReader(hosts.base(name), key) for name in self._backends}

    def _start_loads(self, hosts: LedgerHosts, readers: dict[str, ApiReader]) -> None:
        issued = [readers[self._backends[0]].issue(None) for _ in range(SPREAD_CODES)]
        texts, self._code_ids = [text for text, _ in issued], [code_id for _, code_id in issued]
        self._loads = [
            RedeemLoad(hosts.base(name), texts, self._plan.seed * 2 + number, self._plan.per_second, f"{name}-")
            for number, name in enumerate(self._backends)
        ]
        assert retry(lambda: self._has_answers(0.0)), hosts.words()

    def _strike(self, fault: ClusterFault, watch: RunWatch) -> None:
        primary = self._cluster.leader()
        assert primary is not None, self._cluster.words()
        scene = FaultScene(self._cluster, self._front, primary, self._choice)
        one_round = FailoverRound(fault.name, time.monotonic())
        self._report.rounds.append(one_round)
        self._say(f"{fault.name}, {primary.machine.name} leads")
        fault.inject(scene)
        ends = one_round.began + fault.held_s

        def is_over() -> bool:
            leader = self._cluster.leader()
            is_led = leader is not None and (leader is not primary or not fault.is_deposing)
            return is_led and time.monotonic() >= ends and self._has_answers(max(ends, one_round.began + 1.0))

        one_round.answered_before_healing = retry(is_over, s_max=WAIT_S_MAX + fault.held_s)
        heal(scene)
        self._whole_since = None
        if not (one_round.answered_before_healing or fault.is_outlasting):
            self._report.broken.append(f"{fault.name}: no answers until it was undone")
        if not retry(lambda: self._is_whole(scene, STEADY_S if fault.is_cutting else 0.0)):
            self._report.broken.append(f"{fault.name}: the cluster was not whole again\n{self._cluster.words()}")
        whole_at = time.monotonic()
        if (timeline := self._cluster.timeline()) < self._timeline:
            lost = f"timeline {timeline} after timeline {self._timeline}: the commits between them are lost"
            self._report.broken.append(f"{fault.name}: a former primary leads again, {lost}")
        self._timeline = timeline
        if not retry(lambda: self._has_answers(whole_at)):
            self._report.broken.append(f"{fault.name}: no answers from the whole cluster")
        one_round.ended = time.monotonic()
        one_round.acked = [[ack.at for ack in load.acks] for load in self._loads]
        one_round.is_other_primary = self._cluster.leader() is not primary
        one_round.readiness = [answer for answer in watch.readiness if answer.at >= one_round.began]
        one_round.doctor = [answer for answer in watch.doctor if answer.at >= one_round.began]
        self._say(one_round.line())

    def _is_whole(self, scene: FaultScene, for_s: float) -> bool:
        """Whether every server runs again, for so long; a service manager restarts those that died."""
        start_missing(scene)
        now = time.monotonic()
        if not (self._cluster.is_whole() and self._front.is_whole()):
            self._whole_since = None
        elif self._whole_since is None:
            self._whole_since = now
        return self._whole_since is not None and now - self._whole_since >= for_s

    def _has_answers(self, since: float) -> bool:
        """Whether each load has some acknowledgements since a time."""
        return all(len(load.acks) >= ACKS and load.acks[-ACKS].at >= since for load in self._loads)

    def _last_ack(self) -> float:
        return min(load.acks[-1].at for load in self._loads)

    def _check(self, reader: ApiReader, watch: RunWatch, mail: MailServer) -> None:
        broken = self._report.broken
        is_answering = retry(reader.is_answering)
        if is_answering:
            retry(reader.is_settled)
        watch.stop()
        if not is_answering:
            broken.append(f"no final checks: no answers for {WAIT_S_MAX:.0f} s after the run\n{self._cluster.words()}")
            return
        # What a standby answers is at most this old, so it has everything afterwards.
        time.sleep(READ_LAG_S_MAX)
        seen, final = observe_by_api(reader, self._code_ids, self._loads, mail)
        broken += violations(seen)
        broken += order_violations(final, {"feed": watch.feed, "standby": watch.standby})
        broken += watch.claims
        copies = self._cluster.copied_nodes() - (NODES - 1)
        if copies:
            broken.append(f"{copies} nodes rejoined as a whole copy instead of by pg_rewind")
        self._report.counts = {
            "redeems acknowledged": len(seen.acks),
            "intents without an answer": sum(load.gave_up for load in self._loads),
            "events": len(final),
            "of them read from standbys during the run": len(watch.standby),
            "emails": len(seen.message_ids),
            "rejoined by pg_rewind": self._cluster.rewound_nodes(),
        }


def _owner_at(places: str) -> str:
    return f"postgresql://{OWNER}:{PASSWORD}@{places}/{DATABASE}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.failover", description="Failover on real processes.")
    parser.add_argument("--seed", type=int, default=None, help="random if it is not given; printed in any case")
    parser.add_argument("--rounds", type=int, default=len(CLUSTER_FAULTS))
    parser.add_argument("--route", choices=("proxy", "hosts"), default="proxy")
    parser.add_argument("--only", action="append", choices=[fault.name for fault in CLUSTER_FAULTS])
    parser.add_argument("--slice", action="store_true", help="one host, and no doctor in gaps")
    parser.add_argument("--move-lock", action="store_true", help="move the lock of a former release, there and back")
    parser.add_argument("--lose-commits", action="store_true", help="without synchronous commit: lose the last ones")
    parser.add_argument("--logs", type=Path, default=None, help="new folder that keeps the logs of all servers")
    options = parser.parse_args(arguments)
    if options.logs is not None and options.logs.exists() and not is_enclosed():
        # The checker reads the logs: those of another run would count.
        parser.error(f"{options.logs} exists: name a folder that does not")
    if not is_enclosed():
        return _enter(sys.argv[1:] if arguments is None else arguments)
    become_init()
    cover_disk()
    started = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - started:7.1f} s  {line}\n")
        sys.stdout.flush()

    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    kinds = tuple(fault for fault in CLUSTER_FAULTS if options.only is None or fault.name in options.only)
    # The slice of `make test` leaves out what costs CPU time.
    host_count = 1 if options.slice else 2
    plan = FailoverPlan(
        seed,
        options.rounds,
        kinds,
        options.route,
        host_count=host_count,
        asks_doctor=not options.slice,
        moves_lock=options.move_lock,
        loses_commits=options.lose_commits,
    )
    say(f"SEED={seed} ROUNDS={options.rounds}")
    logs = options.logs or DISK / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    report = FailoverRun(plan, logs, say).run()
    sys.stdout.write("\n".join(report.lines()) + "\n")
    return 1 if report.broken else 0


def _enter(arguments: Sequence[str]) -> int:
    if os.geteuid() != 0:
        sys.stderr.write("the cluster needs network namespaces: run this as root\n")
        return 2
    if missing := find_missing_packages():
        sys.stderr.write(f"programs are missing: install {' '.join(missing)} python3-etcd python3-dnspython\n")
        return 2
    enclose(arguments)
    return 2
