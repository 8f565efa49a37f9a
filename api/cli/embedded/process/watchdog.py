"""Ends the stack's processes when the supervisor is gone without having done so (kill -9, a crash).

Run by path as a process in a session of its own: `python -I watchdog.py`. It reads lines from standard input:
`+ PID STAGE SIGNAL SECONDS` for a process that leads a process group, `- PID` for one that has ended. When the pipe
closes, it ends the processes that remain. Imports no module of the ledger: a defect there must not stop it. The
supervisor ends its processes with the same `end_processes`.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from typing import NamedTuple

import psutil

POLL_S = 0.02


class WatchedProcess(NamedTuple):
    """What is needed to end a process.

    Attributes:
        pid: Of the process, and of the process group that it leads.
        stage: Higher stages end earlier: first the clients, then the servers that they use.
        stop_signal: Requests the end.
        stop_s_max: Seconds after which its group is killed.
    """

    pid: int
    stage: int
    stop_signal: int
    stop_s_max: float


def is_running(pid: int) -> bool:
    """Return whether the process, of any user, still runs; a zombie that is not reaped yet does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def end_processes(processes: list[WatchedProcess]) -> None:
    """End stage after stage, the processes of one stage together."""
    for stage in sorted({process.stage for process in processes}, reverse=True):
        remaining = [process for process in processes if process.stage == stage]
        for process in remaining:
            with suppress(OSError):
                os.kill(process.pid, process.stop_signal)
        started_at = time.monotonic()
        while remaining:
            passed_s = time.monotonic() - started_at
            finished = [one for one in remaining if passed_s >= one.stop_s_max or not is_running(one.pid)]
            for process in finished:
                # After a clean end too: the process's own children may have stayed behind.
                with suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
            remaining = [process for process in remaining if process not in finished]
            time.sleep(POLL_S)


def read_processes() -> list[WatchedProcess]:
    """Read lines until the pipe closes.

    Returns:
        The processes that have not ended.
    """
    processes: dict[str, WatchedProcess] = {}
    for line in sys.stdin:
        match line.split():
            case ["+", pid, stage, stop_signal, seconds]:
                processes[pid] = WatchedProcess(int(pid), int(stage), int(stop_signal), float(seconds))
            case ["-", pid]:
                processes.pop(pid, None)
            case _:
                continue
    return list(processes.values())


def main() -> None:
    """Wait for the supervisor's end, then end what remains. Ignores signals: they are meant for the supervisor."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_processes(read_processes())


if __name__ == "__main__":
    main()
