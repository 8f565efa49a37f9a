"""The processes of an embedded stack: which they are, whether they have work in flight, and how they are hurt."""

import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Any, Protocol

import psutil
import psycopg
from redis import Redis, RedisError

from tests.faults.rigs.retries import RUNS_ON, pause, retry
from tests.support.servers.embedded_stack import Stack
from tests.support.servers.stepped_clock import SteppedClock

LEASED = "SELECT count(*) FROM reservations WHERE lease_until > now()"
DUE = "SELECT count(*) FROM reservations WHERE due_at IS NOT NULL"
LEASING = """
    SELECT DISTINCT event_fields(e.state) ->> 'actor_id' FROM reservations r
    JOIN ledger_events e ON e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
    WHERE r.lease_until > now() AND e.topic LIKE 'InviteAttempted:%'
"""
AHEAD = {"an hour ahead": timedelta(hours=1), "two days ahead, beat killed": timedelta(days=2)}
"""Steps of the database's clock, by name of the fault; then it is right again."""
AHEAD_S = (3.0, 14.0)
"""How long the clock is ahead: processes ask for the time every 10 s."""
STOPPED_S = (0.3, 2.5)
STOP_S_MAX = 10.0
"""What does not stop in time is killed, as service managers do. PostgreSQL 18.6 never ended after a fast shutdown that
came while it recovered from a killed backend (seen 2026-11-30)."""
STOPPED_BEYOND_LEASE = 0.25
"""Share of stopped senders that stay so for longer than a lease."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A part, what is done to it, and the signal that does it, if it is one."""

    victim: str
    kind: str
    number: signal.Signals | None


FAULTS = (
    FaultKind("api", "killed", signal.SIGKILL),
    FaultKind("api", "stopped", signal.SIGSTOP),
    FaultKind("api", "restarted", signal.SIGTERM),
    FaultKind("worker", "killed", signal.SIGKILL),
    FaultKind("worker", "stopped", signal.SIGSTOP),
    FaultKind("worker", "restarted", signal.SIGTERM),
    FaultKind("child", "killed", signal.SIGKILL),
    FaultKind("child", "stopped", signal.SIGSTOP),
    FaultKind("beat", "killed", signal.SIGKILL),
    FaultKind("beat", "stopped", signal.SIGSTOP),
    FaultKind("beat", "restarted", signal.SIGTERM),
    FaultKind("valkey", "killed", signal.SIGKILL),
    FaultKind("valkey", "stopped", signal.SIGSTOP),
    FaultKind("valkey", "restarted", signal.SIGTERM),
    FaultKind("valkey", "flushed", None),
    FaultKind("postgres", "killed", signal.SIGKILL),
    FaultKind("postgres", "stopped", signal.SIGSTOP),
    FaultKind("postgres", "restarted at once", signal.SIGQUIT),
    FaultKind("postgres", "restarted", signal.SIGINT),
    FaultKind("backend", "killed", signal.SIGKILL),
    *(FaultKind("clock", kind, None) for kind in AHEAD),
)


class ClientLoad(Protocol):
    def in_flight(self) -> int:
        """How many of them wait for an answer."""


