"""Redeems per second with the workers stopped, and what they are measured against."""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from benchmarks.baselines import eventsourcing_library
from benchmarks.harness.load_generators import BenchmarkError, Client, Loader, has_tool, pgbench
from benchmarks.harness.plan import Plan
from benchmarks.harness.stack import Machine, free_port, served
from benchmarks.harness.verified_load import CONNECTIONS, Counted

Numbers = dict[str, float]
SETTLE_S = 1.0
"""After the workers were stopped: what they held is over, and the machine is quiet."""


def bare(machine: Machine, loader: Loader, plan: Plan) -> Numbers:
    """The yardsticks: an empty endpoint, three counters, a bare UPDATE and INSERT, the library as it comes."""
    env = {**machine.env, "DATABASE_URL": machine.database_url, "REDIS_URL": machine.info["redis_url"]}
    numbers: Numbers = {}
    for name in plan.yardsticks:
        with served(f"benchmarks.baselines.http_counters:{name}", free_port(), env, factory=True) as base:
            with closing(Client(base)) as client:  # what is made at the first request is made by now
                client.redeem("HOT", "first@example.com")
            load = loader.start(base, ["HOT"], seconds=plan.seconds, connections=CONNECTIONS).read()
        if load.refused or not load.answers:
            raise BenchmarkError(f"the yardstick {name} gave {load.answers} answers, {load.refused} of them errors")
        numbers[f"{name}_rps"] = load.rps
    if not plan.bare:
        return numbers
    url, folder = machine.database_url, machine.folder
    if has_tool("pgbench"):
        seconds = round(plan.seconds)
        numbers["hot_update_tps"] = pgbench(url, folder, "UPDATE bench_counter SET n = n + 1", seconds=seconds)
        numbers["insert_tps"] = pgbench(url, folder, "INSERT INTO bench_rows (n) VALUES (1)", seconds=seconds)
    numbers["stock_library_rps"] = eventsourcing_library.redeems_per_second(url, plan.seconds)
    return numbers


@contextmanager
def quiet(machine: Machine) -> Iterator[None]:
    """The workers stopped, and a moment gone by."""
    with machine.workers_stopped():
        time.sleep(SETTLE_S)
        yield


def hot(machine: Machine, loader: Loader, plan: Plan, code: str) -> Numbers:
    """One hot code: 64 connections and others, one API process and several."""
    counted, numbers = Counted(machine, loader), Numbers()
    with quiet(machine):
        for count in plan.apis:
            with machine.apis(count) as bases:
                load = counted.run([code], seconds=plan.seconds, bases=bases)
            numbers["hot_rps" if count == 1 else f"hot{count}_rps"] = load.rps
            if count == 1:
                numbers["hot_p50_ms"] = load.p50_ms
        for connections in plan.connections:
            load = counted.run([code], seconds=plan.seconds, connections=connections)
            numbers[f"hot_{connections}_connections_rps"] = load.rps
    return numbers


def others(machine: Machine, loader: Loader, plan: Plan, codes: Sequence[str]) -> Numbers:
    """Many codes; one that is used up by reservations; the same request again and again."""
    counted, full, again = Counted(machine, loader), machine.issue(1), machine.issue()
    with quiet(machine):
        with closing(Client(machine.base)) as client:
            client.redeem(full, "first@example.com")
        return {
            "spread_rps": counted.run(codes, seconds=plan.seconds).rps,
            "refusals_rps": counted.refused(full, seconds=plan.seconds).rps,
            "repeats_rps": counted.repeated(again, seconds=plan.seconds).rps,
        }


def latencies(machine: Machine, codes: Mapping[str, str], pairs: int, *, refused: bool = False) -> Numbers:
    """Median milliseconds of one redeem at a time on codes by name, in turn."""
    took: dict[str, list[float]] = {name: [] for name in codes}
    with closing(Client(machine.base)) as client:
        for _ in range(pairs):
            for name, code in codes.items():
                email = f"turn{time.monotonic_ns()}@example.com"
                began = time.perf_counter()
                client.redeem(code, email, refused=refused)
                took[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(times) for name, times in took.items()}
