"""Redeems per second without workers, and the baselines that they are compared with."""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from benchmarks.baselines import eventsourcing_library
from benchmarks.harness.load_generators import BenchmarkError, LoadGenerator, RedeemClient, has_tool, pgbench
from benchmarks.harness.plan import BenchmarkPlan
from benchmarks.harness.stack import BenchmarkStack, find_free_port, serve_app
from benchmarks.harness.verified_load import CONNECTIONS, VerifiedLoad

Numbers = dict[str, float]
MICROSECONDS = 1_000_000
SETTLE_S = 1.0
"""Pause after the workers were suspended, until connections and disks are idle."""


def measure_baselines(stack: BenchmarkStack, loader: LoadGenerator, plan: BenchmarkPlan) -> Numbers:
    """Measure the counters of the plan, a bare UPDATE and INSERT, and the unmodified library."""
    numbers: Numbers = {}
    for name in plan.baselines:
        numbers |= _measure_app(stack, loader, name, plan.seconds)
    if not plan.bare:
        return numbers
    url, folder = stack.database_url, stack.folder
    if has_tool("pgbench"):
        seconds = round(plan.seconds)
        numbers["hot_update_tps"] = pgbench(url, folder, "UPDATE bench_counter SET n = n + 1", seconds=seconds)
        numbers["insert_tps"] = pgbench(url, folder, "INSERT INTO bench_rows (n) VALUES (1)", seconds=seconds)
    numbers["stock_library_rps"] = eventsourcing_library.measure_redeems_per_second(url, plan.seconds)
    return numbers


def measure_empty_endpoint(stack: BenchmarkStack, loader: LoadGenerator, seconds: float) -> Numbers:
    """Measure rate and CPU time of an empty FastAPI endpoint.

    What is compared with it calls this immediately before: a machine changes its speed within minutes.
    """
    return _measure_app(stack, loader, "empty", seconds)


def _measure_app(stack: BenchmarkStack, loader: LoadGenerator, name: str, seconds: float) -> Numbers:
    env = {**stack.env, "DATABASE_URL": stack.database_url, "REDIS_URL": stack.info["redis_url"]}
    with serve_app(f"benchmarks.baselines.http_counters:{name}", find_free_port(), env, factory=True) as app:
        with closing(RedeemClient(app.base)) as client:  # creates what an app creates at its first request
            client.redeem("HOT", "first@example.com")
        cpu_before = sum(app.process.cpu_times()[:2])
        load = loader.start(app.base, ["HOT"], seconds=seconds, connections=CONNECTIONS).read()
        cpu_s = sum(app.process.cpu_times()[:2]) - cpu_before
    if load.refused or not load.answers:
        raise BenchmarkError(f"the baseline {name} gave {load.answers} answers, {load.refused} of them errors")
    return {f"{name}_rps": load.rps, f"{name}_cpu_us": cpu_s / load.answers * MICROSECONDS}


@contextmanager
def pause_workers_and_settle(stack: BenchmarkStack) -> Iterator[None]:
    """Suspend the workers, and wait for SETTLE_S."""
    with stack.pause_workers():
        time.sleep(SETTLE_S)
        yield


def measure_hot_code(stack: BenchmarkStack, loader: LoadGenerator, plan: BenchmarkPlan, code: str) -> Numbers:
    """Measure an empty endpoint, then one hot code with several numbers of connections and of API processes."""
    counted, numbers = VerifiedLoad(stack, loader), Numbers()
    with pause_workers_and_settle(stack):
        numbers |= measure_empty_endpoint(stack, loader, plan.seconds)
        for count in plan.apis:
            with stack.run_apis(count) as bases:
                load = counted.run([code], seconds=plan.seconds, bases=bases)
            numbers["hot_rps" if count == 1 else f"hot{count}_rps"] = load.rps
            if count == 1:
                numbers["hot_p50_ms"] = load.p50_ms
                numbers["redeem_cpu_us"] = sum(load.cpu_s.values()) / load.answers * MICROSECONDS
                numbers["api_cpu_us_per_redeem"] = load.cpu_s["api"] / load.answers * MICROSECONDS
                numbers["pg_cpu_us_per_redeem"] = load.cpu_s["postgres"] / load.answers * MICROSECONDS
        for connections in plan.connections:
            load = counted.run([code], seconds=plan.seconds, connections=connections)
            numbers[f"hot_{connections}_connections_rps"] = load.rps
    return numbers


def measure_other_loads(
    stack: BenchmarkStack, loader: LoadGenerator, plan: BenchmarkPlan, codes: Sequence[str]
) -> Numbers:
    """Measure many codes, a code that is used up, and the same request repeated."""
    counted, full, again = VerifiedLoad(stack, loader), stack.issue(1), stack.issue()
    with pause_workers_and_settle(stack):
        with closing(RedeemClient(stack.base)) as client:
            client.redeem(full, "first@example.com")
        return {
            "spread_rps": counted.run(codes, seconds=plan.seconds).rps,
            "refusals_rps": counted.run_refused(full, seconds=plan.seconds).rps,
            "repeats_rps": counted.run_repeated(again, seconds=plan.seconds).rps,
        }


def measure_latencies(
    stack: BenchmarkStack, codes: Mapping[str, str], pairs: int, *, expect_refusal: bool = False
) -> Numbers:
    """Measure the median milliseconds of one redeem at a time, on the codes in turn."""
    took: dict[str, list[float]] = {name: [] for name in codes}
    with closing(RedeemClient(stack.base)) as client:
        for _ in range(pairs):
            for name, code in codes.items():
                email = f"turn{time.monotonic_ns()}@example.com"
                began = time.perf_counter()
                client.redeem(code, email, expect_refusal=expect_refusal)
                took[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(times) for name, times in took.items()}
