"""How latency depends on existing data: uses of a code, its pending reservations, events in the log."""

import statistics
from collections.abc import Callable, Sequence

from benchmarks.harness.bulk_history import load_history
from benchmarks.harness.load_generators import LoadGenerator
from benchmarks.harness.plan import BenchmarkPlan
from benchmarks.harness.stack import BenchmarkCode, BenchmarkStack
from benchmarks.harness.verified_load import VerifiedLoad
from benchmarks.scenarios.redeem_throughput import Numbers, measure_latencies, pause_workers_and_settle

EVENTS_PER_REDEMPTION = 3
FILLER_CODES = 100
COLD_PROGRAM = "benchmarks.scenarios.first_redeem_latency"


def measure_history_length(
    stack: BenchmarkStack, loader: LoadGenerator, plan: BenchmarkPlan, say: Callable[[str], object]
) -> Numbers:
    """Measure growing logs, codes with long histories and codes with many pending reservations, without workers."""
    numbers = Numbers()
    with pause_workers_and_settle(stack):
        numbers |= _measure_histories(stack, plan)
        for events in plan.logs:
            say(f"a log of {events:,} events")
            numbers |= _measure_log(stack, loader, plan, events)
        say("codes with many live reservations")
        numbers |= _measure_live_reservations(stack, plan)
    return numbers


def _measure_histories(stack: BenchmarkStack, plan: BenchmarkPlan) -> Numbers:
    """Measure redeems through the API (warm), and the first redeem of a new process (cold)."""
    codes = stack.issue_many(len(plan.histories))
    load_history(stack.database_url, [(code.code_id, uses) for code, uses in zip(codes, plan.histories, strict=True)])
    warm = measure_latencies(stack, _name_by_count(codes, plan.histories), plan.pairs)
    numbers = {f"history_{uses}_ms": warm[str(uses)] for uses in plan.histories}
    lines = stack.run_module(COLD_PROGRAM, stack.issue(), *(code.text for code in codes)).splitlines()
    for uses, latencies in zip(plan.histories, lines, strict=True):
        numbers[f"history_{uses}_cold_ms"] = statistics.median(map(float, latencies.split()))
    big, small = max(plan.histories), min(plan.histories)
    return numbers | {
        "big_over_small": numbers[f"history_{big}_ms"] / numbers[f"history_{small}_ms"],
        "cold_load_ms": numbers[f"history_{big}_cold_ms"],
    }


def _measure_log(stack: BenchmarkStack, loader: LoadGenerator, plan: BenchmarkPlan, events: int) -> Numbers:
    """Measure a new hot code in a log of this number of events."""
    missing = events - int(stack.query_rows("SELECT count(*) FROM ledger_events")[0][0])
    if missing > 0:
        each = max(1, missing // EVENTS_PER_REDEMPTION // FILLER_CODES)
        load_history(stack.database_url, [(code.code_id, each) for code in stack.issue_many(FILLER_CODES)])
    load = VerifiedLoad(stack, loader).run([stack.issue()], seconds=plan.seconds)
    return {f"log_{events}_rps": load.rps}


def _measure_live_reservations(stack: BenchmarkStack, plan: BenchmarkPlan) -> Numbers:
    """Measure redeems of codes with free uses, and refused ones of full codes, which look for overdue reservations."""
    unfilled = stack.issue_many(len(plan.lives))
    full = [stack.issue_many(1, max_uses=count)[0] for count in plan.lives]
    counts = [*zip(unfilled, plan.lives, strict=True), *zip(full, plan.lives, strict=True)]
    load_history(stack.database_url, [(code.code_id, count) for code, count in counts], live=True)
    redeems = measure_latencies(stack, _name_by_count(unfilled, plan.lives), plan.pairs)
    refusals = measure_latencies(stack, _name_by_count(full, plan.lives), plan.pairs, expect_refusal=True)
    numbers = {f"live_{count}_ms": redeems[str(count)] for count in plan.lives}
    numbers |= {f"held_{count}_ms": refusals[str(count)] for count in plan.lives}
    most, fewest = max(plan.lives), min(plan.lives)
    return numbers | {
        "many_live_over_few": numbers[f"live_{most}_ms"] / numbers[f"live_{fewest}_ms"],
        "many_held_over_few": numbers[f"held_{most}_ms"] / numbers[f"held_{fewest}_ms"],
    }


def _name_by_count(codes: Sequence[BenchmarkCode], counts: Sequence[int]) -> dict[str, str]:
    return {str(count): code.text for code, count in zip(codes, counts, strict=True)}
