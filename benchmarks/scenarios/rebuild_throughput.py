"""Rebuild of a long log, compared with the bare loop that reads, decodes and folds it; and redeems during rebuilds.

With `make bench`; or alone, for a log of any length: `python -m benchmarks.scenarios.rebuild_throughput --events N`.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg
from rich.console import Console

from benchmarks.harness import report
from benchmarks.harness.bulk_log import create_log
from benchmarks.harness.load_generators import BenchmarkError, WrkGenerator
from benchmarks.harness.stack import BenchmarkStack, run_stack
from projections.database.connection import connect
from projections.database.migrations import migrate
from projections.definitions.registry import PROJECTIONS
from projections.replay.jobs import fold_jobs
from projections.replay.log_fold import DEFAULT_LIMITS, LogFold, Streams, fold_streams
from projections.replay.observer import NullObserver, ReadEvent

Numbers = dict[str, float]
EVENTS = 400_000
BARE_PARTS = 16
DATABASE = "bench_long_log"
LOOK_S = 0.05


class DiscardingSink:
    """Discards the rows of a fold."""

    rows: Mapping[str, Any] = dict.fromkeys(PROJECTIONS, bool)

    def out_of_order(self, event: ReadEvent) -> None:
        """Discard it."""


def measure_rebuild(stack: BenchmarkStack, events: int = EVENTS) -> Numbers:
    """Measure one log folded by one process that discards the rows, then rebuilt with and without --apply."""
    with _database(stack) as url:
        with psycopg.connect(url, autocommit=True) as conn:
            created = create_log(conn, events)
        bare = created / _time_bare_fold(url, created)
        applied_run = _run_rebuild(url, "--apply")
        dry_run = _run_rebuild(url)
        if applied_run["events"] != created or dry_run["differing"]:
            raise BenchmarkError(
                f"{created} events, rebuilt {applied_run['events']}, {dry_run['differing']} rows differ"
            )
    return {
        "rebuild_events": float(created),
        "fold_rps": bare,
        "rebuild_rps": created / applied_run["took_s"],
        "rebuild_dry_rps": created / dry_run["took_s"],
        "rebuild_mb": max(applied_run["peak_mb"], dry_run["peak_mb"]),
    }


def measure_redeems_during_rebuild(stack: BenchmarkStack, wrk: WrkGenerator, seconds: int, code: str) -> Numbers:
    """Measure redeems of one hot code with and without rebuilds at the same time; none may be refused."""
    with stack.pause_workers():
        before = wrk.run(stack.base, code, seconds=seconds)
        is_over, locks = threading.Event(), []

        def rebuild_repeatedly() -> None:
            while not is_over.is_set():
                locks.append(_run_rebuild(stack.database_url, "--apply")["lock_ms"])

        rebuilds = threading.Thread(target=rebuild_repeatedly)
        rebuilds.start()
        during = wrk.run(stack.base, code, seconds=seconds)
        is_over.set()
        rebuilds.join()
        after = wrk.run(stack.base, code, seconds=seconds)
    if before.refused or during.refused or after.refused:
        raise BenchmarkError("a redeem was refused during a rebuild")
    share = during.rps / ((before.rps + after.rps) / 2)
    return {"redeems_during_rebuild": share, "rebuild_lock_ms": max(locks), "rebuilds_under_load": float(len(locks))}


@contextmanager
def _database(stack: BenchmarkStack) -> Iterator[str]:
    """Create another database on the stack's server, and drop it at the end."""
    url = urlunsplit(urlsplit(stack.database_url)._replace(path=f"/{DATABASE}"))
    stack.query_rows(f"CREATE DATABASE {DATABASE}")
    try:
        migrate(url)
        yield url
    finally:
        stack.query_rows(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def _time_bare_fold(url: str, events: int) -> float:
    """Measure the seconds of the bare loop, with a connection as a rebuild uses it."""
    began = time.perf_counter()
    with connect(url) as conn:
        conn.execute("SET statement_timeout = 0")
        fold = LogFold(DiscardingSink(), NullObserver())
        for job in fold_jobs(BARE_PARTS):
            fold_streams(conn, fold, Streams(job.first, job.last), events * 2, DEFAULT_LIMITS.page_events, int)
    return time.perf_counter() - began


def _run_rebuild(url: str, *options: str) -> dict[str, Any]:
    """Run the command; return its document, the seconds, and the peak memory of it and its child processes."""
    command = [sys.executable, "-m", "projections", "rebuild", "--json", *options]
    began = time.perf_counter()
    peak = 0.0
    with TemporaryFile() as out, TemporaryFile() as err:
        process = subprocess.Popen(command, env={"DATABASE_URL": url}, stdout=out, stderr=err)
        while process.poll() is None:
            peak = max(peak, _measure_memory_mb(process.pid))
            time.sleep(LOOK_S)
        took_s = time.perf_counter() - began
        if process.returncode:
            raise BenchmarkError(f"a rebuild ended with {process.returncode}: {_read_text(err)[-300:]}")
        return {**json.loads(_read_text(out)), "took_s": took_s, "peak_mb": peak}


def _read_text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace").strip()


def _measure_memory_mb(pid: int) -> float:
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += one.memory_info().rss
    return total / 1e6


def main() -> int:
    """Measure on a log of any length.

    Returns:
        0, or 3 if it could not be measured.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help="how long the log is, about")
    options = parser.parse_args()
    console = Console(stderr=True)
    try:
        with run_stack(LEDGER_SMTP_URL="null://") as ledger, ledger.pause_workers():
            numbers = report.summarize([measure_rebuild(ledger, options.events)])
    except BenchmarkError as error:
        console.print(f"[bold]not measured:[/bold] {error}")
        return 3
    report.print_table(numbers, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
