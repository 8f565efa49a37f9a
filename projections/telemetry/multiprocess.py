"""The folder of counters of all processes (PROMETHEUS_MULTIPROC_DIR): wiped at start, merged at scrapes.

The client writes one file per process and kind and never deletes those of dead processes. Here their counts are merged
into one file for all dead processes, so that neither the folder nor a scrape grows with every process that ends.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import mmap_dict, values
from prometheus_client.multiprocess import mark_process_dead

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_OF_A_PROCESS = re.compile(r"(counter|histogram)_(\d+)\.db|gauge_live\w+_(\d+)\.db")
_DEAD = "dead"


def find_folder() -> Path | None:
    """Return the folder of counters; None if this process uses none."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


class _CurrentProcess:
    """The id of this process, cached until the next fork."""

    pid = os.getpid()

    @classmethod
    def refresh_pid(cls) -> None:
        """Read the id again."""
        cls.pid = os.getpid()


os.register_at_fork(after_in_child=_CurrentProcess.refresh_pid)


def enable_multiprocess() -> None:
    """Let metrics that are created from now on write to the folder.

    The client does so automatically, but asks the system for the process's id at each count: with some ten counts per
    redeem that is 4% of the API's time (measured 2026-11-25).
    """
    values.ValueClass = values.MultiProcessValue(lambda: _CurrentProcess.pid)  # type: ignore[no-untyped-call]  # the client ships this one without types


def wipe(path: Path) -> None:
    """Create the folder, and delete the counts of the last run. Call it before any process of this run counts."""
    path.mkdir(parents=True, exist_ok=True)
    for file in path.glob("*.db"):
        file.unlink(missing_ok=True)


@contextmanager
def lock_and_merge(path: Path) -> Iterator[None]:
    """Merge the files of dead processes, and lock out other merges until the block ends."""
    with (path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        merge_dead_processes(path)
        yield


def merge_dead_processes(path: Path) -> None:
    """Move the counts of dead processes into one file for all of them."""
    for file in sorted(path.glob("*.db")):
        match = _OF_A_PROCESS.fullmatch(file.name)
        if match is None or is_alive(pid := int(match[2] or match[3])):
            continue
        if match[1] is None:
            mark_process_dead(pid, str(path))  # type: ignore[no-untyped-call]  # prometheus_client ships this one without types
        else:
            _add_counts(file, path / f"{match[1]}_{_DEAD}.db")
            file.unlink()


def is_alive(pid: int) -> bool:
    """Tell whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _add_counts(source: Path, target: Path) -> None:
    total = mmap_dict.MmapedDict(str(target))  # type: ignore[no-untyped-call]  # as above
    try:
        for key, value, _, _ in mmap_dict.MmapedDict.read_all_values_from_file(str(source)):  # type: ignore[no-untyped-call]  # as above
            before, _ = total.read_value(key)  # type: ignore[no-untyped-call]  # as above
            total.write_value(key, before + value, 0.0)  # type: ignore[no-untyped-call]  # as above
    finally:
        total.close()  # type: ignore[no-untyped-call]  # as above
