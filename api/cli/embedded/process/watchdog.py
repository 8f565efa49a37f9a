"""Ends the stack's children when the supervisor is gone without having done so (kill -9, a crash).

Run by path as a process in a session of its own: `python -I watchdog.py`. It reads lines from standard input:
`+ PID STAGE SIGNAL SECONDS` for a child that leads its own process group, `- PID` for one that has ended. When the
pipe closes, what is left is asked to end, the highest stage first, and then killed. Standard library only: it is the
part that must not fail. The supervisor ends its children with the same `end_processes`.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

POLL_S = 0.02


class WatchedProcess(NamedTuple):
    """What has to be known to end a child.

    Attributes:
        pid: Of the child, and of the process group that it leads.
        stage: Higher ones end earlier: first who asks, then who is asked.
        stop_signal: What asks it to end.
        stop_s_max: How long it may take before its group is killed.
    """

    pid: int
    stage: int
    stop_signal: int
    stop_s_max: float


def is_running(pid: int) -> bool:
    """Whether a process that need not be ours still runs; a zombie that nobody has reaped yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def end_processes(children: list[WatchedProcess], is_alive: Callable[[int], bool] = is_running) -> None:
    """End stage after stage; those of one stage together."""
    for stage in sorted({child.stage for child in children}, reverse=True):
        left = [child for child in children if child.stage == stage]
        for child in left:
            with suppress(OSError):
                os.kill(child.pid, child.stop_signal)
        started = time.monotonic()
        while left:
            passed = time.monotonic() - started
            over = [child for child in left if passed >= child.stop_s_max or not is_alive(child.pid)]
            for child in over:
                # Also after a good end: its own children may have stayed behind.
                with suppress(OSError):
                    os.killpg(child.pid, signal.SIGKILL)
            left = [child for child in left if child not in over]
            time.sleep(POLL_S)


def read_processes() -> list[WatchedProcess]:
    """Read until the pipe closes.

    Returns:
        The children that are left.
    """
    children: dict[str, WatchedProcess] = {}
    for line in sys.stdin:
        match line.split():
            case ["+", pid, stage, number, seconds]:
                children[pid] = WatchedProcess(int(pid), int(stage), int(number), float(seconds))
            case ["-", pid]:
                children.pop(pid, None)
            case _:
                continue
    return list(children.values())


def main() -> None:
    """Watch, then end what is left. Signals meant for the supervisor are its business."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_processes(read_processes())


if __name__ == "__main__":
    main()
