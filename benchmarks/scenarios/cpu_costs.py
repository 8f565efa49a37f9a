"""CPU time of a whole redemption, from the click to the record of the mail server's yes, and of commands."""

import resource
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.cpu_time import subtract
from benchmarks.harness.load_generators import BenchmarkError, LoadGenerator
from benchmarks.harness.stack import BenchmarkStack
from benchmarks.harness.verified_load import VerifiedLoad
from benchmarks.scenarios.redeem_throughput import MICROSECONDS, Numbers, measure_empty_endpoint

COMMAND = Path(sys.executable).with_name("ledger")
IMPORTS = {"cli": "import typer, rich.table", "history_cli": "import psycopg, msgspec"}
"""What a command is compared with: the import of libraries that it can hardly do without."""
_WAL_BYTES = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"


def measure_life(stack: BenchmarkStack, loader: LoadGenerator, seconds: float) -> Numbers:
    """Measure CPU time and write-ahead log of a redemption until the mail server took the email and it is recorded.

    The database is vacuumed first: otherwise autovacuum of what the loads before wrote would count in it (514 of 996 µs
    were PostgreSQL's, and 171 to 250 of loads in a new database; 2026-11-27).
    """
    stack.wait_until_drained()
    stack.query_rows("VACUUM (ANALYZE)")
    empty_cpu_us = measure_empty_endpoint(stack, loader, seconds)["empty_cpu_us"]
    code, cpu_before, wal_before = stack.issue(), stack.read_cpu_s(), stack.query_rows(_WAL_BYTES)[0][0]
    answers = VerifiedLoad(stack, loader).run([code], seconds=seconds).answers
    stack.wait_until_drained()
    cpu_s = subtract(stack.read_cpu_s(), cpu_before)
    wal_bytes = stack.query_rows(_WAL_BYTES)[0][0] - wal_before
    parts = {f"life_{part}_cpu_us": part_s / answers * MICROSECONDS for part, part_s in cpu_s.items()}
    life_cpu_us = sum(cpu_s.values()) / answers * MICROSECONDS
    ratio = {"life_cpu": life_cpu_us / empty_cpu_us} if empty_cpu_us else {}
    return {"life_cpu_us": life_cpu_us, **parts, **ratio, "wal_bytes_per_redemption": float(wal_bytes) / answers}


def measure_commands(stack: BenchmarkStack, runs: int) -> Numbers:
    """Measure the CPU time of `ledger --version` and `ledger history CODE` over that of imports, medians in turn."""
    commands = {"cli": (str(COMMAND), "--version"), "history_cli": (str(COMMAND), "history", stack.issue())}
    ratios: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            baseline = _measure_cpu_s((sys.executable, "-c", IMPORTS[name]), stack)
            ratios[name].append(_measure_cpu_s(command, stack) / baseline)
    return {f"{name}_cpu": statistics.median(values) for name, values in ratios.items()}


def _measure_cpu_s(command: tuple[str, ...], stack: BenchmarkStack) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(command, env=dict(stack.env), capture_output=True, text=True, check=False, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode:
        raise BenchmarkError(f"{' '.join(command[:2])} ended with {run.returncode}: {run.stderr.strip()[-300:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
