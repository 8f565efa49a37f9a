"""Run every scenario, rounds interleaved, and say what came of it: `python -m benchmarks [--json FILE]`."""

import argparse
import json
import os
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import proving, rebuilding, report, scenarios, yardsticks
from benchmarks.machine import machine
from benchmarks.tools import BenchmarkError, Wrk, find_tool, require_no_servers

ROUNDS, SECONDS = 3, 4


def main() -> int:
    """Measure.

    Returns:
        0; 3 if a tool is missing or something could not be measured.
    """
    asked = argparse.ArgumentParser(prog="make bench", description=__doc__)
    asked.add_argument("--rounds", type=int, default=ROUNDS, help="how often each scenario runs")
    asked.add_argument("--seconds", type=int, default=SECONDS, help="how long a load lasts")
    asked.add_argument("--json", type=Path, help="where the numbers go as JSON")
    options = asked.parse_args()
    console = Console(stderr=True)
    try:
        require_no_servers()
        for tool in ("wrk", "pgbench"):
            find_tool(tool)
        found = report.summary(_rounds(options.rounds, options.seconds, console))
    except BenchmarkError as trouble:
        console.print(f"[bold]not measured:[/bold] {trouble}")
        return 3
    report.show(found, Console())
    if options.json:
        options.json.write_text(json.dumps({**found, "cpus": os.cpu_count()}, indent=2) + "\n")
    return 0


def _rounds(rounds: int, seconds: int, console: Console) -> list[scenarios.Numbers]:
    numbers: list[scenarios.Numbers] = []
    with machine(LEDGER_SMTP_URL="null://") as ledger:
        wrk = Wrk(ledger.folder)
        ledger.ask(yardsticks.TABLES)
        # All yardsticks before the first redeem: a backlog that drains would take a core from them.
        for number in range(rounds):
            console.print(f"yardsticks, round {number + 1}")
            numbers.append(scenarios.bare(ledger, wrk, seconds))
        code = ledger.issue()
        for number in range(rounds):
            console.print(f"a hot code and one that is used up, round {number + 1}")
            numbers[number] |= scenarios.hot(ledger, wrk, seconds, code)
            numbers[number] |= scenarios.refusals(ledger, wrk, seconds)
        console.print("a big code and a small one, the backlog, sizes")
        numbers[0] |= scenarios.big_and_small(ledger, code)
        numbers[0] |= scenarios.draining(ledger, wrk, seconds)
        numbers[0] |= scenarios.drain(ledger)
        numbers[0] |= scenarios.size(ledger)
        console.print("what the proof costs")
        numbers[0] |= proving.cost_of_proof(ledger, wrk, seconds, code)
        console.print("rebuilds: beside redeems, and of a long log")
        numbers[0] |= rebuilding.beside_redeems(ledger, wrk, seconds * 3, code)
        numbers[0] |= rebuilding.on_a_long_log(ledger)
    with machine() as ledger:
        console.print("from click to mail")
        numbers[0] |= scenarios.click_to_mail(ledger, seconds)
    return numbers


if __name__ == "__main__":
    sys.exit(main())
