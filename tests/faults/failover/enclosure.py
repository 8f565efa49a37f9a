"""Namespaces around a whole run: its network, mounts and processes exist only inside, and end with it.

The program executes itself again below `unshare`. The kernel kills every process of a PID namespace with its first
one, and removes networks and mounts with their last user. So a run that is killed leaves nothing behind.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.servers.machines import run

DISK: Final = Path("/mnt")
"""Where the run's files are: an empty folder of every Debian, covered by a file system in memory."""
INSIDE: Final = "LEDGER_FAILOVER_INSIDE"
PROGRAMS: Final = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ip": "iproute2",
    "tc": "iproute2",
    "etcd": "etcd-server",
    "patroni": "patroni",
    "haproxy": "haproxy",
}
"""Programs that a run needs, and the Debian packages that have them."""


def find_missing_packages() -> list[str]:
    """Return the Debian packages to install before a run; none if every program is present."""
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})


def find_program(name: str) -> str:
    path = shutil.which(name)
    assert path is not None, name
    return path


def is_enclosed() -> bool:
    return INSIDE in os.environ


def enclose(arguments: Sequence[str]) -> None:
    """Replace this process by the same program inside namespaces. Must be called by root."""
    namespaces = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    program = (sys.executable, "-m", "tests.faults.failover", *arguments)
    command = [find_program("unshare"), *namespaces, "--", *program]
    os.execve(command[0], command, {**os.environ, INSIDE: "1"})  # noqa: S606 - no shell


def become_init() -> None:
    """Continue in a child; this process, the first one inside, reaps orphans and ends with the child's status.

    Servers look up whether a process still exists; without a reaper, a killed one would remain as a zombie.
    """
    child = os.fork()
    if child == 0:
        return
    while True:
        ended, status = os.wait()
        if ended == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def cover_disk() -> None:
    """Mount a file system in memory over `DISK`, with a folder for the files of other accounts."""
    mount_memory(DISK, "2g")
    DISK.chmod(0o755)


def mount_memory(folder: Path, size: str) -> None:
    """Mount a file system in memory of a size such as `300m`."""
    folder.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "ledger", str(folder))
