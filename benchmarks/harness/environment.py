"""The machine and the versions that the numbers were measured on, without host names and paths."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.harness.stack import BenchmarkStack


def collect_facts(stack: BenchmarkStack) -> dict[str, str | int | float]:
    """Return what a reader needs to judge the numbers."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu(),
        "cpus": os.cpu_count() or 0,
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "postgresql": str(stack.query_rows("SHOW server_version")[0][0]),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _cpu() -> str:
    """Return the processor's model, or its architecture if the system does not name it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())
