"""Time, processes and tasks of a simulation. One thread; what runs next follows from the seed alone.

Tasks are greenlets, so that the ledger's own code runs as it is: where it would wait for a database, a broker or a mail
server, the task steps aside and others continue. A process that crashes takes its tasks with it, wherever they are.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from random import Random
from uuid import UUID

from greenlet import GreenletExit, getcurrent, greenlet


class SimulatedProcess:
    """One process. `generation` counts its starts; it stands still until `frozen_until`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.generation = 1
        self.frozen_until = 0.0
        self.tasks: dict[Task, None] = {}


class Task:
    """Something that a process does. `ticket` is of the one wake-up that it waits for."""

    __slots__ = ("greenlet", "is_dead", "process", "ticket")

    def __init__(self, process: SimulatedProcess, run: Callable[[], None], parent: greenlet) -> None:
        self.process = process
        self.greenlet = greenlet(run, parent)
        self.is_dead = False
        self.ticket = 0


class Scheduler:
    """Runs tasks in order of simulated time, in seconds from 0."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.counts: Counter[str] = Counter()
        self.trace: list[tuple[float, str, str, tuple[object, ...]]] = []
        self._main = getcurrent()
        self._current: Task | None = None
        self._queue: list[tuple[float, int, Task, int]] = []
        self._pushed = 0
        self._end = 0.0
        self._doomed: list[Task] = []

    @property
    def current(self) -> Task:
        if self._current is None:
            raise AssertionError("no task runs")
        return self._current

    def new_id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128))

    def note(self, what: str, *about: object) -> None:
        who = self._current.process.name if self._current else "world"
        self.trace.append((self.now, who, what, about))

    def spawn(self, process: SimulatedProcess, run: Callable[[], None], after: float = 0.0) -> Task:
        task = Task(process, run, self._main)
        process.tasks[task] = None
        self._push(self.now + after, task)
        return task

    def pass_time(self, seconds: float) -> None:
        """Let the current task continue so much later in simulated time, unless its process has crashed by then."""
        task, at, queue = self._current, self.now + seconds, self._queue
        if task is None or task.is_dead:
            raise GreenletExit
        task.ticket += 1
        self._pushed += 1
        is_next = at <= self._end and not (queue and queue[0][0] <= at)
        if is_next and task.process.frozen_until <= at and not self._doomed:
            self.now = at  # as if it had been queued, and were the first of the queue
            return
        heappush(queue, (at, self._pushed, task, task.ticket))
        self._main.switch()

    def park(self) -> None:
        """Let the current task wait until another one wakes it, unless its process has crashed by then."""
        if self._current is None or self._current.is_dead:
            raise GreenletExit
        self._main.switch()

    def wake(self, task: Task) -> None:
        if not task.is_dead:
            self._push(self.now, task)

    def run_until(self, end: float) -> None:
        queue, self._end = self._queue, end
        while queue and queue[0][0] <= end:
            at, _, task, ticket = heappop(queue)
            if task.is_dead or ticket != task.ticket:
                continue
            if task.process.frozen_until > at:
                self._push(task.process.frozen_until, task)
                continue
            self.now = at
            self._current = task
            task.greenlet.switch()
            self._current = None
            if task.greenlet.dead:
                task.process.tasks.pop(task, None)
            if self._doomed:
                self._reap()
        self.now = end

    def crash(self, process: SimulatedProcess) -> None:
        """End a process at once: nothing of it continues. If the current task is one of the process, that ends too."""
        process.is_alive = False
        for task in process.tasks:
            task.is_dead = True
        self._doomed += process.tasks
        process.tasks = {}
        if self._current is not None and self._current.is_dead:
            raise GreenletExit

    def thaw(self, process: SimulatedProcess) -> None:
        until, process.frozen_until = process.frozen_until, 0.0
        for task in [task for at, _, task, ticket in self._queue if at == until and ticket == task.ticket]:
            if task.process is process and not task.is_dead:
                self._push(self.now, task)

    def close(self, processes: Iterable[SimulatedProcess]) -> None:
        self._current = None
        for process in processes:
            self.crash(process)
        self._reap()

    def _reap(self) -> None:
        """Unwind tasks of crashed processes; whatever they want to do on their way out has no effect any more."""
        doomed, self._doomed = self._doomed, []
        for task in doomed:
            self._current = task
            task.greenlet.throw()
        self._current = None

    def _push(self, at: float, task: Task) -> None:
        task.ticket += 1
        self._pushed += 1
        heappush(self._queue, (at, self._pushed, task, task.ticket))


def short(value: object) -> str:
    text = str(value)
    return text[:8] if len(text) == 36 and text.count("-") == 4 else text
