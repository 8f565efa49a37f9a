"""The threads of a simulated worker: a task for each email."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from tests.simulation.scheduler import Scheduler, SimulatedProcess

P = ParamSpec("P")
T = TypeVar("T")


class WakeTask:
    """Wakes the task that made it; a late call is harmless, as the task only looks again."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._kernel, self._task = scheduler, scheduler.current

    def __call__(self, _: Future[Any]) -> None:
        self._kernel.wake(self._task)


class _NumberedFuture(Future[T]):
    """A future by number: sets of them have the same order in every run."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def __hash__(self) -> int:
        return self._number


class SendExecutor(Executor):
    """Begins emails in a process; `step` is where it may crash."""

    def __init__(self, scheduler: Scheduler, process: SimulatedProcess, step: Callable[[float], None]) -> None:
        self._kernel, self._process, self._step = scheduler, process, step
        self._begun = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        self._begun += 1
        future: _NumberedFuture[T] = _NumberedFuture(self._begun)

        def run() -> None:
            self._step(0.001)
            future.set_result(fn(*args, **kwargs))

        self._kernel.spawn(self._process, run)
        return future
