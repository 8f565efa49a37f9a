"""Starts children, starts them again when they die, and ends all of them. Knows commands, not what they are for.

`start`, `tick` and `stop` may be called from different threads. A guardian process ends the children if this process
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
from api.cli.embedded.util import StackError

BACK_OFF_S_FIRST = 0.2
BACK_OFF_S_MAX = 5.0
STEADY_S = 10.0
"""A child that lived this long starts again without delay; the trouble before is forgotten."""
WATCHDOG_S_MAX = 20.0
LOG_BYTES_MAX = 10_000_000


@dataclass(slots=True)
class _SupervisedProcess:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    restart_count: int = 0
    """Since it last lived for STEADY_S."""


@dataclass(slots=True)
class Supervisor:
    """Keeps programs running.

    Attributes:
        logs: Folder of the logs, NAME.log each; the last run's is kept as NAME.log.1.
        report: Told in a sentence what happened to a child.
        keep_open: File descriptors that the guardian holds until everything has ended, such as a lock.
        log_bytes_max: A log that grows beyond this becomes NAME.log.1 while its child goes on writing.
    """

    logs: Path
    report: Callable[[str], None] = lambda _sentence: None
    keep_open: tuple[int, ...] = ()
    log_bytes_max: int = LOG_BYTES_MAX
    _children: dict[str, _SupervisedProcess] = field(default_factory=dict)
    _watchdog: subprocess.Popen[bytes] | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _stopped: bool = False

    def start(self, *programs: Program) -> None:
        """Start programs.

        Raises:
            StackError: A command can't be run, or everything is being ended.
        """
        for program in programs:
            with self._lock:
                if self._stopped:
                    raise StackError("the stack is being ended")
                self._rotate_log(program.name)
                child = self._children[program.name] = _SupervisedProcess(program)
                try:
                    self._spawn(child)
                except OSError as refused:
                    raise StackError(
                        f"{program.command[0]} can't be run ({refused.strerror}): run `make setup`"
                    ) from refused

    def tick(self) -> None:
        """Notice who has died, and start again whose turn it is."""
        with self._lock:
            if self._stopped:
                return
            if self._watchdog is not None and self._watchdog.poll() is not None:
                self._restart_watchdog()
            for child in self._children.values():
                self._truncate_log(child.program.name)
                if child.process is not None and child.process.poll() is not None:
                    self._reap(child, child.process)
                if child.process is None and time.monotonic() >= child.start_at:
                    with suppress(OSError):
                        self._spawn(child)

    def restart_count(self, name: str) -> int:
        """How often a child has died since it last ran steadily."""
        with self._lock:
            child = self._children.get(name)
            return child.restart_count if child else 0

    def last_log_line(self, name: str) -> str:
        """The last line of a child's log."""
        return read_log_tail(self._log(name))

    def stop(self) -> None:
        """End all children in the order of their stages, then the guardian. May be called twice."""
        with self._lock:
            self._stopped = True
            processes = {c.process.pid: c.process for c in self._children.values() if c.process is not None}
            known = [_stop_entry(c.program, c.process.pid) for c in self._children.values() if c.process is not None]
            watchdog.end_processes(known, lambda pid: processes[pid].poll() is None)
            for process in processes.values():
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
        if self._watchdog is None:
            self._restart_watchdog()
        child.started_at = time.monotonic()
        with self._log(child.program.name).open("ab") as log:
            try:
                child.process = child.program.spawn(log)
            except OSError:
                self._delay(child)
                raise
        self._notify_watchdog(_line(child.program, child.process.pid))

    def _reap(self, child: _SupervisedProcess, process: subprocess.Popen[bytes]) -> None:
        # Its own children may live on and hold the port or the files that its successor needs.
        kill_group(process.pid)
        self._notify_watchdog(f"- {process.pid}")
        child.process = None
        lived_s = time.monotonic() - child.started_at
        if lived_s >= STEADY_S:
            child.restart_count = 0
        self._delay(child)
        self.report(f"{child.program.name} ended ({_describe_status(process.returncode)}) and is started again")

    def _delay(self, child: _SupervisedProcess) -> None:
        wait_s = 0.0 if child.restart_count == 0 else min(BACK_OFF_S_FIRST * 2.0**child.restart_count, BACK_OFF_S_MAX)
        child.restart_count += 1
        child.start_at = time.monotonic() + wait_s

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
                self._notify_watchdog(_line(child.program, child.process.pid))

    def _notify_watchdog(self, line: str) -> None:
        pipe = self._watchdog.stdin if self._watchdog is not None else None
        if pipe is not None:
            # A dead guardian is replaced at the next tick and told everything then.
            with suppress(OSError):
                pipe.write(f"{line}\n".encode())

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _truncate_log(self, name: str) -> None:
        log = self._log(name)
        with suppress(OSError):
            if log.stat().st_size > self.log_bytes_max:
                # The child holds it open, for appending: copied and emptied, it goes on at its beginning.
                shutil.copyfile(log, self.logs / f"{name}.log.1")
                os.truncate(log, 0)

    def _rotate_log(self, name: str) -> None:
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            self._log(name).replace(self.logs / f"{name}.log.1")


def _stop_entry(program: Program, pid: int) -> watchdog.WatchedProcess:
    return watchdog.WatchedProcess(pid, program.stage, int(program.stop_signal), program.stop_s_max)


def _line(program: Program, pid: int) -> str:
    child = _stop_entry(program, pid)
    return f"+ {child.pid} {child.stage} {child.stop_signal} {child.stop_s_max}"


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
