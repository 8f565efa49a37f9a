"""Processes of an earlier run that outlived both their supervisor and its guardian, and what they left behind."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
END_S_MAX = 10.0
KILL_S_MAX = 5.0
PARTS_S_MAX = 3.0
"""A letter that is being sent then is one in doubt, as after any death of a worker."""
PARTS = ("api.main:create_app", "workers.celery_app", "api.mail_sink.server")
"""What the commands of the ledger's own processes name."""
LOOK_AGAIN_S = 0.02


def end_orphaned_postgres(data: Path) -> None:
    """End what still runs on a PostgreSQL data directory, and drop a lock file that names a stranger.

    The caller holds the lock of the folder, so nobody else may be using the directory. Where /proc is missing,
    PostgreSQL's own checks decide.

    Args:
        data: The data directory; it need not be there.
    """
    lock = data / "postmaster.pid"
    if not PROC.is_dir() or not data.exists():
        return
    left = find_postgres_processes(data)
    named = _pid_in(lock)
    if named in left:
        os.kill(named, signal.SIGINT)
    else:
        _signal_all(left, signal.SIGTERM)
    if not _all_gone(data, END_S_MAX):
        _signal_all(find_postgres_processes(data), signal.SIGKILL)
        _all_gone(data, KILL_S_MAX)
    if _pid_in(lock) and not find_postgres_processes(data):
        # The id may belong to another program by now, and PostgreSQL would refuse to start until that ends.
        lock.unlink(missing_ok=True)


def end_orphaned_components(run: Path, redis: Path) -> None:
    """End parts of an earlier run that would go on beside ours: a worker without its database, a second broker's file.

    The caller holds the lock of the folder, as above.

    Args:
        run: Where the ledger's own processes work.
        redis: Where the private broker works.
    """
    if not PROC.is_dir():
        return
    for number, bound_s in ((signal.SIGTERM, PARTS_S_MAX), (signal.SIGKILL, KILL_S_MAX)):
        _signal_all(_parts_in(run, redis), number)
        until = time.monotonic() + bound_s
        while _parts_in(run, redis) and time.monotonic() < until:
            time.sleep(LOOK_AGAIN_S)


def _parts_in(run: Path, redis: Path) -> set[int]:
    """A shell that somebody left in these folders is none of ours, nor is an editor."""
    ours, broker = str(run.resolve()), str(redis.resolve())
    return {
        pid
        for pid in _pids()
        if ((place := _link(pid)) == ours and any(name in _command(pid) for name in PARTS))
        or (place == broker and _name(pid) == "valkey-server")
    }


def find_postgres_processes(data: Path) -> set[int]:
    """Ids of the PostgreSQL processes that work in a data directory: each has it as its working directory."""
    place = str(data.resolve())
    return {pid for pid in _pids() if _link(pid) == place and _name(pid) == "postgres"}


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal())


def _link(pid: int) -> str:
    try:
        # The folder of an earlier run may have been made anew meanwhile.
        return str((PROC / str(pid) / "cwd").readlink()).removesuffix(" (deleted)")
    except OSError:
        return ""


def _command(pid: int) -> list[str]:
    try:
        return (PROC / str(pid) / "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def _name(pid: int) -> str:
    try:
        return (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def _pid_in(lock: Path) -> int:
    try:
        return int(lock.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return 0


def _signal_all(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _all_gone(data: Path, bound_s: float) -> bool:
    until = time.monotonic() + bound_s
    while find_postgres_processes(data):
        if time.monotonic() > until:
            return False
        time.sleep(LOOK_AGAIN_S)
    return True
