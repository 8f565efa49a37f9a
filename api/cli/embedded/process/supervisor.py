"""Starts programs, restarts those that die, and ends all of them. Knows commands, not what they are for.

`start`, `tick` and `stop` may be called from different threads. A watchdog process ends the programs if this process
can't.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from api.cli.embedded.process import watchdog
from api.cli.embedded.process.program import Program, kill_group, read_log_tail
from api.cli.embedded.stack_error import StackError

BACK_OFF_S_FIRST = 0.2
BACK_OFF_S_MAX = 5.0
STEADY_S = 10.0
"""A program that ran for this long is restarted without delay, and its restarts are counted from 0."""
WATCHDOG_S_MAX = 20.0
LOG_BYTES_MAX = 10_000_000
LOG_LOOK_S = 5.0
"""How often the sizes of the logs are read: no event tells that one has grown."""


@dataclass(slots=True)
class _SupervisedProcess:
    """A program with its process, if one runs."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    restart_count: int = 0
    """Since it last ran for STEADY_S."""


@dataclass(slots=True)
class Supervisor:
    """Keeps programs running.

    Attributes:
        logs: Folder of the logs, NAME.log each; that of the previous run is kept as NAME.log.1.
        report: Is called with a sentence when a program died.
        keep_open: File descriptors that the watchdog holds until everything has ended, such as a lock.
        log_bytes_max: A log that grows beyond this becomes NAME.log.1 while its program continues to write.
    """

    logs: Path
    report: Callable[[str], None] = lambda _sentence: None
    keep_open: tuple[int, ...] = ()
    log_bytes_max: int = LOG_BYTES_MAX
    _children: dict[str, _SupervisedProcess] = field(default_factory=dict)
    _watchdog: subprocess.Popen[bytes] | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _is_stopped: bool = False

    def start(self, *programs: Program) -> None:
        """Start programs.

        Raises:
            StackError: A command can't be run, or everything is being ended.
        """
        for program in programs:
            with self._lock:
                if self._is_stopped:
                    raise StackError("the ledger is being stopped")
                self._rotate_log(program.name)
                child = self._children[program.name] = _SupervisedProcess(program)
                try:
                    self._spawn(child)
                except OSError as error:
                    raise StackError(
                        f"{program.command[0]} cannot be run ({error.strerror}): run `make setup`"
                    ) from error

    def tick(self) -> float:
        """Reap programs that died, and restart those whose delay has passed.

        Returns:
            The seconds until the next call, if no program dies before.
        """
        with self._lock:
            if self._is_stopped:
                return LOG_LOOK_S
            if self._watchdog is not None and self._watchdog.poll() is not None:
                self._restart_watchdog()
            for child in self._children.values():
                self._truncate_log(child.program.name)
                if child.process is not None and child.process.poll() is not None:
                    self._reap(child, child.process)
                if child.process is None and time.monotonic() >= child.restart_at:
                    with suppress(OSError):
                        self._spawn(child)
            delayed = [child.restart_at for child in self._children.values() if child.process is None]
            return max(0.0, min([LOG_LOOK_S, *(restart_at - time.monotonic() for restart_at in delayed)]))

    @property
    def is_stopped(self) -> bool:
        """Whether everything is being ended."""
        return self._is_stopped

    def restart_count(self, name: str) -> int:
        """Return how often a program was restarted since it last ran steadily."""
        with self._lock:
            child = self._children.get(name)
            return child.restart_count if child else 0

    def last_log_line(self, name: str) -> str:
        """Return the last line of a program's log."""
        return read_log_tail(self._log(name))

    def stop(self) -> None:
        """End all programs in the order of their stages, then the watchdog. May be called twice."""
        with self._lock:
            self._is_stopped = True
            running = [(one.program, one.process) for one in self._children.values() if one.process is not None]
            watchdog.end_processes([_watched_process(program, process.pid) for program, process in running])
            for _, process in running:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=1)
                self._notify_watchdog(f"- {process.pid}")
            self._children.clear()
            if self._watchdog is not None:
                _close_watchdog(self._watchdog)
                self._watchdog = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _spawn(self, child: _SupervisedProcess) -> None:
        child.started_at = time.monotonic()
        try:
            if self._watchdog is None:
                self._restart_watchdog()
            with self._log(child.program.name).open("ab") as log:
                child.process = child.program.spawn(log)
        except OSError:
            self._delay_restart(child)
            raise
        self._notify_watchdog(_watchdog_line(child.program, child.process.pid))

    def _reap(self, child: _SupervisedProcess, process: subprocess.Popen[bytes]) -> None:
        # The program's own children may live on and hold the port or the files that its successor needs.
        kill_group(process.pid)
        self._notify_watchdog(f"- {process.pid}")
        child.process = None
        if time.monotonic() - child.started_at >= STEADY_S:
            child.restart_count = 0
        self._delay_restart(child)
        self.report(f"{child.program.name} ended ({_describe_status(process.returncode)}) and is being restarted")

    def _delay_restart(self, child: _SupervisedProcess) -> None:
        count = child.restart_count
        wait_s = 0.0 if count == 0 else min(BACK_OFF_S_FIRST * 2.0**count, BACK_OFF_S_MAX)
        child.restart_count += 1
        child.restart_at = time.monotonic() + wait_s

    def _restart_watchdog(self) -> None:
        if self._watchdog is not None:
            _close_watchdog(self._watchdog)
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", watchdog.__file__],
            cwd="/",
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=self.keep_open,
        )
        for child in self._children.values():
            if child.process is not None:
                self._notify_watchdog(_watchdog_line(child.program, child.process.pid))

    def _notify_watchdog(self, line: str) -> None:
        pipe = self._watchdog.stdin if self._watchdog is not None else None
        if pipe is not None:
            # The next tick replaces a dead watchdog and gives the new one all lines.
            with suppress(OSError):
                pipe.write(f"{line}\n".encode())

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _truncate_log(self, name: str) -> None:
        log = self._log(name)
        with suppress(OSError):
            if log.stat().st_size > self.log_bytes_max:
                # The program holds the file open for appending: after copy and truncation it writes at the beginning.
                shutil.copyfile(log, self.logs / f"{name}.log.1")
                os.truncate(log, 0)

    def _rotate_log(self, name: str) -> None:
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            self._log(name).replace(self.logs / f"{name}.log.1")


def _watched_process(program: Program, pid: int) -> watchdog.WatchedProcess:
    return watchdog.WatchedProcess(pid, program.stage, int(program.stop_signal), program.stop_s_max)


def _watchdog_line(program: Program, pid: int) -> str:
    watched = _watched_process(program, pid)
    return f"+ {watched.pid} {watched.stage} {watched.stop_signal} {watched.stop_s_max}"


def _describe_status(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status}"


def _close_watchdog(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(timeout=WATCHDOG_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
