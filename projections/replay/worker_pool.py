"""Worker processes that fold the log in parallel; each gets the next job when it has ended one."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, cast

import psycopg

from projections.replay.observer import UndecodableEventError
from projections.replay.protocol import DatabaseUnavailable, Job, JobDone, Message, Start, Undecodable, receive, send
from projections.replay.row_buffer import RowPiece

WORKERS_MAX: Final = 4
WAITING_MAX: Final = 16
"""Frames that wait for the database; then the worker processes wait too."""
END_S_MAX: Final = 5.0
PAUSE_S: Final = 0.01
_PIPE_BYTES = 1 << 20

Received = Message | RowPiece


class WorkerDiedError(Exception):
    """A worker process ended during a job (killed, out of memory); nothing was changed."""


def default_worker_count() -> int:
    """Return how many processes to fold with: one for each CPU that this process may use, within a bound."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, WORKERS_MAX)


class WorkerPool:
    """Worker processes; a context manager that ends them.

    Args:
        start: The first message to each of them.
        workers: How many.
    """

    def __init__(self, start: Start, workers: int) -> None:
        self._start, self._worker_count = start, workers
        self._processes: list[subprocess.Popen[bytes]] = []
        self._received: queue.Queue[tuple[int, Received | None]] = queue.Queue(WAITING_MAX)
        self._is_closing, self._is_idle = False, True

    def __enter__(self) -> Self:
        try:
            for number in range(self._worker_count):
                self._begin(number)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def run(self, jobs: Iterable[Job], on_message: Callable[[Received], None]) -> None:
        """Run all jobs.

        Args:
            jobs: In the order in which they begin.
            on_message: Called with every message and piece of rows, on this thread.

        Raises:
            UndecodableEventError: An event stops everything.
            psycopg.OperationalError: The database is unavailable.
            WorkerDiedError: A process ended during a job.
        """
        remaining, self._is_idle = iter(jobs), False
        working = sum(self._give(number, remaining) for number in range(len(self._processes)))
        while working:
            number, message = self._received.get()
            match message:
                case None:
                    status = self._processes[number].wait(END_S_MAX)
                    raise WorkerDiedError(
                        f"a process that reads the log ended with {status}; nothing was changed: try again"
                    )
                case DatabaseUnavailable():
                    raise psycopg.OperationalError(message.reason)
                case Undecodable():
                    raise UndecodableEventError(message.stored, message.reason)
                case JobDone():
                    working -= not self._give(number, remaining)
                case _:
                    on_message(message)
        self._is_idle = True

    def _begin(self, number: int) -> None:
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        process = subprocess.Popen(
            [sys.executable, "-m", "projections.replay.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        self._processes.append(process)
        lower_priority(process.pid)
        messages = cast("IO[bytes]", process.stdout)
        _enlarge_pipe(messages)
        threading.Thread(target=self._receive, args=(number, messages), daemon=True).start()
        send(cast("IO[bytes]", process.stdin), self._start)

    def _give(self, number: int, remaining: Iterator[Job]) -> bool:
        """Send the next job to a process; return False if there is none."""
        job = next(remaining, None)
        if job is None:
            return False
        with contextlib.suppress(BrokenPipeError):  # it has ended: its reading thread reports that
            send(cast("IO[bytes]", self._processes[number].stdin), job)
        return True

    def _receive(self, number: int, pipe: IO[bytes]) -> None:
        with pipe, contextlib.suppress(EOFError, OSError, ValueError):
            while not self._is_closing:
                self._received.put((number, receive(pipe)))
        self._received.put((number, None))

    def _end(self) -> None:
        """Close the pipes, at which idle processes end, and kill the others: their results are not used."""
        self._is_closing = True
        for process in self._processes:
            with contextlib.suppress(OSError):
                cast("IO[bytes]", process.stdin).close()
        deadline = time.monotonic() + (END_S_MAX if self._is_idle else 0.0)
        for process in self._processes:
            while process.poll() is None:
                self._release()
                if time.monotonic() > deadline:
                    process.kill()
                time.sleep(PAUSE_S)

    def _release(self) -> None:
        """Drop received messages, so that a reading thread that waits for room can end."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._received.get_nowait()


def _enlarge_pipe(pipe: IO[bytes]) -> None:
    """Enlarge the kernel's buffer of a pipe where possible, for fewer switches between processes."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl  # noqa: PLC0415 - not on every platform

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


NICENESS: Final = 10
"""Redeems go first: on a busy machine such a process gets a tenth of the CPU time of one of theirs."""


def lower_priority(pid: int = 0) -> None:
    """Lower the priority of a process (this one, if none is named) permanently: ordinary users cannot raise it."""
    with contextlib.suppress(OSError):  # it has ended
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
