"""Measure what an idle ledger costs: `make idle`, with ARGS="--compare CHECKOUT" for another one at the same time.

A wake-up costs more while the machine is idle, because caches are cold: compare CPU time only between two ledgers that
run at the same time. Wake-ups, statements and memory can be compared between runs.
"""

import argparse
import re
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.harness.load_generators import BenchmarkError, require_no_servers
from benchmarks.harness.stack import LEDGER, BenchmarkStack, run_stack

SETTLE_S: Final = 95.0
"""Until the start is over: the first events are due until a checkpoint covers them, which is signed once a minute."""
SECONDS: Final = 60.0
PROC: Final = Path("/proc")
NAMES: Final = {
    "watchdog.py": "watchdog",
    "api.mail_sink.server": "sink",
    "api.main:create_app": "api",
    "valkey-server": "valkey",
    "workers.celery_process worker": "worker",
    "workers.celery_process beat": "beat",
    "/postgres -D": "postgres",
    "api.cli.entry": "up",
    "bin/ledger up": "up",
}
"""A part of the command line, and the name of the process; the first that occurs in it counts."""
SHOWN_WAKEUPS: Final = 0.05
"""A thread with fewer per second has no row."""
_STATEMENT: Final = re.compile(r" LOG:  (?:statement|execute [^:]+): ")
_VOLUNTARY: Final = re.compile(r"^voluntary_ctxt_switches:\s*(\d+)$", re.MULTILINE)
_PSS: Final = re.compile(r"^Pss:\s*(\d+) kB$", re.MULTILINE)


class Use(NamedTuple):
    """Voluntary context switches, and seconds of CPU time."""

    wakeups: float = 0
    cpu_s: float = 0


