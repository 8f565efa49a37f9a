"""Processes of an earlier run that outlived both their supervisor and its watchdog: found by working directory."""

import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from api.cli.embedded.bounded_wait import wait_until

# An invitation that is being sent then has an unknown outcome, as after any death of a worker.
COMPONENTS_S_MAX = 3.0
POSTGRES_S_MAX = 10.0
KILL_S_MAX = 5.0
COMMANDS = ("api.main:create_app", "workers.celery_app", "workers.celery_process", "api.mail_sink.server")
"""What the commands of the ledger's own processes name."""
BROKERS = ("valkey-server", "redis-server")
"""Names of the private broker's process."""


def end_orphaned_postgres(data: Path) -> None:
    """End servers that still run on a PostgreSQL data directory, and delete a lock file that names another program.

    The caller holds the lock of the data folder, so no other `ledger up` uses the directory.

    Args:
        data: The data directory; it may be missing.
    """
    if not data.exists():
        return

    def find() -> list[psutil.Process]:
        return [process for process in _find_in(data) if process.info["name"] == "postgres"]

    lock = data / "postmaster.pid"
    processes = find()
    postmaster = [process for process in processes if process.pid == _read_pid(lock)]
    if postmaster:
        _signal(postmaster, signal.SIGINT)
    else:
        _signal(processes, signal.SIGTERM)
    if processes and not _wait_until_none(find, POSTGRES_S_MAX):
        _signal(find(), signal.SIGKILL)
        _wait_until_none(find, KILL_S_MAX)
    if _read_pid(lock) and not find():
        # The id may belong to another program by now, and PostgreSQL would refuse to start until that ends.
        lock.unlink(missing_ok=True)


def end_orphaned_components(run: Path, redis: Path) -> None:
    """End components of an earlier run: a worker without its database, a second broker that writes the same file.

    The caller holds the lock of the data folder. Other programs that work in these folders, such as a shell or an
    editor, are left alone.

    Args:
        run: Working directory of the ledger's own processes.
        redis: Working directory of the private broker.
    """

    def find() -> list[psutil.Process]:
        own = [one for one in _find_in(run) if any(name in (one.info["cmdline"] or ()) for name in COMMANDS)]
        return own + [one for one in _find_in(redis) if one.info["name"] in BROKERS]

    for number, s_max in ((signal.SIGTERM, COMPONENTS_S_MAX), (signal.SIGKILL, KILL_S_MAX)):
        processes = find()
        _signal(processes, number)
        if not processes or _wait_until_none(find, s_max):
            return


def _find_in(folder: Path) -> list[psutil.Process]:
    """Find the processes whose working directory is the folder, also if it was deleted and created again since."""
    path = str(folder.resolve())
    processes = [
        one for one in psutil.process_iter(["cwd"]) if (one.info["cwd"] or "").removesuffix(" (deleted)") == path
    ]
    # Name and command of these alone: reading them of every process of the machine would double the time.
    for one in processes:
        one.info = {"name": "", "cmdline": []}
        with suppress(psutil.Error):
            one.info = one.as_dict(["name", "cmdline"])
    return processes


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        # psutil does not signal another program that has the same id by now.
        with suppress(psutil.Error):
            process.send_signal(number)


def _wait_until_none(find: Callable[[], list[psutil.Process]], s_max: float) -> bool:
    return wait_until(lambda: not find(), s_max)


def _read_pid(lock: Path) -> int:
    try:
        return int(lock.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return 0
