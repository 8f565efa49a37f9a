"""Run every scenario in interleaved rounds and print the numbers: `python -m benchmarks [--quick] [--docs DIR]`."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks.baselines import http_counters
from benchmarks.harness import docs_page, report
from benchmarks.harness.environment import collect_facts
from benchmarks.harness.load_generators import (
    BenchmarkError,
    LoadGenerator,
    WrkGenerator,
    describe_installation,
    find_tool,
    has_tool,
    require_disk_space,
    require_no_servers,
)
from benchmarks.harness.plan import FULL, QUICK, BenchmarkPlan
from benchmarks.harness.small_load import ThreadGenerator
from benchmarks.harness.stack import BenchmarkStack, run_stack
from benchmarks.scenarios import (
    batch_redeem,
    campaign_throughput,
    cpu_costs,
    merkle_overhead,
    page_latency,
    queue_drain,
    rebuild_throughput,
    redeem_throughput,
)
from benchmarks.scenarios.history_length import measure_history_length

DISK_GB = 15
"""Free disk space for the longest log, its indexes and the write-ahead log."""
NO_MAIL = {"LEDGER_SMTP_URL": "null://"}
Numbers = redeem_throughput.Numbers
Say = Callable[[str], object]


def main() -> int:
    """Measure everything.

    Returns:
        0, or 3 if a tool is missing or something could not be measured.
    """
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a slice of small sizes: shows that it runs, measures little"
    )
    parser.add_argument("--rounds", type=int, help="how often each load runs")
    parser.add_argument("--json", type=Path, help="where the numbers go as JSON")
    parser.add_argument("--docs", type=Path, help="a folder for the page, its chart and its JSON (docs if not --quick)")
    options = parser.parse_args()
    console = Console(stderr=True)
    plan = QUICK if options.quick else FULL
    if options.rounds:
        plan = plan._replace(rounds=options.rounds)
    rounds: list[Numbers] = []
    try:
        numbers, facts, notes = measure(plan, rounds, console.print, is_small=options.quick)
    except BenchmarkError as error:
        if rounds:
            report.print_table(report.summarize(rounds), Console())
            console.print("what was measured until then is above; no page is written from a part")
        console.print(f"[bold]not measured:[/bold] {error}")
        return 3
    report.print_table(numbers, Console())
    if options.json:
        options.json.write_text(json.dumps({**numbers, "facts": facts, "notes": notes}, indent=2) + "\n")
    if folder := options.docs or (None if options.quick else Path("docs/explanation")):
        docs_page.write_page(folder, numbers, facts, notes)
    return 0


def measure(
    plan: BenchmarkPlan, rounds: list[Numbers], say: Say, *, is_small: bool
) -> tuple[dict[str, float], docs_page.Facts, list[str]]:
    """Measure everything in the plan.

    Each round's numbers are added to `rounds` at once, so that they are not lost if a later part fails.

    Returns:
        The numbers by key, facts about the machine, and notes for readers.

    Raises:
        BenchmarkError: A tool is missing, the environment names servers, or a measurement failed.
    """
    require_no_servers()
    notes = []
    if not is_small:
        find_tool("wrk")
        require_disk_space(DISK_GB)
        if not has_tool("pgbench"):
            notes.append(f"pgbench is not installed ({describe_installation('pgbench')}): what it measures is missing")
    with run_stack(**({} if is_small else NO_MAIL)) as ledger:
        facts, loader = collect_facts(ledger), _load_generator(ledger, is_small=is_small)
        _measure_redeems(ledger, loader, plan, rounds, say)
        if is_small:
            _measure_sending(ledger, loader, plan, rounds[0], say)
            _measure_clicks_and_pages(ledger, loader, plan, rounds, say)
            rounds[0] |= measure_history_length(ledger, loader, plan, say)
    if not is_small:
        # Each in a new stack: the data of one measurement would slow down the next.
        with run_stack(**NO_MAIL) as ledger:
            _measure_sending(ledger, _load_generator(ledger, is_small=is_small), plan, rounds[0], say)
        with run_stack() as ledger:
            _measure_clicks_and_pages(ledger, _load_generator(ledger, is_small=is_small), plan, rounds, say)
        with run_stack(**NO_MAIL) as ledger:
            rounds[0] |= _measure_proof_and_rebuild(ledger, WrkGenerator(ledger.folder), plan, say)
        with run_stack(**NO_MAIL) as ledger:
            rounds[0] |= measure_history_length(ledger, _load_generator(ledger, is_small=is_small), plan, say)
    return report.summarize(rounds), facts, notes


def _load_generator(ledger: BenchmarkStack, *, is_small: bool) -> LoadGenerator:
    return ThreadGenerator() if is_small else WrkGenerator(ledger.folder)


def _measure_redeems(
    ledger: BenchmarkStack, loader: LoadGenerator, plan: BenchmarkPlan, rounds: list[Numbers], say: Say
) -> None:
    """Measure the baselines before the first redeem: its data and processes must not slow them down."""
    ledger.query_rows(http_counters.TABLES)
    for number in range(plan.rounds):
        say(f"baselines, round {number + 1}")
        rounds.append(redeem_throughput.measure_baselines(ledger, loader, plan))
    ledger.query_rows(http_counters.DROP)
    code, codes = ledger.issue(), [issued.text for issued in ledger.issue_many(plan.spread_codes)]
    codes_of_campaigns = campaign_throughput.issue_codes(ledger, plan)
    for number in range(plan.rounds):
        say(f"a hot code, many codes, refusals, repeats and campaigns, round {number + 1}")
        rounds[number] |= redeem_throughput.measure_hot_code(ledger, loader, plan, code)
        rounds[number] |= redeem_throughput.measure_other_loads(ledger, loader, plan, codes)
        rounds[number] |= campaign_throughput.measure_campaigns(ledger, loader, plan, codes_of_campaigns)
        rounds[number] |= batch_redeem.measure_batches(ledger, plan, code)


def _measure_sending(
    ledger: BenchmarkStack, loader: LoadGenerator, plan: BenchmarkPlan, numbers: Numbers, say: Say
) -> None:
    say("a backlog, its size, and redeems while it is sent")
    numbers |= queue_drain.measure_drain(ledger, loader, plan)
    numbers |= queue_drain.measure_size(ledger)
    numbers |= queue_drain.measure_hot_while_draining(ledger, loader, plan)
    if plan.sustained_s is not None:
        say("a rate that holds")
        numbers |= queue_drain.find_sustained_rate(ledger, loader, plan.sustained_s, numbers["drain_rps"])


def _measure_proof_and_rebuild(ledger: BenchmarkStack, wrk: WrkGenerator, plan: BenchmarkPlan, say: Say) -> Numbers:
    code, seconds = ledger.issue(), round(plan.seconds)
    say("what the proof costs")
    numbers = merkle_overhead.measure_merkle_overhead(ledger, wrk, seconds, code)
    say("rebuilds: during redeem requests, and of a long log")
    numbers |= rebuild_throughput.measure_redeems_during_rebuild(ledger, wrk, seconds * 3, code)
    return numbers | rebuild_throughput.measure_rebuild(ledger)


def _measure_clicks_and_pages(
    ledger: BenchmarkStack, loader: LoadGenerator, plan: BenchmarkPlan, rounds: list[Numbers], say: Say
) -> None:
    for number in range(plan.rounds):
        say(f"from click to mail, round {number + 1}")
        rounds[number] |= queue_drain.measure_click_to_mail(ledger, plan.click_s)
        rounds[number] |= cpu_costs.measure_life(ledger, loader, plan.life_s)
    say("commands and pages")
    rounds[0] |= cpu_costs.measure_commands(ledger, plan.commands)
    rounds[0] |= page_latency.measure_pages(ledger, plan.page_uses)
    rounds[0] |= page_latency.measure_first_views(ledger, plan.page_histories, plan.rounds)


if __name__ == "__main__":
    sys.exit(main())
