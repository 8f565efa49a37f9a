"""Several processes that fold at once, each with the next part of the log when it is done with one."""

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
from projections.replay.protocol import DatabaseUnavailable, Done, Job, Poisoned, Start, Word, receive, send

WORKERS_MAX: Final = 4
WAITING_MAX: Final = 16
"""Frames that wait for the database; then the folding processes wait too."""
END_S_MAX: Final = 5.0
PAUSE_S: Final = 0.01
_PIPE_BYTES = 1 << 20

Heard = Word | tuple[int, bytes]


class WorkerDiedError(Exception):
    """A folding process ended in the middle of its work (killed, out of memory); nothing was changed."""


def default_worker_count() -> int:
    """How many processes to fold with: one for each CPU that we may use, within a bound."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, WORKERS_MAX)


class FoldPool:
    """Folding processes; a context manager that ends them.

    Args:
        start: What each of them is told first.
        workers: How many.
    """

    def __init__(self, start: Start, workers: int) -> None:
        self._start, self._wanted = start, workers
        self._processes: list[subprocess.Popen[bytes]] = []
        self._heard: queue.Queue[tuple[int, Heard | None]] = queue.Queue(WAITING_MAX)
        self._is_over, self._is_idle = False, True

    def __enter__(self) -> Self:
        try:
            for number in range(self._wanted):
                self._begin(number)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def run(self, jobs: Iterable[Job], hear: Callable[[Heard], None]) -> None:
        """Have all jobs done.

        Args:
            jobs: In the order in which they are begun.
            hear: Gets everything that is said meanwhile, on this thread.

        Raises:
            UndecodableEventError: An event stops everything.
            psycopg.OperationalError: The database is away.
            WorkerDiedError: A process ended too early.
        """
        left, self._is_idle = iter(jobs), False
        working = sum(self._give(number, left) for number in range(len(self._processes)))
        while working:
            number, word = self._heard.get()
            match word:
                case None:
                    status = self._processes[number].wait(END_S_MAX)
                    raise WorkerDiedError(f"a process that folds the log ended with {status}: nothing was changed")
                case DatabaseUnavailable():
                    raise psycopg.OperationalError(word.why)
                case Poisoned():
                    raise UndecodableEventError(word.stored, word.why)
                case Done():
                    working -= not self._give(number, left)
                case _:
                    hear(word)
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
        words = cast("IO[bytes]", process.stdout)
        _enlarge_pipe(words)
        threading.Thread(target=self._listen, args=(number, words), daemon=True).start()
        send(cast("IO[bytes]", process.stdin), self._start)

    def _give(self, number: int, left: Iterator[Job]) -> bool:
        """The next job to a process; False if there is none."""
        job = next(left, None)
        if job is None:
            return False
        with contextlib.suppress(BrokenPipeError):  # it has died: its thread says so
            send(cast("IO[bytes]", self._processes[number].stdin), job)
        return True

    def _listen(self, number: int, words: IO[bytes]) -> None:
        with words, contextlib.suppress(EOFError, OSError, ValueError):
            while not self._is_over:
                self._heard.put((number, receive(words)))
        self._heard.put((number, None))

    def _end(self) -> None:
        """Close their pipes: who waits for a job ends by itself. Who is at work has nobody to work for any more."""
        self._is_over = True
        for process in self._processes:
            with contextlib.suppress(OSError):
                cast("IO[bytes]", process.stdin).close()
        until = time.monotonic() + (END_S_MAX if self._is_idle else 0.0)
        for process in self._processes:
            while process.poll() is None:
                self._let_go()
                if time.monotonic() > until:
                    process.kill()
                time.sleep(PAUSE_S)

    def _let_go(self) -> None:
        """A thread that waits to be heard is heard by nobody."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._heard.get_nowait()


def _enlarge_pipe(pipe: IO[bytes]) -> None:
    """A bigger buffer in the kernel, where it can be had: fewer changes between processes."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl  # noqa: PLC0415 - not on every platform

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


NICENESS: Final = 10
"""Redeems go first: on a busy machine such a process gets a tenth of what one of theirs gets, on an idle one all."""


def lower_priority(pid: int = 0) -> None:
    """Let a process (this one, if none is named) stand back for others, for good: ordinary users can't undo it."""
    with contextlib.suppress(OSError):  # it has ended already
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