class FaultTargets:
    """Finds them and hurts them. Only descendants of the stack's own process are ever touched.

    Attributes:
        clock_ahead: From when to when the database's clock was ahead.
    """

    def __init__(
        self, stack: Stack, load: ClientLoad, clock: SteppedClock, lease_s: float, stop: Event = RUNS_ON
    ) -> None:
        self._stack = stack
        self._load = load
        self._lease_s, self._stop = lease_s, stop
        self._database_url = str(stack.info["database_url"])
        self._redis_url = str(stack.info["redis_url"])
        self._clock = clock
        self.clock_ahead: list[tuple[float, float]] = []

    def strike(self, fault: FaultKind, choice: random.Random, wait_s: float) -> bool:
        """Hurt a victim once it has work in flight, stopped ones for a while; False if none had any in time."""

        def strike_now() -> bool:
            with suppress(psutil.Error, psycopg.Error, RedisError, IndexError):
                processes = self._busy(fault.victim, choice)
                if processes:
                    self._inject(fault, processes, choice)
                    return True
            return False

        return retry(strike_now, stop=self._stop, every_s=0.02, s_max=wait_s)

    def resume_all(self) -> None:
        self._clock.set_ahead(timedelta())
        for process in self._family():
            with suppress(psutil.Error):
                if process.status() == psutil.STATUS_STOPPED:
                    process.resume()

    def _inject(self, fault: FaultKind, processes: Sequence[psutil.Process], choice: random.Random) -> None:
        if fault.victim == "clock":
            self._step_clock(AHEAD[fault.kind], processes, choice)
            return
        if fault.number is None:
            with Redis.from_url(self._redis_url, socket_timeout=1) as client:
                client.flushall()
            return
        if fault == FaultKind("postgres", "stopped", signal.SIGSTOP):
            # Its processes serve on without the postmaster, so all of them stop.
            processes = [*processes, *(child for parent in processes for child in parent.children(recursive=True))]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(fault.number)
        if fault.number == signal.SIGINT:
            _, remaining = psutil.wait_procs(processes, timeout=STOP_S_MAX)
            for process in remaining:
                process.kill()
        if fault.number == signal.SIGSTOP:
            is_sender = fault.victim in {"worker", "child"}
            outlasts_lease = is_sender and choice.random() < STOPPED_BEYOND_LEASE
            pause(choice, (self._lease_s + 1.5,) * 2 if outlasts_lease else STOPPED_S, self._stop)
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def _step_clock(self, ahead: timedelta, beats: Sequence[psutil.Process], choice: random.Random) -> None:
        """Step the clock ahead and back; a beat that is killed then leaves its lease in the future."""
        began = time.time()
        self._clock.set_ahead(ahead)
        try:
            pause(choice, AHEAD_S, self._stop)
            if ahead > timedelta(days=1):
                for beat in beats:
                    beat.kill()
        finally:
            self._clock.set_ahead(timedelta())
            self.clock_ahead.append((began, time.time()))

    def _busy(self, victim: str, choice: random.Random) -> list[psutil.Process]:
        match victim:
            case "api":
                return self._part("api.main:create_app") if self._load.in_flight() else []
            case "worker":
                parents = self._part("worker")
                return parents if parents and self._count(LEASED) else []
            case "child":
                return self._busy_children(choice)
            case "beat" | "clock":
                return self._part("beat") if self._count(DUE) else []
            case "valkey":
                return self._part("valkey-server") if self._queued() or self._load.in_flight() else []
            case "postgres":
                return self._postmaster() if self._load.in_flight() or self._count(LEASED) else []
            case "backend":
                working = self._ask(
                    "SELECT pid FROM pg_stat_activity WHERE state <> 'idle' AND backend_type = 'client backend'"
                    " AND pid <> pg_backend_pid()"
                )
                return [psutil.Process(choice.choice(working)[0])]
            case _:
                raise AssertionError(victim)

    def _busy_children(self, choice: random.Random) -> list[psutil.Process]:
        """One pool process that holds a lease: workers sign with host, process id and turn."""
        leasing = {str(name).rpartition(":")[2].partition("#")[0] for (name,) in self._ask(LEASING)}
        children = [child for parent in self._part("worker") for child in parent.children()]
        return [choice.choice([child for child in children if str(child.pid) in leasing])]

    def _postmaster(self) -> list[psutil.Process]:
        return [process for process in self._family() if process.cmdline()[1:2] == ["-D"]]

    def _part(self, word: str) -> list[psutil.Process]:
        return [
            process
            for process in psutil.Process(self._stack.process.pid).children()
            if word in {process.name(), *process.cmdline()}
        ]

    def _family(self) -> list[psutil.Process]:
        children: list[psutil.Process] = psutil.Process(self._stack.process.pid).children(recursive=True)
        return children

    def _queued(self) -> int:
        with Redis.from_url(self._redis_url, socket_timeout=1, socket_connect_timeout=1) as client:
            queued: Any = client.llen("ledger")
            unacknowledged: Any = client.hlen("unacked")
            return int(queued) + int(unacknowledged)

    def _count(self, query: str) -> int:
        return int(self._ask(query)[0][0])

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._database_url, connect_timeout=2, options="-c statement_timeout=2000") as conn:
            rows: list[tuple[Any, ...]] = list(conn.execute(query.encode()))
            return rows