class IdleCost(NamedTuple):
    """What a ledger used while it was idle.

    Attributes:
        threads: Wake-ups per second and cores of each thread; threads are numbered in the order of their start.
        pss_mb: Memory of each process, shared pages by their share.
        statements: SQL statements per second.
    """

    threads: Mapping[tuple[str, int], Use]
    pss_mb: Mapping[str, float]
    statements: float

    @property
    def total(self) -> Use:
        """Wake-ups per second and cores of all threads."""
        return Use(*map(sum, zip(*self.threads.values(), strict=True)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table for each ledger.

    Returns:
        0, or 3 if something could not be measured.
    """
    parser = argparse.ArgumentParser(prog="make idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each ledger is watched")
    parser.add_argument("--settle", type=float, default=SETTLE_S, help="seconds before that")
    parser.add_argument("--compare", type=Path, help="another checkout with its .venv, measured at the same time")
    options = parser.parse_args(arguments)
    commands: dict[str, Sequence[str]] = {"this checkout": LEDGER}
    if options.compare:
        commands[str(options.compare)] = (str(options.compare.absolute() / ".venv/bin/ledger"),)
    console = Console()
    try:
        require_no_servers()
        with ExitStack() as running:
            stacks = {name: running.enter_context(run_stack(command)) for name, command in commands.items()}
            time.sleep(options.settle)
            for name, cost in zip(stacks, measure(list(stacks.values()), options.seconds), strict=True):
                print_cost(name, cost, console)
    except (BenchmarkError, OSError) as error:
        console.print(f"[bold]not measured:[/bold] {error}")
        return 3
    return 0


def measure(stacks: Sequence[BenchmarkStack], seconds: float) -> list[IdleCost]:
    """Measure stacks at the same time: first threads, then memory, then statements, whose log costs wake-ups."""
    before, started_at = [_read_threads(stack) for stack in stacks], time.monotonic()
    time.sleep(seconds)
    after, passed_s = [_read_threads(stack) for stack in stacks], time.monotonic() - started_at
    threads = [subtract(*readings, passed_s) for readings in zip(after, before, strict=True)]
    memory = [_read_pss_mb(stack) for stack in stacks]
    for stack in stacks:
        _log_statements(stack)
    time.sleep(seconds)
    counts = [count_statements((stack.folder / "ledger/logs/postgres.log").read_text()) for stack in stacks]
    return [
        IdleCost(used, pss_mb, count / seconds) for used, pss_mb, count in zip(threads, memory, counts, strict=True)
    ]


def name_process(command: str) -> str:
    """Return the short name of a process by its command line; PostgreSQL's processes name themselves."""
    if command.startswith("postgres: "):
        title = command.strip()
        return "postgres: client" if title.endswith("idle") or "127.0.0.1" in title else title
    return next((name for part, name in NAMES.items() if part in command), command)


def read_process(folder: Path) -> list[Use]:
    """Return what each thread of a process used so far, its main thread first, from its folder in /proc."""
    uses = []
    for thread in sorted((folder / "task").iterdir(), key=lambda task: (task.name != folder.name, int(task.name))):
        with suppress(OSError):  # it ended in the meantime
            switches = _VOLUNTARY.search((thread / "status").read_text())
            run_ns = int((thread / "schedstat").read_text().split()[0])
            uses.append(Use(float(switches[1]) if switches else 0, run_ns / 1e9))
    return uses


def subtract(
    after: Mapping[tuple[str, int], Use], before: Mapping[tuple[str, int], Use], passed_s: float
) -> dict[tuple[str, int], Use]:
    """Return the use per second between two readings; a thread that is new was started in between."""
    nothing = Use()
    return {
        name: Use(
            max(0.0, used.wakeups - before.get(name, nothing).wakeups) / passed_s,
            max(0.0, used.cpu_s - before.get(name, nothing).cpu_s) / passed_s,
        )
        for name, used in after.items()
    }


def count_statements(log: str) -> int:
    """Count the statements in PostgreSQL's log."""
    return len(_STATEMENT.findall(log))


def print_cost(name: str, cost: IdleCost, console: Console) -> None:
    """Print a row for each thread that wakes up, memory by process, and the sums."""
    table = Table("process", "thread", "wake-ups/s", "CPU %", "PSS MB", title=name)
    for (process, thread), used in cost.threads.items():
        pss = f"{cost.pss_mb[process]:.1f}" if thread == 0 and process in cost.pss_mb else ""
        if used.wakeups >= SHOWN_WAKEUPS or pss:
            table.add_row(process, str(thread or "main"), f"{used.wakeups:.1f}", f"{used.cpu_s * 100:.2f}", pss)
    table.add_section()
    total, pss_mb = cost.total, sum(cost.pss_mb.values())
    table.add_row("sum", "", f"{total.wakeups:.1f}", f"{total.cpu_s * 100:.2f}", f"{pss_mb:.0f}")
    console.print(table)
    console.print(f"{cost.statements:.1f} SQL statements per second")


def _list_processes(stack: BenchmarkStack) -> Iterable[tuple[str, int]]:
    """Give name and id of each process; equal names are numbered by age."""
    counts: dict[str, int] = {}
    for process in sorted(stack.list_processes(), key=lambda process: process.create_time()):
        with suppress(psutil.Error):
            name = name_process(" ".join(process.cmdline()))
            counts[name] = counts.get(name, 0) + 1
            yield name if counts[name] == 1 else f"{name} {counts[name]}", process.pid


def _read_threads(stack: BenchmarkStack) -> dict[tuple[str, int], Use]:
    return {
        (name, number): used
        for name, pid in _list_processes(stack)
        for number, used in enumerate(read_process(PROC / str(pid)))
    }


def _read_pss_mb(stack: BenchmarkStack) -> dict[str, float]:
    sizes = {name: _PSS.search((PROC / str(pid) / "smaps_rollup").read_text()) for name, pid in _list_processes(stack)}
    return {name: int(size[1]) / 1024 for name, size in sizes.items() if size}


def _log_statements(stack: BenchmarkStack) -> None:
    """Have the private PostgreSQL log each statement. Only a superuser may, and no process has that password."""
    data = stack.folder / "ledger/postgres"
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write("log_statement = 'all'\n")
    psutil.Process(int((data / "postmaster.pid").read_text().split()[0])).send_signal(signal.SIGHUP)


if __name__ == "__main__":
    sys.exit(main())
